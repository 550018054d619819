import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addKeyProvider,
  credentialInUse,
  defaultModelOf,
  type KimiConfig,
  listAliases,
  parseKimiConfig,
  printKimiConfig,
  removeKeyProvider,
  resolveModel,
  slotForHosts,
  slotOfProvider,
} from '../../../src/agents/kimi-config.ts';
import { KEY_CONFIG, KIMI_CLI_CONFIG, KIMI_CODE_CONFIG } from '../../fixtures/kimi/login.ts';

const parsed = (text: string): KimiConfig => {
  const result = parseKimiConfig(text);
  if ('broken' in result) throw new Error(result.broken);
  return result.config;
};

const managed = (baseUrl: string, oauth: string): KimiConfig =>
  parsed(`[providers."managed:kimi-code"]\nbase_url = "${baseUrl}"\noauth = { storage = "file", ${oauth} }\n`);

describe('the credential file that Kimi Code reads', () => {
  test.each([
    ['the defaults', undefined, undefined, 'kimi-code'],
    ['the defaults spelled out, with slashes and spaces', 'https://api.kimi.com/coding/v1//', ' https://auth.kimi.com/ ', 'kimi-code'],
    ['the global region', 'https://api.kimi.ai/coding/v1', 'https://auth.kimi.ai', 'kimi-code-env-0e4f99c69cc27850'],
    ['a server of one’s own', 'http://127.0.0.1:18911/coding/v1', 'http://127.0.0.1:18911', 'kimi-code-env-ed2870d298914e49'],
  ])('for %s', (_what, base, host, slot) => {
    expect(slotForHosts(base, host)).toBe(slot);
  });

  test('is the expected one for the managed provider, whatever key the configuration names', () => {
    const config = managed('https://api.kimi.ai/coding/v1', 'key = "oauth/kimi-code", oauth_host = "https://auth.kimi.ai"');
    expect(slotOfProvider(config, 'managed:kimi-code', 'kimi-code')).toBe('kimi-code-env-0e4f99c69cc27850');
    expect(slotOfProvider(config, 'managed:kimi-code', 'kimi')).toBe('kimi-code');
  });

  test.each([
    ['oauth/other', 'kimi-code', 'other'],
    ['oauth/../other', 'kimi-code', undefined],
    ['oauth/.hidden', 'kimi-code', undefined],
    ['a/b/other', 'kimi', 'other'],
    ['oauth/..', 'kimi', undefined],
    ['oauth/', 'kimi', undefined],
  ] as const)('of any other provider comes from its key: %s in %s', (key, generation, slot) => {
    const config = parsed(`[providers.x.oauth]\nkey = "${key}"\n`);
    expect(slotOfProvider(config, 'x', generation)).toBe(slot);
  });
});

describe('the credential in use', () => {
  test('is the one behind the default model', () => {
    const both = parsed(KEY_CONFIG + KIMI_CODE_CONFIG.replace(/^default_model.*\n/, ''));
    expect(credentialInUse(both, 'kimi-code')).toMatchObject({ kind: 'key', provider: 'mine' });
  });

  test('is Kimi’s own without a default model, else the first there is', () => {
    const withoutDefault = (text: string): KimiConfig => parsed(text.replace(/^default_model.*\n/, ''));
    expect(credentialInUse(withoutDefault(KEY_CONFIG + KIMI_CODE_CONFIG.replace(/^default_model.*\n/, '')), 'kimi-code')).toEqual({
      kind: 'slot',
      provider: 'managed:kimi-code',
      slot: 'kimi-code',
    });
    expect(credentialInUse(withoutDefault(KEY_CONFIG), 'kimi-code')).toMatchObject({ provider: 'mine' });
  });

  test('may come from a variable, from a table of variables, or from nowhere', () => {
    expect(credentialInUse(parsed('[providers.x]\napi_key_env = "K"\n'), 'kimi-code')).toEqual({ kind: 'env', provider: 'x', variable: 'K' });
    expect(credentialInUse(parsed('[providers.x.env]\nKIMI_API_KEY = "s"\n'), 'kimi-code')).toMatchObject({ kind: 'key' });
    expect(credentialInUse(parsed('[providers.x]\ntype = "kimi"\n'), 'kimi-code')).toBeUndefined();
  });

  test('in kimi-cli is the login, even when a key stands beside it', () => {
    const config = parsed(KIMI_CLI_CONFIG.replace('api_key = ""', 'api_key = "sk"'));
    expect(credentialInUse(config, 'kimi')).toMatchObject({ kind: 'slot' });
    expect(credentialInUse(config, 'kimi-code')).toMatchObject({ kind: 'key' });
  });
});

