import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generationOf, isLoginPath, judgeCredential, judgeLogin } from '../../../src/agents/kimi-login.ts';
import { parseToken, printToken } from '../../../src/agents/kimi-token.ts';
import {
  asFileMap,
  credential,
  jwt,
  KEY_CONFIG,
  KIMI_CLI_CONFIG,
  KIMI_CODE_CONFIG,
  kimiCliFiles,
  kimiCodeFiles,
  minutes,
  NOW,
  tombstone,
} from '../../fixtures/kimi/login.ts';

describe('a credential file', () => {
  test.each([
    ['fresh', credential(), 'live', true],
    ['with a fraction in its end, as kimi-cli writes it', credential({ expiresAt: minutes(5) + 0.25 }), 'live', true],
    ['over, with a refresh token', credential({ expiresAt: minutes(-1) }), 'expired-refreshable', true],
    ['ending this very moment', credential({ expiresAt: minutes(0) }), 'expired-refreshable', true],
    ['over, without a refresh token', credential({ expiresAt: minutes(-1), refresh: '' }), 'dead', false],
    ['access token only, without an end', '{"access_token":"opaque"}', 'live', false],
    ['access token only, with the end in the token', JSON.stringify({ access_token: jwt({ exp: minutes(-1) }) }), 'dead', false],
    ['a tombstone', tombstone(), 'dead', false],
    ['a tombstone that claims to live for years', tombstone({ expires_at: minutes(1e7), expires_in: 900 }), 'dead', false],
    ['a tombstone with a refresh token', tombstone({ refresh_token: 'r' }), 'dead', false],
    ['tokens that are no text', '{"access_token":null,"refresh_token":7}', 'dead', false],
    ['missing', undefined, 'absent', false],
    ['empty', '', 'dead', false],
    ['blank', ' \n', 'dead', false],
    ['an empty object', '{}', 'dead', false],
    ['a list', '[1]', 'dead', false],
    ['null', 'null', 'dead', false],
    ['of another form', '{"tokens":{"access":"x"}}', 'unknown', false],
  ])('%s', (_what, text, state, refreshable) => {
    expect(judgeCredential(text, NOW)).toMatchObject({ state, refreshable });
  });

  test('cut off anywhere is dead', () => {
    const whole = credential();
    for (let length = 0; length < whole.length; length += 1) {
      expect(judgeCredential(whole.slice(0, length), NOW).state).toBe('dead');
    }
  });

  test.each([
    [{ email: 'op@example.test', sub: '1' }, 'op@example.test'],
    [{ user_id: 42 }, '42'],
    [{ sub: 'abc' }, 'abc'],
    [{ sub: '\u001b[31mred\u0007\n' }, '[31mred'],
    [{ sub: 'x'.repeat(500) }, 'x'.repeat(100)],
    [{}, undefined],
  ])('tells the account %j', (payload, account) => {
    const text = JSON.stringify({ access_token: jwt(payload), refresh_token: 'r', expires_at: minutes(5) });
    expect(judgeCredential(text, NOW).account).toBe(account);
  });

  test('whatever is in it, judging never fails and never repeats a token', () => {
    const secrets = fc.string({ minLength: 20 }).map((text) => `secret${text}`);
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ access_token: fc.oneof(secrets, fc.jsonValue()), refresh_token: fc.oneof(secrets, fc.jsonValue()), expires_at: fc.oneof(fc.double(), fc.jsonValue()) }, { requiredKeys: [] }).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const verdict = judgeCredential(text, NOW);
        expect(JSON.stringify(verdict)).not.toContain('secret');
        expect(['dead', 'unknown', ...(text.includes('"access_token"') ? ['live', 'expired-refreshable'] : [])]).toContain(verdict.state);
      }),
    );
  });
});

