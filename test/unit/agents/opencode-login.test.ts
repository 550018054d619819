import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeOpencode } from '../../../src/agents/opencode-login.ts';
import { jwt, minutes, NOW } from '../../fixtures/kimi/login.ts';

const api = { type: 'api', key: 'fake-key' };
const oauth = (expires: unknown, fields: object = {}): object => ({ type: 'oauth', access: 'fake-access', refresh: 'fake-refresh', expires, ...fields });
const live = oauth(minutes(5) * 1000);
const over = oauth(minutes(-1) * 1000);
const fixed = { access: 'fake-fixed', refresh: 'fake-fixed' };

const judged = (file: unknown) => judgeOpencode(JSON.stringify(file), NOW);

describe('auth.json of OpenCode', () => {
  it.each([
    ['an API key', { opencode: api }, 'live', false],
    ['an API key with more to it', { azure: { ...api, metadata: { resourceName: 'x' } } }, 'live', false],
    ['the token of a server', { 'https://example.test': { type: 'wellknown', key: 'TOKEN', token: 'fake-token' } }, 'live', false],
    ['a session', { openai: live }, 'live', true],
    ['a session that is over', { openai: over }, 'expired-refreshable', true],
    ['a session that ends this very moment', { openai: oauth(minutes(0) * 1000) }, 'expired-refreshable', true],
    ['an end in seconds, which OpenCode takes for 1970', { openai: oauth(minutes(5)) }, 'expired-refreshable', true],
    ['a session without an access token', { openai: oauth(minutes(5) * 1000, { access: '' }) }, 'expired-refreshable', true],
    ['a session without a refresh token', { openai: oauth(minutes(5) * 1000, { refresh: '' }) }, 'live', false],
    ['a session that is over, without a refresh token', { openai: oauth(minutes(-1) * 1000, { refresh: '' }) }, 'dead', false],
    ['empty tokens that claim to live for years', { openai: oauth(minutes(1e7) * 1000, { access: '', refresh: '' }) }, 'dead', false],
    ['one token in both places, without an end', { 'github-copilot': oauth(0, fixed) }, 'live', false],
    ['one token in both places, with the last end there is', { poe: oauth(Number.MAX_SAFE_INTEGER, fixed) }, 'live', false],
    ['one token in both places that is over', { poe: oauth(minutes(-1) * 1000, fixed) }, 'dead', false],
    ['a session that never began', { openai: oauth(0) }, 'expired-refreshable', true],
    ['an end that is no whole number', { openai: oauth(minutes(5) * 1000 + 0.5) }, 'dead', false],
    ['an end before 1970', { openai: oauth(-1) }, 'dead', false],
    ['an end that is text', { openai: oauth('2099-01-01') }, 'dead', false],
    ['no end', { openai: oauth(undefined) }, 'dead', false],
    ['a refresh token that is no text', { openai: oauth(minutes(5) * 1000, { refresh: null }) }, 'dead', false],
    ['an empty key', { opencode: { type: 'api', key: '' } }, 'dead', false],
    ['a key that is no text', { opencode: { type: 'api', key: 7 } }, 'dead', false],
    ['a server without a token', { 'https://example.test': { type: 'wellknown', key: 'TOKEN', token: '' } }, 'dead', false],
    ['a server without a name for its token', { 'https://example.test': { type: 'wellknown', key: '', token: 'fake-token' } }, 'dead', false],
    ['a type that is new', { opencode: { type: 'passkey', id: 'fake' } }, 'unknown', false],
    ['no type', { opencode: { key: 'fake-key' } }, 'unknown', false],
    ['no entry but text', { opencode: 'fake-key' }, 'unknown', false],
    ['what logging out leaves', {}, 'dead', false],
    ['a list', ['fake'], 'dead', false],
  ])('with %s', (_what, file, state, refreshable) => {
    expect(judged(file)).toMatchObject({ state, refreshable });
  });

  it.each([
    ['a key makes up for a session that is over', { a: over, b: api }, 'live', true],
    ['in any order', { b: api, a: over }, 'live', true],
    ['and for one that is dead', { a: oauth(5, { refresh: '' }), b: api }, 'live', false],
    ['a session that can be refreshed comes before a new form', { a: { type: 'passkey' }, b: over }, 'expired-refreshable', true],
    ['a new form comes before what is dead', { a: oauth('x'), b: { type: 'passkey' } }, 'unknown', false],
    ['all dead', { a: oauth('x'), b: { type: 'api', key: '' } }, 'dead', false],
  ])('with several logins: %s', (_what, file, state, refreshable) => {
    expect(judged(file)).toMatchObject({ state, refreshable });
  });

  it('tells of the login that ends first, in seconds', () => {
    const file = { a: api, b: oauth(minutes(9) * 1000, { accountId: 'later' }), c: oauth(minutes(5) * 1000, { accountId: 'sooner' }) };
    expect(judged(file)).toMatchObject({ state: 'live', expiresAt: minutes(5), account: 'sooner' });
  });

  it.each([
    [{ access: jwt({ email: 'op@example.test', sub: '1' }), accountId: 'acc' }, 'op@example.test'],
    [{ access: jwt({ sub: '1' }), accountId: 'acc' }, 'acc'],
    [{ access: jwt({ sub: '1' }) }, '1'],
    [{ accountId: '\u001B[31mred\n' }, '[31mred'],
    [{}, undefined],
  ])('tells the account of a session: %#', (fields, account) => {
    expect(judged({ openai: oauth(minutes(5) * 1000, fields) }).account).toBe(account);
  });

  it.each(['', ' \n', 'null', '7', 'fake-key', '\uFEFF'])('that reads %j is dead', (text) => {
    expect(judgeOpencode(text, NOW).state).toBe('dead');
  });

  it('cut off anywhere is dead', () => {
    const whole = JSON.stringify({ opencode: api, openai: live }, null, 2);
    for (let length = 0; length < whole.length; length += 1) expect(judgeOpencode(whole.slice(0, length), NOW).state).toBe('dead');
  });

  it('is judged without fail, and no token is repeated, whatever is in it', () => {
    const secret = fc.string({ minLength: 8 }).map((text) => `fake-secret-${text}`);
    const value = fc.oneof(secret, fc.jsonValue());
    const entry = fc.record(
      {
        type: fc.constantFrom('api', 'oauth', 'wellknown', 'new'),
        key: value,
        token: value,
        access: value,
        refresh: value,
        expires: fc.oneof(fc.maxSafeNat(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const file = fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.oneof(entry, fc.jsonValue()));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), file.map((table) => JSON.stringify(table))), (text) => {
        const verdict = judgeOpencode(text, NOW);
        expect(['live', 'expired-refreshable', 'dead', 'unknown']).toContain(verdict.state);
        expect(JSON.stringify(verdict)).not.toContain('fake-secret');
      }),
    );
  });
});