describe('the model that is asked for', () => {
  const aliases = [
    { alias: 'kimi-code/kimi-for-coding', model: 'kimi-for-coding' },
    { alias: 'kimi-code/k3', model: 'k3' },
    { alias: 'mine', model: 'k3' },
  ];

  test.each([
    ['kimi-code/k3', 'kimi-code/k3', true],
    ['kimi-for-coding', 'kimi-code/kimi-for-coding', true],
    ['k3', 'k3', false],
    ['unheard-of', 'unheard-of', false],
  ])('%s is passed as %s', (requested, alias, known) => {
    expect(resolveModel(requested, aliases)).toEqual({ alias, known });
  });

  test('aliases and default model come from the configuration', () => {
    const config = parsed(KIMI_CODE_CONFIG);
    expect(listAliases(config)).toEqual([{ alias: 'kimi-code/kimi-for-coding', model: 'kimi-for-coding' }]);
    expect(defaultModelOf(config)).toBe('kimi-code/kimi-for-coding');
  });

  test('names that every JavaScript object has are no tables of a configuration', () => {
    expect(listAliases({})).toEqual([]);
    expect(credentialInUse(parsed('default_model = "constructor"\n[models]\n'), 'kimi-code')).toBeUndefined();
    expect(slotOfProvider({}, '__proto__', 'kimi-code')).toBeUndefined();
  });
});

describe('the provider for a key', () => {
  const provider = { baseUrl: 'https://api.example.test/v1', model: 'kimi-for-coding', contextSize: 1234 };

  test('reads the key from the environment and holds none', () => {
    const { config } = addKeyProvider({}, provider);
    expect(printKimiConfig(config)).toBe(
      [
        'default_model = "jackin/kimi-for-coding"',
        '',
        '[providers.jackin-api-key]',
        'type = "kimi"',
        'base_url = "https://api.example.test/v1"',
        'api_key_env = "KIMI_API_KEY"',
        '',
        '[models."jackin/kimi-for-coding"]',
        'provider = "jackin-api-key"',
        'model = "kimi-for-coding"',
        'max_context_size = 1234',
        'capabilities = [ "thinking", "image_in", "video_in", "tool_use" ]',
        '',
      ].join('\n'),
    );
    expect(credentialInUse(config, 'kimi-code')).toEqual({ kind: 'env', provider: 'jackin-api-key', variable: 'KIMI_API_KEY' });
  });

  test('goes without a trace, whatever stood there and however often it was added', () => {
    const configs = fc.record(
      {
        default_model: fc.constantFrom('mine', 'kimi-code/k3'),
        theme: fc.string(),
        providers: fc.dictionary(fc.string({ minLength: 1 }), fc.record({ type: fc.constant('kimi') }), { minKeys: 1 }),
        models: fc.dictionary(fc.string({ minLength: 1 }), fc.record({ provider: fc.string(), model: fc.string() }), { minKeys: 1 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(configs, fc.integer({ min: 1, max: 3 }), (config, times) => {
        let current: KimiConfig = config;
        let earlier: string | undefined;
        for (let time = 0; time < times; time += 1) {
          const added = addKeyProvider(current, { ...provider, model: `model-${time}` });
          current = added.config;
          earlier = added.previousDefault ?? earlier;
        }
        expect(defaultModelOf(current)).toBe(`jackin/model-${times - 1}`);
        expect(removeKeyProvider(current, earlier)).toEqual(config);
      }),
    );
  });

  test('leaves a default model alone that was chosen since', () => {
    const { config } = addKeyProvider({ default_model: 'mine' }, provider);
    expect(removeKeyProvider({ ...config, default_model: 'other' }, 'mine')).toEqual({ default_model: 'other' });
  });
});

test('a configuration that is not TOML is told by its line, without its content', () => {
  const result = parseKimiConfig('a = 1\napi_key = "sk-very-secret\n');
  expect(result).toHaveProperty('broken');
  expect(JSON.stringify(result)).not.toContain('sk-very-secret');
});
