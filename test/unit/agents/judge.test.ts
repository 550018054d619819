import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { accountName, judgeTerm, jwtPayload, parseCredentialFile, positiveNumber, tableOf, textOf } from '../../../src/agents/judge.ts';
import { jwt, NOW } from '../../fixtures/kimi/login.ts';

const SECONDS = NOW.getTime() / 1000;

describe('a token with an end', () => {
  test.each([
    ['that is to come', { refreshable: true, expiresAt: SECONDS + 1 }, 'live'],
    ['that is to come, without a refresh token', { refreshable: false, expiresAt: SECONDS + 1 }, 'live'],
    ['that is now', { refreshable: true, expiresAt: SECONDS }, 'expired-refreshable'],
    ['that is over', { refreshable: true, expiresAt: SECONDS - 1 }, 'expired-refreshable'],
    ['that is over, without a refresh token', { refreshable: false, expiresAt: SECONDS - 1 }, 'dead'],
    ['that was the beginning of time', { refreshable: false, expiresAt: 0 }, 'dead'],
    ['that is never', { refreshable: false, expiresAt: Number.POSITIVE_INFINITY }, 'live'],
    ['that nobody tells', { refreshable: false, expiresAt: undefined }, 'live'],
  ])('%s', (_what, login, state) => {
    expect(judgeTerm(login, NOW)).toMatchObject({ state, refreshable: login.refreshable });
  });

  test('tells only what it knows', () => {
    expect(judgeTerm({ refreshable: true }, NOW)).toEqual({ state: 'live', refreshable: true, why: 'is live' });
    expect(judgeTerm({ refreshable: true, account: 'op', expiresAt: SECONDS + 1 }, NOW)).toMatchObject({ account: 'op', expiresAt: SECONDS + 1 });
  });
});

describe('the text of a credential file', () => {
  test.each(['', ' \n\t', '{', '[]', 'null', '7', '"text"', 'true', '{}{}', '\uFEFF{}', '\0', '{"a":1}\0', "{'a':1}"])('%j is none', (text) => {
    const parsed = parseCredentialFile(text);
    expect(parsed).toMatchObject({ broken: { state: 'dead', refreshable: false } });
  });

  test('may be any object', () => {
    expect(parseCredentialFile(' {"a":{"b":1}}\n')).toEqual({ fields: { a: { b: 1 } } });
  });

  test('is never repeated in what is said of it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ minLength: 8 }), fc.json()), (text) => {
        const parsed = parseCredentialFile(`fake-secret ${text}`);
        expect(JSON.stringify(parsed)).not.toContain('fake-secret');
      }),
    );
  });
});

describe('the payload of a token', () => {
  test.each(['', '.', '..', 'a', 'a.b', 'a.b.c', `a.${Buffer.from('[1]').toString('base64url')}.c`, `a.${Buffer.from('null').toString('base64url')}.c`])('%j has none', (token) => {
    expect(jwtPayload(token)).toEqual({});
  });

  test('is read in the letters of URLs and of files', () => {
    const payload = { email: 'op\u{1F600}\u00FC@example.test', sub: '>>>???' };
    expect(jwtPayload(jwt(payload))).toEqual(payload);
    expect(jwtPayload(`a.${Buffer.from(JSON.stringify(payload)).toString('base64')}.c`)).toEqual(payload);
  });

  test('of anything is an object', () => {
    fc.assert(
      fc.property(fc.string(), (token) => {
        expect(Object.getPrototypeOf(jwtPayload(token))).toBe(Object.prototype);
      }),
    );
  });
});

describe('the name of an account', () => {
  test.each([
    ['op@example.test', 'op@example.test'],
    ['\u001B]0;title\u0007op\r\n', ']0;titleop'],
    ['two words', 'twowords'],
    ['\u202Eright to left\u200B', 'righttoleft'],
    ['J\u00FCrgen', 'J\u00FCrgen'],
    [4711, '4711'],
    ['', undefined],
    ['\n\t ', undefined],
    [null, undefined],
    [{}, undefined],
    [undefined, undefined],
  ])('%j is %j', (value, name) => {
    expect(accountName(value)).toBe(name);
  });

  test('is never long, and writes nothing to a terminal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.jsonValue()), (value) => {
        const name = accountName(value) ?? 'x';
        expect(name.length).toBeLessThanOrEqual(100);
        expect(name).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}]/u);
      }),
    );
  });
});

test('what an object inherits is nothing that a file says', () => {
  expect(tableOf({}, 'constructor')).toEqual({});
  expect(textOf({}, 'toString')).toBeUndefined();
  const own = JSON.parse('{"__proto__":{"access_token":"fake"}}') as Record<string, unknown>;
  expect(textOf(own, 'access_token')).toBeUndefined();
  expect(tableOf(own, '__proto__')).toEqual({ access_token: 'fake' });
});

test.each([
  [1, 1],
  [0, undefined],
  [-1, undefined],
  ['1', undefined],
  [Number.NaN, undefined],
  [null, undefined],
])('as a positive number %j is %j', (value, number) => {
  expect(positiveNumber(value)).toBe(number);
});
