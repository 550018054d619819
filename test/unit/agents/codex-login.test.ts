import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeCodex } from '../../../src/agents/codex-login.ts';
import { jwt, minutes, NOW } from '../../fixtures/kimi/login.ts';

const access = (end: number): string => jwt({ exp: minutes(end), jti: 'fake-access-secret' });
const TOKENS = { id_token: jwt({ email: 'op@example.test' }), access_token: access(60), refresh_token: 'fake-refresh-secret', account_id: 'fake-account' };

/** A ChatGPT login as Codex writes it; a token or field that is undefined is left out. */
const login = (tokens: object = {}, fields: object = {}): string =>
  JSON.stringify({ auth_mode: 'chatgpt', OPENAI_API_KEY: null, tokens: { ...TOKENS, ...tokens }, last_refresh: '2026-11-21T11:00:00Z', ...fields });

const KEY = 'sk-fake-key-secret';

describe('a credential file', () => {
  test.each([
    ['fresh', login(), 'live', true],
    ['last refreshed long ago', login({}, { last_refresh: '2020-01-01T00:00:00Z' }), 'live', true],
    ['without the mode, as older versions write it', login({}, { auth_mode: undefined }), 'live', true],
    ['nothing but the tokens', JSON.stringify({ tokens: TOKENS }), 'live', true],
    ['without the id of the account', login({ account_id: undefined }), 'live', true],
    ['over, with a refresh token', login({ access_token: access(-1) }), 'expired-refreshable', true],
    ['ending this very moment', login({ access_token: access(0) }), 'expired-refreshable', true],
    ['over, without a refresh token', login({ access_token: access(-1), refresh_token: '' }), 'dead', false],
    ['live, without a refresh token', login({ refresh_token: '' }), 'live', false],
    ['an access token that says nothing of its end', login({ access_token: 'opaque' }), 'live', true],
    ['empty tokens', login({ access_token: '', refresh_token: '' }), 'dead', false],
    ['a refresh token alone', login({ access_token: '' }), 'dead', false],
    ['no tokens', login({}, { tokens: null }), 'dead', false],
    ['tokens that are no text', login({ access_token: 7, refresh_token: null }), 'dead', false],
    ['without an access token, which Codex cannot read', login({ access_token: undefined }), 'dead', false],
    ['without a refresh token, which Codex cannot read', login({ refresh_token: undefined }), 'dead', false],
    ['without an id token, which Codex cannot read', login({ id_token: undefined }), 'dead', false],
    ['with an id token that is none', login({ id_token: 'opaque' }), 'dead', false],
    ['a key', JSON.stringify({ OPENAI_API_KEY: KEY }), 'live', false],
    ['a key, with its mode', JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: KEY }), 'live', false],
    ['an empty key', JSON.stringify({ auth_mode: 'apikey', OPENAI_API_KEY: '' }), 'dead', false],
    ['a key beside tokens that have ended: without a mode the key counts', login({ access_token: '', refresh_token: '' }, { auth_mode: undefined, OPENAI_API_KEY: KEY }), 'live', false],
    ['a key beside tokens that have ended, in the mode of the tokens', login({ access_token: '', refresh_token: '' }, { OPENAI_API_KEY: KEY }), 'dead', false],
    ['a key beside tokens that Codex cannot read', login({ id_token: '' }, { auth_mode: undefined, OPENAI_API_KEY: KEY }), 'dead', false],
    ['a key in the mode of tokens', JSON.stringify({ auth_mode: 'chatgpt', OPENAI_API_KEY: KEY }), 'dead', false],
    ['of a mode of another time', login({}, { auth_mode: 'future' }), 'unknown', false],
    ['a personal access token', '{"auth_mode":"personalAccessToken","personal_access_token":"x"}', 'unknown', false],
    ['of another form', '{"agent_identity":"x"}', 'unknown', false],
    ['empty', '', 'dead', false],
    ['blank', ' \n', 'dead', false],
    ['an empty object', '{}', 'dead', false],
    ['a list', '[1]', 'dead', false],
    ['null', 'null', 'dead', false],
  ])('%s', (_what, text, state, refreshable) => {
    expect(judgeCodex(text, NOW)).toMatchObject({ state, refreshable });
  });

  test('tells the end of its access token', () => {
    expect(judgeCodex(login(), NOW).expiresAt).toBe(minutes(60));
    expect(judgeCodex(login({ access_token: 'opaque' }), NOW)).not.toHaveProperty('expiresAt');
  });

  test.each([
    [{}, 'op@example.test'],
    [{ id_token: jwt({ email: '\u001b[31mred\u0007' }) }, '[31mred'],
    [{ id_token: jwt({ sub: 'x' }) }, 'fake-account'],
    [{ id_token: jwt({ sub: 'x' }), account_id: undefined }, undefined],
  ])('with %j tells the account %j', (tokens, account) => {
    expect(judgeCodex(login(tokens), NOW).account).toBe(account);
  });

  test('cut off anywhere is dead', () => {
    const whole = login();
    for (let length = 0; length < whole.length; length += 1) {
      expect(judgeCodex(whole.slice(0, length), NOW).state).toBe('dead');
    }
  });

  test('whatever is in it, judging never fails and never repeats a token', () => {
    const secrets = fc.string({ minLength: 20 }).map((text) => `secret${text}`);
    const anything = fc.oneof(secrets, secrets.map((text) => jwt({ jti: text })), fc.jsonValue());
    const tokens = fc.record({ id_token: anything, access_token: anything, refresh_token: anything, account_id: fc.string() }, { requiredKeys: [] });
    const fields = fc.record(
      { auth_mode: fc.oneof(fc.constantFrom('chatgpt', 'apikey'), fc.jsonValue()), OPENAI_API_KEY: anything, tokens: fc.oneof(tokens, fc.jsonValue()) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fields.map((value) => JSON.stringify(value))), (text) => {
        const verdict = judgeCodex(text, NOW);
        expect(JSON.stringify(verdict)).not.toContain('secret');
        expect(['dead', 'unknown', ...(/"(access_token|OPENAI_API_KEY)"/.test(text) ? ['live', 'expired-refreshable'] : [])]).toContain(verdict.state);
      }),
    );
  });
});
