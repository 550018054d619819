import { describe, expect, test } from 'vitest';
import { AGENT_SLUGS } from '../../../src/agents/agents.ts';
import { isSecretVariable, secretsIn } from '../../../src/auth/secret-values.ts';
import { Secret } from '../../../src/shared/secret.ts';
import { FORMS } from '../../fixtures/logins/logins.ts';

const found = (file: string, text: string): Record<string, string> =>
  Object.fromEntries(secretsIn(file, text).map(({ key, secret }) => [key, secret.reveal()]));

describe('the secrets of a credential file', () => {
  test.each(AGENT_SLUGS)('of %s', (agent) => {
    const { file, text } = FORMS[agent];
    const values = Object.values(found(file, text(1, 'live')));
    expect(values.some((value) => value === 'fake-access-1' || value.startsWith('fake-header.'))).toBe(true);
    expect(values).toContain('fake-refresh-1');
  });

  test('are named by the keys that lead to them', () => {
    const text = JSON.stringify({ openai: { type: 'api', key: 'fake-api-key-1' }, anthropic: { type: 'oauth', access: 'fake-access-1', refresh: 'fake-refresh-1' } });
    expect(Object.keys(found('auth.json', text))).toEqual(['openai.key', 'anthropic.access', 'anthropic.refresh']);
  });

  test('of Amp, whose keys name the server', () => {
    const text = JSON.stringify({ 'apiKey@https://ampcode.com/': 'fake-amp-key-1', 'oauth-refresh-token@https://ampcode.com/': 'fake-refresh-1' });
    expect(Object.values(found('secrets.json', text))).toEqual(['fake-amp-key-1', 'fake-refresh-1']);
  });

  test('of Codex with a key', () => {
    expect(found('auth.json', '{"OPENAI_API_KEY": "fake-openai-key", "tokens": null}')).toEqual({ OPENAI_API_KEY: 'fake-openai-key' });
  });

  test("of Kimi's configuration: keys, but neither the name of a variable nor that of a credential file", () => {
    const text = [
      '[providers.one]',
      'type = "kimi"',
      'base_url = "https://api.example.test/v1"',
      'api_key = "fake-kimi-key-1"',
      '[providers.two]',
      'api_key_env = "KIMI_API_KEY_FOR_TWO"',
      '[providers.two.oauth]',
      'storage = "file"',
      'key = "oauth/kimi-code-of-two"',
      '[services.search.custom_headers]',
      'Authorization = "Bearer fake-bearer-1"',
    ].join('\n');
    expect(found('config.toml', text)).toEqual({ 'providers.one.api_key': 'fake-kimi-key-1', 'services.search.custom_headers.Authorization': 'fake-bearer-1' });
  });

  test('of gh, every account and every host', () => {
    const text = 'github.com:\n    users:\n        me:\n            oauth_token: fake_gho_0001\n    git_protocol: https\n    oauth_token: fake_gho_0001\n    user: me\ngh.example.test:\n    oauth_token: "fake_gho_0002"\n';
    expect(Object.values(found('hosts.yml', text))).toEqual(['fake_gho_0001', 'fake_gho_0001', 'fake_gho_0002']);
  });

  test('are never what is short, an address, a type or a time', () => {
    const text = JSON.stringify({ access_token: 'short', token_type: 'Bearer-and-more', token: 'https://example.test/token', expires_at: 1_795_220_513, refresh: null, last_refresh: '2026-11-21T10:00:00.123Z' });
    expect(found('x.json', text)).toEqual({});
  });

  test.each([
    ['cut off', 'x.json', '{"a": {"access_token": "fake-access-1", "refresh_token": "fake-refr\\/esh-1'],
    ['not JSON', 'x.json', "access_token: 'fake-access-1'\nrefresh_token = fake-refr/esh-1\n"],
    ['broken TOML', 'config.toml', 'access_token = "fake-access-1"\nrefresh_token = "fake-refr/esh-1"\n[[['],
    ['of no form of gh', 'hosts.yml', '- access_token: fake-access-1\n  refresh_token: "fake-refr/esh-1"\n'],
  ])('are found in a file that is %s', (_what, file, text) => {
    expect(found(file, text)).toEqual({ access_token: 'fake-access-1', refresh_token: 'fake-refr/esh-1' });
  });

  test('are found in linear time, whatever the agent has written', () => {
    const megabyte = 1 << 20;
    const start = performance.now();
    for (const text of ['a', 'a:', 'a:"', '"a":"\\', "a:'", 'token ', '{"a":', '[']) secretsIn('x.json', text.repeat(megabyte / text.length));
    expect(performance.now() - start).toBeLessThan(8000);
  });

  test('are printed by no accident', () => {
    expect(JSON.stringify(secretsIn('x.json', '{"token":"fake-token-123"}'))).toBe('[{"key":"token","secret":"[secret]"}]');
  });
});

describe('a variable', () => {
  const is = (name: string, value: string): boolean => isSecretVariable(name, new Secret(value));

  test.each([
    ['KIMI_API_KEY', 'anything-here'],
    ['GH_TOKEN', 'anything-here'],
    ['DB_PASSWORD_2', 'correct horse'],
    ['APIKEY', 'anything-here'],
    ['WHATEVER', 'sk-fake-0123456789'],
    ['DATABASE', 'postgres://me:fake-pass@db.example.test/app'],
    ['CERT', '-----BEGIN FAKE KEY-----\nQUJD\n-----END FAKE KEY-----'],
  ])('%s is a secret', (name, value) => {
    expect(is(name, value)).toBe(true);
  });

  test.each([
    ['LANG', 'en_US.UTF-8'],
    ['TERM', 'xterm-256color'],
    ['TZ', 'America/Argentina/Buenos_Aires'],
    ['KIMI_BASE_URL', 'https://api.example.test/coding/v1'],
    ['CACHE', '/home/agent/.cache/of/2026/something'],
    ['GREETING', 'hello there, 2026 is fine'],
    ['AUTHOR', 'somebody-or-other'],
    ['MODE', 'production'],
  ])('%s=%s is an ordinary one', (name, value) => {
    expect(is(name, value)).toBe(false);
  });
});

test.each([['lists', '[', ']'], ['tables', '{"a":', '}']])('looks no deeper into %s than a login goes', (_what, open, close) => {
  const deep = open.repeat(50_000) + '1' + close.repeat(50_000);
  expect(secretsIn('auth.json', `{"access_token":"fake-secret-of-some-length","x":${deep}}`).map(({ key }) => key)).toEqual(['access_token']);
});
