import type { KimiConfig } from './kimi-config.ts';
import { isTable, tableOf, textOf } from './judge.ts';
import { defaultModelOf, MANAGED_PROVIDER, parseKimiConfig, printKimiConfig, slotForHosts, slotOfProvider } from './kimi-config.ts';
import { CONFIG_FILE, DEVICE_FILE, type KimiFiles, slotFile } from './kimi-login.ts';

/** Provider types that Kimi Code calls by another name. */
/** A map: of an object, a type called "constructor" would be found as well. */
const RENAMED_TYPES: ReadonlyMap<string, string> = new Map([
  ['openai_legacy', 'openai'],
  ['gemini', 'google-genai'],
  ['google_genai', 'google-genai'],
]);

/** kimi-cli does not write down where it logged in; the global region has its own host. */
const GLOBAL_REGION = { baseUrl: /^https:\/\/api\.kimi\.ai(\/|$)/, oauthHost: 'https://auth.kimi.ai' };

/** In tokens: that of the model that every account has. */
const USUAL_CONTEXT_SIZE = 262_144;

const pick = (table: KimiConfig, keys: readonly string[]): KimiConfig =>
  Object.fromEntries(keys.filter((key) => Object.hasOwn(table, key)).map((key) => [key, table[key]]));

/** The reference by which Kimi Code finds the credential of a provider with these hosts. */
const oauthRef = (provider: KimiConfig): KimiConfig => {
  const baseUrl = textOf(provider, 'base_url');
  const oauthHost =
    textOf(tableOf(provider, 'oauth'), 'oauth_host') ??
    (GLOBAL_REGION.baseUrl.test(baseUrl ?? '') ? GLOBAL_REGION.oauthHost : undefined);
  const ref = { storage: 'file', key: `oauth/${slotForHosts(baseUrl, oauthHost)}` };
  return oauthHost === undefined ? ref : { ...ref, oauth_host: oauthHost };
};

const deriveProvider = (name: string, provider: KimiConfig): KimiConfig => {
  const type = textOf(provider, 'type') ?? 'kimi';
  const derived: KimiConfig = {
    type: RENAMED_TYPES.get(type) ?? type,
    ...pick(provider, ['base_url', 'api_key', 'env', 'custom_headers']),
  };
  const oauth = tableOf(provider, 'oauth');
  if (textOf(oauth, 'key') === undefined) return derived;
  // Kimi Code refuses a provider with both; in kimi-cli the login wins over the key.
  return { ...derived, api_key: '', oauth: name === MANAGED_PROVIDER ? oauthRef(provider) : { ...oauth, storage: 'file' } };
};

const deriveModel = (model: KimiConfig): KimiConfig => {
  const size = model['max_context_size'];
  return {
    ...pick(model, ['provider', 'model', 'capabilities', 'display_name']),
    // kimi-cli writes 0 when the server does not tell; Kimi Code drops such a model.
    max_context_size: typeof size === 'number' && size >= 1 ? size : USUAL_CONTEXT_SIZE,
  };
};

const mapTables = (table: KimiConfig, change: (name: string, value: KimiConfig) => KimiConfig): KimiConfig =>
  Object.fromEntries(
    Object.entries(table).flatMap(([name, value]) => (isTable(value) ? [[name, change(name, value)]] : [])),
  );

const deriveConfig = (config: KimiConfig): KimiConfig => {
  const providers = mapTables(tableOf(config, 'providers'), deriveProvider);
  const managedRef = tableOf(tableOf(providers, MANAGED_PROVIDER), 'oauth');
  const services = mapTables(pick(tableOf(config, 'services'), ['moonshot_search', 'moonshot_fetch']), (_name, service) => {
    const derived = pick(service, ['base_url', 'api_key', 'custom_headers']);
    return isTable(service['oauth']) ? { ...derived, api_key: '', oauth: managedRef } : derived;
  });
  const model = defaultModelOf(config);
  const thinking = config['default_thinking'];
  return {
    ...(model !== undefined && { default_model: model }),
    ...(typeof thinking === 'boolean' && { thinking: { enabled: thinking } }),
    providers,
    models: mapTables(tableOf(config, 'models'), (_name, table) => deriveModel(table)),
    ...(Object.keys(services).length > 0 && { services }),
  };
};

/**
 * The files of a Kimi Code home that is logged in with a kimi-cli login: the
 * same credential under the name that Kimi Code looks for, the same device id,
 * and the provider, model and service tables in its schema. The same input
 * always gives the same bytes. Without a readable configuration: nothing.
 */
export const deriveKimiCode = (kimiCli: KimiFiles): Map<string, Buffer> => {
  const parsed = parseKimiConfig(kimiCli.get(CONFIG_FILE)?.toString('utf8') ?? '');
  const derived = new Map<string, Buffer>();
  if (!kimiCli.has(CONFIG_FILE) || 'broken' in parsed) return derived;
  const config = deriveConfig(parsed.config);
  derived.set(CONFIG_FILE, Buffer.from(printKimiConfig(config)));
  for (const provider of Object.keys(tableOf(config, 'providers'))) {
    const from = slotOfProvider(parsed.config, provider, 'kimi');
    const to = slotOfProvider(config, provider, 'kimi-code');
    const bytes = from === undefined ? undefined : kimiCli.get(slotFile(from));
    if (bytes !== undefined && to !== undefined) derived.set(slotFile(to), bytes);
  }
  const device = kimiCli.get(DEVICE_FILE);
  if (device !== undefined) derived.set(DEVICE_FILE, device);
  return derived;
};
