import { expect, test } from 'vitest';
import { parseKimiConfig, printKimiConfig } from '../../../src/agents/kimi-config.ts';
import { KIMI_REGIONS } from '../../../src/agents/kimi-hosts.ts';
import { configWith, type KimiModel, parseModels, USUAL_MODEL } from '../../../src/agents/kimi-models.ts';

type Tables = Record<string, Record<string, unknown>>;

const read = (...data: unknown[]): KimiModel[] => {
  const parsed = parseModels(JSON.stringify({ object: 'list', data }));
  if ('broken' in parsed) throw new Error(parsed.broken);
  return parsed.models;
};

const entry = { id: 'k3', context_length: 1000 };

test.each([
  [{}, ['tool_use']],
  [{ supports_reasoning: true, supports_image_in: true, supports_video_in: true }, ['thinking', 'image_in', 'video_in', 'tool_use']],
  [{ supports_reasoning: true, supports_thinking_type: 'no' }, ['tool_use']],
  [{ supports_thinking_type: 'both' }, ['thinking', 'tool_use']],
  [{ supports_thinking_type: 'only' }, ['thinking', 'always_thinking', 'tool_use']],
  [{ supports_thinking_type: 'sometimes', supports_reasoning: true }, ['thinking', 'tool_use']],
  [{ supports_tool_use: false }, []],
  [{ supports_dynamic_tools: true }, ['tool_use', 'dynamically_loaded_tools']],
  [{ supports_image_in: 'yes' }, ['tool_use']],
])('of %j Kimi knows that it can do %j', (fields, capabilities) => {
  expect(read({ ...entry, ...fields })[0]?.capabilities).toEqual(capabilities);
});

test.each([
  ['no JSON', 'no JSON', 'it is no JSON'],
  ['null', 'null', 'it holds no list'],
  ['an object without a list', '{"data":{}}', 'it holds no list'],
  ['an empty list', '{"data":[]}', 'the list is empty'],
  ['an entry that is no object', '{"data":[1]}', 'an entry is not an object'],
  ['a model without an id', '{"data":[{"context_length":1}]}', 'a model has no id'],
  ['a model without a context', '{"data":[{"id":"a","context_length":1},{"id":"b"}]}', 'the model "b" has no context_length'],
  ['a context that is no whole number', '{"data":[{"id":"a","context_length":1.5}]}', 'the model "a" has no context_length'],
  ['a context of nothing', '{"data":[{"id":"a","context_length":0}]}', 'the model "a" has no context_length'],
])('%s is no list of models', (_what, body, broken) => {
  expect(parseModels(body)).toEqual({ broken });
});

const china = KIMI_REGIONS['mainland-cn'];
const efforts = { support: true, valid_efforts: ['low', 'high', 'max'], default_effort: 'high' };

test('a new configuration is the one that Kimi Code writes when somebody logs in', () => {
  const [model] = read({ id: 'kimi-for-coding', context_length: 262144, display_name: 'Kimi for Coding', supports_reasoning: true, supports_image_in: true, supports_video_in: true, think_efforts: efforts });
  const oauth = { storage: 'file', key: 'oauth/kimi-code' };
  const config = configWith({}, china, [model!]);
  expect(config).toEqual({
    default_model: 'kimi-code/kimi-for-coding',
    providers: { 'managed:kimi-code': { type: 'kimi', api_key: '', base_url: 'https://api.kimi.com/coding/v1', oauth } },
    models: {
      'kimi-code/kimi-for-coding': {
        provider: 'managed:kimi-code',
        model: 'kimi-for-coding',
        max_context_size: 262144,
        capabilities: ['thinking', 'image_in', 'video_in', 'tool_use'],
        display_name: 'Kimi for Coding',
        support_efforts: ['low', 'high', 'max'],
        default_effort: 'high',
      },
    },
    thinking: { enabled: true },
    services: {
      moonshot_search: { base_url: 'https://api.kimi.com/coding/v1/search', api_key: '', oauth },
      moonshot_fetch: { base_url: 'https://api.kimi.com/coding/v1/fetch', api_key: '', oauth },
    },
  });
  expect(parseKimiConfig(printKimiConfig(config))).toEqual({ config });
});

test('other hosts have a slot of their own and are named', () => {
  const { providers } = configWith({}, KIMI_REGIONS.global, [USUAL_MODEL]) as Tables;
  expect(providers?.['managed:kimi-code']).toHaveProperty('oauth', { storage: 'file', key: 'oauth/kimi-code-env-0e4f99c69cc27850', oauth_host: 'https://auth.kimi.ai' });
});

