import { createHash } from 'node:crypto';
import { parse, stringify, TomlError } from 'smol-toml';
import { messageOf } from '../shared/errors.ts';
import { isTable, tableOf, textOf } from './judge.ts';
import { trimTail } from '../shared/trim.ts';

/**
 * What jackin knows of Kimi's `config.toml`: providers, models, and which file
 * below `credentials/` a provider reads. Both product generations write it.
 */

/** The product that wrote a directory: Kimi Code (TypeScript) or kimi-cli (Python). */
export type KimiGeneration = 'kimi-code' | 'kimi';

/** A parsed `config.toml`. Values have the types that TOML gave them. */
export type KimiConfig = Record<string, unknown>;

export const MANAGED_PROVIDER = 'managed:kimi-code';

const DEFAULT_OAUTH_HOST = 'https://auth.kimi.com';
const DEFAULT_BASE_URL = 'https://api.kimi.com/coding/v1';
const DEFAULT_SLOT = 'kimi-code';

const KEY_PROVIDER_NAME = 'jackin-api-key';

/** Parses a `config.toml`; the reason is one line without the file's content, which may hold keys. */
export const parseKimiConfig = (text: string): { config: KimiConfig } | { broken: string } => {
  try {
    return { config: parse(text, { integersAsBigInt: 'asNeeded' }) };
  } catch (error) {
    // The lines after the first one quote the file.
    const [reason = ''] = messageOf(error).split('\n');
    return { broken: error instanceof TomlError ? `line ${error.line}: ${reason}` : reason };
  }
};

export const printKimiConfig = (config: KimiConfig): string => `${stringify(config).trimEnd()}\n`;

const withoutTrailingSlashes = (url: string): string => trimTail(url, '/');

/** Name of the credential file, without `.json`, that Kimi Code keeps for a pair of hosts. */
export const slotForHosts = (baseUrl: string | undefined, oauthHost: string | undefined): string => {
  const host = withoutTrailingSlashes((oauthHost ?? DEFAULT_OAUTH_HOST).trim());
  const base = withoutTrailingSlashes(baseUrl ?? DEFAULT_BASE_URL);
  if (host === DEFAULT_OAUTH_HOST && base === DEFAULT_BASE_URL) return DEFAULT_SLOT;
  const hash = createHash('sha256').update(JSON.stringify({ oauthHost: host, baseUrl: base }));
  return `${DEFAULT_SLOT}-env-${hash.digest('hex').slice(0, 16)}`;
};

