import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeAmp, skipIntroduction } from '../../../src/agents/amp-login.ts';
import { jwt, minutes, NOW } from '../../fixtures/kimi/login.ts';

const USUAL = 'https://ampcode.com/';
const OTHER = 'https://amp.example.test';

const session = (server: string, payload: object, refresh?: unknown): object => ({
  [`apiKey@${server}`]: jwt(payload),
  ...(refresh !== undefined && { [`oauth-refresh-token@${server}`]: refresh }),
});
const key = (server = USUAL, value: unknown = 'sgamp_user_fake'): object => ({ [`apiKey@${server}`]: value });
const live = { exp: minutes(5) };
const over = { exp: minutes(-1) };

const judged = (file: unknown) => judgeAmp(JSON.stringify(file), NOW);

describe('secrets.json of Amp', () => {
  it.each([
    ['a key that stays', key(), 'live', false],
    ['a key with dots that is no JWT', { ...key(USUAL, 'a.b.c d'), [`oauth-refresh-token@${USUAL}`]: 'fake-refresh' }, 'live', false],
    ['a key beside an old refresh token', { ...key(), [`oauth-refresh-token@${USUAL}`]: 'fake-refresh' }, 'live', false],
    ['a session', session(USUAL, live, 'fake-refresh'), 'live', true],
    ['a session that cannot be refreshed', session(USUAL, live), 'live', false],
    ['a session that is over', session(USUAL, over, 'fake-refresh'), 'expired-refreshable', true],
    ['a session that ends this very moment', session(USUAL, { exp: minutes(0) }, 'fake-refresh'), 'expired-refreshable', true],
    ['a session that is over, without a refresh token', session(USUAL, over), 'dead', false],
    ['a session that is over, with an empty refresh token', session(USUAL, over, ''), 'dead', false],
    ['a session that is over, with the refresh token of another server', { ...session(USUAL, over), [`oauth-refresh-token@${OTHER}`]: 'fake-refresh' }, 'dead', false],
    ['a session that does not tell its end', session(USUAL, {}, 'fake-refresh'), 'live', true],
    ['what logging out leaves', { ...key(USUAL, ''), [`oauth-refresh-token@${USUAL}`]: '' }, 'dead', false],
    ['an empty key with a refresh token', { ...key(USUAL, ''), [`oauth-refresh-token@${USUAL}`]: 'fake-refresh' }, 'dead', false],
    ['a key that is no text', key(USUAL, 7), 'dead', false],
    ['a key for another server', key(OTHER), 'live', false],
    ['logged out of one server, logged in to another', { ...key(USUAL, ''), ...session(OTHER, over, 'fake-refresh') }, 'expired-refreshable', true],
    ['nothing', {}, 'dead', false],
    ['secrets of MCP servers only', { 'mcp-oauth-token@https://mcp.example.test/': 'fake-mcp', 'mcp-oauth-client-secret@x': 'fake-mcp' }, 'dead', false],
    ['a refresh token only', { [`oauth-refresh-token@${USUAL}`]: 'fake-refresh' }, 'dead', false],
    ['another form', { tokens: { access: 'fake' } }, 'unknown', false],
    ['a list', ['fake'], 'dead', false],
  ])('with %s', (_what, file, state, refreshable) => {
    expect(judged(file)).toMatchObject({ state, refreshable });
  });

  it.each(['', ' \n', 'null', '7', 'sgamp_user_fake', '\uFEFF'])('that reads %j is dead', (text) => {
    expect(judgeAmp(text, NOW).state).toBe('dead');
  });

  it('cut off anywhere is dead', () => {
    const whole = JSON.stringify({ ...key(), ...session(OTHER, live, 'fake-refresh') }, null, 2);
    for (let length = 0; length < whole.length; length += 1) expect(judgeAmp(whole.slice(0, length), NOW).state).toBe('dead');
  });

  it('tells of the usual server where both work', () => {
    const both = { ...session(OTHER, { ...live, email: 'other@example.test' }), ...session(USUAL, { exp: minutes(9), email: 'op@example.test' }) };
    expect(judged(both)).toMatchObject({ account: 'op@example.test', expiresAt: minutes(9) });
  });

  it.each([
    [{ email: 'op@example.test', sub: 'user_fake' }, 'op@example.test'],
    [{ sub: 'user_fake' }, 'user_fake'],
    [{ sub: '\u001B[31mred\n' }, '[31mred'],
    [{}, undefined],
  ])('tells the account of a session with %j', (payload, account) => {
    expect(judged(session(USUAL, payload)).account).toBe(account);
  });

  it('is judged without fail, and no token is repeated, whatever is in it', () => {
    const secret = fc.string({ minLength: 8 }).map((text) => `fake-secret-${text}`);
    const name = fc.constantFrom(`apiKey@${USUAL}`, `apiKey@${OTHER}`, `oauth-refresh-token@${USUAL}`, 'apiKey@', '__proto__', 'other');
    const file = fc.dictionary(name, fc.oneof(secret, secret.map((text) => `a.${Buffer.from(text).toString('base64url')}.c`), fc.jsonValue()));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), file.map((value) => JSON.stringify(value))), (text) => {
        const verdict = judgeAmp(text, NOW);
        expect(['live', 'expired-refreshable', 'dead', 'unknown']).toContain(verdict.state);
        expect(JSON.stringify(verdict)).not.toContain('fake-secret');
      }),
    );
  });
});

describe('session.json of Amp', () => {
  it.each([
    ['missing', undefined, { neoWelcomeDismissed: true }],
    ['empty', '', { neoWelcomeDismissed: true }],
    ['broken', '{"launchCou', { neoWelcomeDismissed: true }],
    ['from a first run of one prompt', '{"agentMode":"high","neoWelcomeDismissed":false}', { agentMode: 'high', neoWelcomeDismissed: true }],
  ])('%s', (_what, text, expected) => {
    expect(JSON.parse(skipIntroduction(text) ?? '')).toEqual(expected);
  });

  it('is left alone when the introduction was seen', () => {
    expect(skipIntroduction('{"neoWelcomeDismissed": true, "launchCount": 3}')).toBeUndefined();
  });
});
