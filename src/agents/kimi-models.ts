import { isTable, type Table, tableOf, textOf } from './judge.ts';
import { defaultModelOf, type KimiConfig, MANAGED_PROVIDER, slotForHosts } from './kimi-config.ts';
import { KIMI_REGIONS, type KimiHosts } from './kimi-hosts.ts';

/** The models that a Kimi account may use, and the `config.toml` that Kimi Code makes of them. */

export interface KimiModel {
  id: string;
  /** Tokens. */
  contextSize: number;
  /** In Kimi's own words and order. */
  capabilities: string[];
  /** Whether thinking is a choice; `undefined` where the server only says what the model can. */
  thinkingType?: 'only' | 'both' | 'no';
  displayName?: string;
  /** As `config.toml` has it; missing for the usual one. */
  protocol?: 'anthropic' | 'openai_responses';
  efforts?: { valid: string[]; default?: string };
}

/** What every account has: for a login whose list of models nobody could get. */
export const USUAL_MODEL: KimiModel = {
  id: 'kimi-for-coding',
  contextSize: 262_144,
  capabilities: ['thinking', 'image_in', 'video_in', 'tool_use'],
};

const thinkingTypeIn = (entry: Table): KimiModel['thinkingType'] => {
  const type = entry['supports_thinking_type'];
  return type === 'only' || type === 'both' || type === 'no' ? type : undefined;
};

const capabilitiesIn = (entry: Table): string[] => {
  const type = thinkingTypeIn(entry);
  const able: [string, boolean][] = [
    ['thinking', type === undefined ? entry['supports_reasoning'] === true : type !== 'no'],
    ['always_thinking', type === 'only'],
    ['image_in', entry['supports_image_in'] === true],
    ['video_in', entry['supports_video_in'] === true],
    ['tool_use', entry['supports_tool_use'] !== false],
    ['dynamically_loaded_tools', entry['supports_dynamic_tools'] === true],
  ];
  return able.flatMap(([name, is]) => (is ? [name] : []));
};

const effortsIn = (entry: Table): KimiModel['efforts'] => {
  const efforts = tableOf(entry, 'think_efforts');
  const valid = efforts['valid_efforts'];
  if (efforts['support'] !== true || !Array.isArray(valid)) return undefined;
  const fallback = textOf(efforts, 'default_effort');
  return { valid: valid.filter((effort): effort is string => typeof effort === 'string'), ...(fallback !== undefined && { default: fallback }) };
};

const PROTOCOLS: ReadonlyMap<string | undefined, KimiModel['protocol']> = new Map([['anthropic', 'anthropic'], ['response', 'openai_responses']]);

const modelIn = (entry: unknown): KimiModel | { broken: string } => {
  if (!isTable(entry)) return { broken: 'an entry is not an object' };
  const id = textOf(entry, 'id');
  if (id === undefined) return { broken: 'a model has no id' };
  // It becomes a name that a person types, and a line of what a person is told.
  if (/[\p{Cc}\p{Cf}]/u.test(id)) return { broken: `the model id ${JSON.stringify(id.replaceAll(/[\p{Cc}\p{Cf}]/gu, '\ufffd'))} holds characters that nobody can see` };
  const contextSize = entry['context_length'];
  if (typeof contextSize !== 'number' || !Number.isSafeInteger(contextSize) || contextSize < 1) return { broken: `the model ${JSON.stringify(id)} has no context_length` };
  const displayName = textOf(entry, 'display_name');
  const thinkingType = thinkingTypeIn(entry);
  const protocol = PROTOCOLS.get(textOf(entry, 'protocol'));
  const efforts = effortsIn(entry);
  return {
    id,
    contextSize,
    capabilities: capabilitiesIn(entry),
    ...(thinkingType !== undefined && { thinkingType }),
    ...(displayName !== undefined && { displayName }),
    ...(protocol !== undefined && { protocol }),
    ...(efforts !== undefined && { efforts }),
  };
};

/** Half a character, which JSON can say and TOML cannot. */
const wellFormed = (_key: string, value: unknown): unknown => (typeof value === 'string' ? value.replaceAll(/\p{Cs}/gu, '\ufffd') : value);

