import { describe, expect, test } from 'vitest';
import { parseKimiConfig, type KimiConfig } from '../../../src/agents/kimi-config.ts';
import { deriveKimiCode } from '../../../src/agents/kimi-derive.ts';
import { judgeLogin } from '../../../src/agents/kimi-login.ts';
import { asFileMap, credential, KIMI_CLI_CONFIG, kimiCliFiles, NOW } from '../../fixtures/kimi/login.ts';

const derive = (config = KIMI_CLI_CONFIG): { config: KimiConfig; files: Record<string, string> } => {
  const files = deriveKimiCode(asFileMap(kimiCliFiles(credential(), config)));
  const parsed = parseKimiConfig(files.get('config.toml')?.toString() ?? '');
  return {
    config: 'config' in parsed ? parsed.config : {},
    files: Object.fromEntries([...files].map(([file, bytes]) => [file, bytes.toString()])),
  };
};

const withHost = (base: string): string => KIMI_CLI_CONFIG.replaceAll('https://api.kimi.com/coding/v1', base);

describe('a Kimi Code home made from a kimi-cli login', () => {
  test('is logged in with the same credential and device', () => {
    const { files } = derive();
    expect(files['credentials/kimi-code.json']).toBe(credential());
    expect(files['device_id']).toBe('0e4f99c69cc247858b2f5f7c0a7b1234');
    expect(judgeLogin(asFileMap(files), 'kimi-code', NOW)).toMatchObject({ state: 'live', account: 'op@example.test' });
  });

  test('has provider, model and service tables in the schema of Kimi Code, and nothing else', () => {
    expect(derive().config).toEqual({
      default_model: 'kimi-code/kimi-for-coding',
      thinking: { enabled: true },
      providers: {
        'managed:kimi-code': {
          type: 'kimi',
          base_url: 'https://api.kimi.com/coding/v1',
          api_key: '',
          oauth: { storage: 'file', key: 'oauth/kimi-code' },
        },
      },
      models: {
        'kimi-code/kimi-for-coding': {
          provider: 'managed:kimi-code',
          model: 'kimi-for-coding',
          capabilities: ['thinking'],
          display_name: 'Kimi for Coding',
          max_context_size: 262144,
        },
      },
      services: {
        moonshot_search: {
          base_url: 'https://api.kimi.com/coding/v1/search',
          api_key: '',
          oauth: { storage: 'file', key: 'oauth/kimi-code' },
        },
      },
    });
  });

  test.each([
    ['of the global region', 'https://api.kimi.ai/coding/v1', 'kimi-code-env-0e4f99c69cc27850', 'https://auth.kimi.ai'],
    ['of a server of one’s own', 'http://127.0.0.1:18911/coding/v1', 'kimi-code-env-[0-9a-f]{16}', undefined],
  ])('%s: the credential gets the name that Kimi Code looks for', (_what, base, slot, host) => {
    const { config, files } = derive(withHost(base));
    expect(Object.keys(files).filter((file) => file.startsWith('credentials/'))).toEqual([
      expect.stringMatching(new RegExp(`^credentials/${slot}\\.json$`)),
    ]);
    expect(judgeLogin(asFileMap(files), 'kimi-code', NOW).state).toBe('live');
    const providers = config['providers'] as Record<string, { oauth: { oauth_host?: string } }>;
    expect(providers['managed:kimi-code']?.oauth.oauth_host).toBe(host);
  });

  test('drops a key beside the login, which Kimi Code would refuse', () => {
    const { config } = derive(KIMI_CLI_CONFIG.replace('api_key = ""', 'api_key = "sk-old"'));
    expect(JSON.stringify(config)).not.toContain('sk-old');
  });

  test('renames provider types and fills in a context size that is missing', () => {
    const { config } = derive('[providers.x]\ntype = "openai_legacy"\napi_key = "k"\n[models.m]\nprovider = "x"\nmodel = "m"\nmax_context_size = 0\n');
    expect(config).toMatchObject({ providers: { x: { type: 'openai', api_key: 'k' } }, models: { m: { max_context_size: 262144 } } });
  });

  test.each(['constructor', '__proto__', 'toString'])('takes a provider type that is called %s as it is', (type) => {
    expect(derive(`[providers.x]\ntype = "${type}"\napi_key = "k"\n`).config).toMatchObject({ providers: { x: { type } } });
  });

  test('is nothing without a configuration that can be read', () => {
    expect(deriveKimiCode(asFileMap({ 'credentials/kimi-code.json': credential() })).size).toBe(0);
    expect(deriveKimiCode(asFileMap(kimiCliFiles(credential(), '[[['))).size).toBe(0);
  });

  test('is the same every time', () => {
    expect(derive().files).toEqual(derive().files);
  });
});