test.each([
  [{ protocol: 'anthropic' }, { protocol: 'anthropic', beta_api: true, adaptive_thinking: true }],
  [{ protocol: 'response' }, { protocol: 'openai_responses' }],
  [{ protocol: 'kimi' }, {}],
  [{ protocol: 'constructor' }, {}],
  [{ think_efforts: { ...efforts, support: false } }, {}],
  [{ think_efforts: { support: true, valid_efforts: ['low', 1] } }, { support_efforts: ['low'] }],
  [{ think_efforts: { ...efforts, valid_efforts: [] } }, { default_effort: 'high' }],
])('%j becomes %j', (fields, keys) => {
  const { models } = configWith({}, china, read({ ...entry, ...fields })) as Tables;
  expect(models?.['kimi-code/k3']).toEqual({ provider: 'managed:kimi-code', model: 'k3', max_context_size: 1000, capabilities: ['tool_use'], ...keys });
});

test('an update takes what the server decides, and leaves what the person set', () => {
  const before = {
    default_model: 'kimi-code/k3',
    telemetry: false,
    providers: { other: { type: 'openai', api_key: 'fake-key' } },
    models: {
      'kimi-code/gone': { provider: 'managed:kimi-code', model: 'gone', max_context_size: 1 },
      'kimi-code/k3': { provider: 'managed:kimi-code', model: 'k3', max_context_size: 1, protocol: 'anthropic', beta_api: true, overrides: { temperature: 1 }, mine: 'kept' },
      mine: { provider: 'other', model: 'x', max_context_size: 5 },
    },
    services: { mine: { base_url: 'http://127.0.0.1:1' } },
    thinking: { enabled: false, effort: 'low' },
  };
  const models = read({ id: 'first', context_length: 10, supports_reasoning: true }, { ...entry, supports_thinking_type: 'both' });
  const after = configWith(before, china, models) as Tables;
  expect(after).toMatchObject({ default_model: 'kimi-code/k3', telemetry: false, thinking: { enabled: false, effort: 'low' } });
  expect(after['providers']?.['other']).toEqual(before.providers.other);
  expect(after['services']?.['mine']).toEqual(before.services.mine);
  expect(Object.keys(after['models'] ?? {})).toEqual(['mine', 'kimi-code/first', 'kimi-code/k3']);
  expect(after['models']?.['kimi-code/k3']).toEqual({ provider: 'managed:kimi-code', model: 'k3', max_context_size: 1000, capabilities: ['thinking', 'tool_use'], overrides: { temperature: 1 }, mine: 'kept' });
});

test('a default model that is gone gives way to the first of the list', () => {
  expect(configWith({ default_model: 'kimi-code/gone' }, china, read({ id: 'first', context_length: 1 }, entry))['default_model']).toBe('kimi-code/first');
});

test.each([
  ['only', false, true],
  ['no', true, false],
  ['both', false, false],
])('thinking that is %s, set to %s before, is %s after', (type, before, after) => {
  const config = configWith({ thinking: { enabled: before } }, china, read({ ...entry, supports_thinking_type: type }));
  expect(config['thinking']).toEqual({ enabled: after });
});

test.each(['k3\nerror: forged', 'k3\u001B[31m', 'k3\u202E'])('a model with the id %j spoils the list', (id) => {
  expect(parseModels(JSON.stringify({ data: [{ ...entry, id }] }))).toEqual({ broken: expect.stringContaining('nobody can see') });
});

test('quotes no character that nobody can see, when it refuses an id that holds one', () => {
  const parsed = parseModels('{"data":[{"id":"a\\u007f\\u009b31m","context_length":1}]}');
  expect(parsed).toEqual({ broken: 'the model id "a\ufffd\ufffd31m" holds characters that nobody can see' });
});

test('replaces half a character, which the configuration cannot hold', () => {
  const parsed = parseModels('{"data":[{"id":"a\\ud800","display_name":"\\udfff","context_length":1}]}');
  const { models } = parsed as { models: KimiModel[] };
  expect(models).toMatchObject([{ id: 'a\ufffd', displayName: '\ufffd' }]);
  expect(printKimiConfig(configWith({}, KIMI_REGIONS['mainland-cn'], models))).toContain('kimi-code/a\ufffd');
});