/** The models in an answer of `GET /models`, in its order. As strict as Kimi Code: one broken entry spoils it. */
export const parseModels = (body: string): { models: KimiModel[] } | { broken: string } => {
  let answer: unknown;
  try {
    answer = JSON.parse(body, wellFormed);
  } catch {
    return { broken: 'it is no JSON' };
  }
  const data = isTable(answer) ? answer['data'] : undefined;
  if (!Array.isArray(data)) return { broken: 'it holds no list' };
  const models: KimiModel[] = [];
  for (const entry of data) {
    const model = modelIn(entry);
    if ('broken' in model) return model;
    models.push(model);
  }
  return models.length === 0 ? { broken: 'the list is empty' } : { models };
};

export const aliasOf = ({ id }: KimiModel): string => `kimi-code/${id}`;

/** Keys of a model's table that the server decides; whatever else stands in it is the person's. */
const SERVER_KEYS = new Set(['provider', 'model', 'max_context_size', 'capabilities', 'display_name', 'protocol', 'beta_api', 'adaptive_thinking', 'support_efforts', 'default_effort']);

const modelTable = (model: KimiModel, old: Table): Table => ({
  provider: MANAGED_PROVIDER,
  model: model.id,
  max_context_size: model.contextSize,
  capabilities: model.capabilities,
  ...(model.displayName !== undefined && { display_name: model.displayName }),
  ...(model.protocol !== undefined && { protocol: model.protocol }),
  ...(model.protocol === 'anthropic' && { adaptive_thinking: true, beta_api: true }),
  ...(model.efforts !== undefined && model.efforts.valid.length > 0 && { support_efforts: model.efforts.valid }),
  ...(model.efforts?.default !== undefined && { default_effort: model.efforts.default }),
  ...Object.fromEntries(Object.entries(old).filter(([key]) => !SERVER_KEYS.has(key))),
});

const oauthTable = ({ baseUrl, oauthHost }: KimiHosts): Table => {
  const isDefault = baseUrl === KIMI_REGIONS['mainland-cn'].baseUrl && oauthHost === KIMI_REGIONS['mainland-cn'].oauthHost;
  return { storage: 'file', key: `oauth/${slotForHosts(baseUrl, oauthHost)}`, ...(!isDefault && { oauth_host: oauthHost }) };
};

const thinkingFor = (model: KimiModel | undefined, old: Table): Table => {
  const able = model === undefined || model.capabilities.includes('thinking');
  const isChoice = model?.thinkingType !== 'only' && model?.thinkingType !== 'no';
  return { ...old, enabled: isChoice && typeof old['enabled'] === 'boolean' ? old['enabled'] : able };
};

/**
 * The configuration with these hosts and models in it, as Kimi Code's login writes
 * it. Models that the server no longer lists go; what a person set stays, and so
 * does the default model while there is one of that name.
 */
export const configWith = (old: KimiConfig, hosts: KimiHosts, models: readonly KimiModel[]): KimiConfig => {
  const oauth = oauthTable(hosts);
  const oldModels = tableOf(old, 'models');
  const others = Object.entries(oldModels).filter(([, table]) => !isTable(table) || table['provider'] !== MANAGED_PROVIDER);
  const managed = models.map((model): [string, Table] => [aliasOf(model), modelTable(model, tableOf(oldModels, aliasOf(model)))]);
  const all = Object.fromEntries([...others, ...managed]);
  const wanted = defaultModelOf(old);
  const chosen = wanted !== undefined && Object.hasOwn(all, wanted) ? wanted : managed[0]?.[0];
  const { default_model: _old, ...rest } = old;
  const providers = tableOf(old, 'providers');
  return {
    ...(chosen !== undefined && { default_model: chosen }),
    ...rest,
    providers: { ...providers, [MANAGED_PROVIDER]: { ...tableOf(providers, MANAGED_PROVIDER), type: 'kimi', api_key: '', base_url: hosts.baseUrl, oauth } },
    models: all,
    thinking: thinkingFor(models.find((model) => aliasOf(model) === chosen), tableOf(old, 'thinking')),
    services: {
      ...tableOf(old, 'services'),
      moonshot_search: { base_url: `${hosts.baseUrl}/search`, api_key: '', oauth },
      moonshot_fetch: { base_url: `${hosts.baseUrl}/fetch`, api_key: '', oauth },
    },
  };
};