describe('a login as a whole', () => {
  test.each([
    ['complete', kimiCodeFiles(), 'live'],
    ['credentials without configuration', { 'credentials/kimi-code.json': credential() }, 'absent'],
    ['configuration without credentials', { 'config.toml': KIMI_CODE_CONFIG }, 'absent'],
    ['a credential of another pair of hosts only', { 'config.toml': KIMI_CODE_CONFIG, 'credentials/kimi-code-env-0e4f99c69cc27850.json': credential() }, 'absent'],
    ['a configuration of comments', { 'config.toml': '# nothing yet\n' }, 'absent'],
    ['a broken configuration', kimiCodeFiles(credential(), '[providers'), 'dead'],
    ['a dead credential', kimiCodeFiles(tombstone()), 'dead'],
    ['a key in the configuration', { 'config.toml': KEY_CONFIG }, 'live'],
    ['a key from a variable', { 'config.toml': '[providers.x]\napi_key_env = "K"\n' }, 'unknown'],
    ['nothing', {}, 'absent'],
  ])('%s', (_what, files, state) => {
    const login = judgeLogin(asFileMap(files), 'kimi-code', NOW);
    expect(login.state).toBe(state);
    expect(login.why).toMatch(/^[^\n]+\.$/);
  });

  test('the digest follows the credential, not the settings', () => {
    const digest = (files: Record<string, string>): string | undefined => judgeLogin(asFileMap(files), 'kimi-code', NOW).digest;
    const one = digest(kimiCodeFiles());
    expect(digest(kimiCodeFiles(credential(), `${KIMI_CODE_CONFIG}\n# later\n`))).toBe(one);
    expect(digest(kimiCodeFiles(credential({ serial: 2 })))).not.toBe(one);
    expect(digest({ 'config.toml': KEY_CONFIG })).toBe(digest({ 'config.toml': `${KEY_CONFIG}# later\n` }));
    expect(digest({ 'config.toml': KEY_CONFIG.replace('sk-inline', 'sk-other') })).not.toBe(digest({ 'config.toml': KEY_CONFIG }));
  });
});

describe('what belongs to a login', () => {
  test.each([
    ['config.toml', true],
    ['device_id', true],
    ['credentials', true],
    ['credentials/kimi-code.json', true],
    ['credentials/sub/other.json', true],
    ['credentials/mcp', false],
    ['credentials/mcp/server.json', false],
    ['credentials/kimi-code.lock', false],
    ['credentials/kimi-code.json.tmp.123.0a1b2c3d', false],
    ['credentials/x.tmp', false],
    ['credentials/kimi-code.lock/inside', false],
    ['config.toml/inside', false],
    ['mcp.json', false],
    ['sessions', false],
    ['oauth', false],
    ['server.token', false],
  ])('%s: %s', (path, belongs) => {
    expect(isLoginPath(path)).toBe(belongs);
  });
});

describe('the product that wrote a directory', () => {
  const of = (files: Record<string, string>, names: string[] = [], fallback: 'kimi-code' | 'kimi' = 'kimi-code'): string =>
    generationOf({ names: [...Object.keys(files).map((file) => file.split('/')[0] ?? ''), ...names], files: asFileMap(files) }, fallback);

  test.each([
    ['a Kimi Code login', kimiCodeFiles(), [], 'kimi-code'],
    ['a kimi-cli login', kimiCliFiles(), [], 'kimi'],
    ['a kimi-cli login without its list of folders', { 'config.toml': KIMI_CLI_CONFIG }, [], 'kimi'],
    ['a device id without dashes', { 'config.toml': KEY_CONFIG, device_id: `${'0a'.repeat(16)}\n` }, [], 'kimi'],
    ['that device id in a home that Kimi Code has used', { 'config.toml': KEY_CONFIG, device_id: '0a'.repeat(16) }, ['oauth'], 'kimi-code'],
    ['settings of both', { 'config.toml': `default_thinking = true\n${KIMI_CODE_CONFIG}` }, ['kimi.json'], 'kimi-code'],
    ['a credential for a pair of hosts', { 'config.toml': KEY_CONFIG, 'credentials/kimi-code-env-0e4f99c69cc27850.json': '{}' }, [], 'kimi-code'],
    ['nothing to tell by', { 'config.toml': KEY_CONFIG }, [], 'kimi-code'],
    ['a broken configuration', { 'config.toml': '[[[' }, ['kimi.json'], 'kimi'],
  ])('%s', (_what, files, names, generation) => {
    expect(of(files as Record<string, string>, names)).toBe(generation);
  });

  test('where there is nothing to tell by, the usual place decides', () => {
    expect(of({ 'config.toml': KEY_CONFIG }, [], 'kimi')).toBe('kimi');
  });
});

test('a token with an end beyond every number has none', () => {
  const token = parseToken('{"access_token":"a","refresh_token":"r","expires_at":1e999,"expires_in":1e999}');
  expect(token).toMatchObject({ expiresAt: 0, expiresIn: 0 });
  expect(parseToken(printToken(token!))).toEqual(token);
});