/** A file name below `credentials/`; Kimi Code refuses slashes and leading dots, kimi-cli takes the last part. */
const slotFromKey = (key: string, generation: KimiGeneration): string | undefined => {
  const name = generation === 'kimi' ? (key.split('/').at(-1) ?? '') : key.replace(/^oauth\//, '');
  return name === '' || name.startsWith('.') || /[/\\\0]/.test(name) ? undefined : name;
};

/** Slot that a provider of the configuration reads at run time; undefined when it uses no OAuth login. */
export const slotOfProvider = (config: KimiConfig, name: string, generation: KimiGeneration): string | undefined => {
  const provider = tableOf(tableOf(config, 'providers'), name);
  const oauth = tableOf(provider, 'oauth');
  const key = textOf(oauth, 'key');
  if (key === undefined) return undefined;
  // For its own provider Kimi Code computes the slot from the hosts and ignores a key that differs.
  if (name === MANAGED_PROVIDER && generation === 'kimi-code') {
    return slotForHosts(textOf(provider, 'base_url'), textOf(oauth, 'oauth_host'));
  }
  return slotFromKey(key, generation);
};

/** How the provider that the agent would use proves who it is. */
export type KimiCredential =
  | { kind: 'slot'; provider: string; slot: string }
  | { kind: 'key'; provider: string; key: string }
  | { kind: 'env'; provider: string; variable: string };

const credentialOfProvider = (
  config: KimiConfig,
  provider: string,
  generation: KimiGeneration,
): KimiCredential | undefined => {
  const table = tableOf(tableOf(config, 'providers'), provider);
  const slot = slotOfProvider(config, provider, generation);
  if (generation === 'kimi' && slot !== undefined) return { kind: 'slot', provider, slot };
  const key = textOf(table, 'api_key') ?? textOf(tableOf(table, 'env'), 'KIMI_API_KEY');
  if (key !== undefined) return { kind: 'key', provider, key };
  const variable = textOf(table, 'api_key_env');
  if (variable !== undefined) return { kind: 'env', provider, variable };
  return slot === undefined ? undefined : { kind: 'slot', provider, slot };
};

/** The credentials of all providers, in the order of the file. */
export const listCredentials = (config: KimiConfig, generation: KimiGeneration): KimiCredential[] =>
  Object.keys(tableOf(config, 'providers')).flatMap((name) => credentialOfProvider(config, name, generation) ?? []);

/**
 * The credential behind the default model; without a usable default model that
 * of Kimi's own provider, else of the first provider that has one.
 */
export const credentialInUse = (config: KimiConfig, generation: KimiGeneration): KimiCredential | undefined => {
  const model = tableOf(tableOf(config, 'models'), textOf(config, 'default_model') ?? '');
  const chosen = textOf(model, 'provider');
  if (chosen !== undefined) return credentialOfProvider(config, chosen, generation);
  return credentialOfProvider(config, MANAGED_PROVIDER, generation) ?? listCredentials(config, generation)[0];
};

export interface ModelAlias {
  alias: string;
  model: string;
}

/** The names that `--model` takes, in the order of the file, and the model id behind each. */
export const listAliases = (config: KimiConfig): ModelAlias[] => {
  const models = tableOf(config, 'models');
  return Object.keys(models).flatMap((alias) => {
    const model = textOf(tableOf(models, alias), 'model');
    return model === undefined ? [] : [{ alias, model }];
  });
};

export const defaultModelOf = (config: KimiConfig): string | undefined => textOf(config, 'default_model');

interface ResolvedModel {
  /** What to pass with `--model`. */
  alias: string;
  /** False: no alias answers to it, and Kimi is going to refuse it. */
  known: boolean;
}

/** Turns what a person asked for into an alias: exact alias, else the one alias with that model id, else as it stands. */
export const resolveModel = (requested: string, aliases: readonly ModelAlias[]): ResolvedModel => {
  if (aliases.some(({ alias }) => alias === requested)) return { alias: requested, known: true };
  const [only, ...others] = aliases.filter(({ model }) => model === requested);
  return only !== undefined && others.length === 0
    ? { alias: only.alias, known: true }
    : { alias: requested, known: false };
};

export interface KeyProvider {
  baseUrl: string;
  model: string;
  contextSize: number;
}

const keyProviderAlias = (model: string): string => `jackin/${model}`;

const isOwnAlias = (alias: string | undefined): boolean => alias?.startsWith('jackin/') ?? false;

/** `table` under `key` of `config`, or without the key when nothing is left in it. */
const withTable = (config: KimiConfig, key: string, table: KimiConfig): KimiConfig => {
  const { [key]: _old, ...rest } = config;
  return Object.keys(table).length === 0 ? rest : { ...rest, [key]: table };
};

/**
 * Adds a provider that reads the key from `KIMI_API_KEY` and makes its model the
 * default. The key itself is nowhere. `previousDefault` is what {@link removeKeyProvider} restores.
 */
export const addKeyProvider = (
  original: KimiConfig,
  { baseUrl, model, contextSize }: KeyProvider,
): { config: KimiConfig; previousDefault: string | undefined } => {
  const previous = defaultModelOf(original);
  const { default_model: _replaced, ...clean } = removeKeyProvider(original, undefined);
  const alias = keyProviderAlias(model);
  return {
    previousDefault: isOwnAlias(previous) ? undefined : previous,
    config: {
      default_model: alias,
      ...clean,
      providers: {
        ...tableOf(clean, 'providers'),
        [KEY_PROVIDER_NAME]: { type: 'kimi', base_url: baseUrl, api_key_env: 'KIMI_API_KEY' },
      },
      models: {
        ...tableOf(clean, 'models'),
        [alias]: {
          provider: KEY_PROVIDER_NAME,
          model,
          max_context_size: contextSize,
          capabilities: ['thinking', 'image_in', 'video_in', 'tool_use'],
        },
      },
    },
  };
};

/** Takes out what {@link addKeyProvider} put in; a default model that the agent's user chose since stays. */
export const removeKeyProvider = (original: KimiConfig, previousDefault: string | undefined): KimiConfig => {
  const { [KEY_PROVIDER_NAME]: _provider, ...providers } = tableOf(original, 'providers');
  const models = Object.fromEntries(
    Object.entries(tableOf(original, 'models')).filter(
      ([, model]) => !isTable(model) || model['provider'] !== KEY_PROVIDER_NAME,
    ),
  );
  const config = withTable(withTable(original, 'providers', providers), 'models', models);
  if (!isOwnAlias(defaultModelOf(config))) return config;
  const { default_model: _own, ...rest } = config;
  return previousDefault === undefined ? rest : { default_model: previousDefault, ...rest };
};
