import { textOf, tableOf } from '../agents/judge.ts';
import { defaultModelOf, type KimiConfig, listAliases, MANAGED_PROVIDER, parseKimiConfig, slotOfProvider } from '../agents/kimi-config.ts';
import { KIMI_REGIONS } from '../agents/kimi-hosts.ts';
import { CONFIG_FILE, judgeCredential, slotFile } from '../agents/kimi-login.ts';
import { aliasOf, configWith, type KimiModel } from '../agents/kimi-models.ts';
import { parseToken } from '../agents/kimi-token.ts';
import { createSend } from '../auth/kimi-http.ts';
import { identityHeaders, readMachineFacts } from '../auth/kimi-identity.ts';
import { requestModels } from '../auth/kimi-models-request.ts';
import { readKimi } from '../auth/kimi-source.ts';
import { readOwnLogin } from '../auth/own-login.ts';
import { withLoginsLock, writeOwnConfig } from '../auth/write-own-login.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { freshLogin } from '../keeper/fresh-login.ts';
import { asDiskError } from '../shared/atomic-files.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { Deps } from './deps.ts';
import { sourceOptions } from './facts.ts';
import { kimiLoginHere } from './login-here.ts';
import { trimTail } from '../shared/trim.ts';

/** What Kimi's servers or its configuration say of the models of a login. */

export interface ListedModel {
  /** What `--model` takes. */
  alias: string;
  id: string;
  /** Tokens; null when the configuration does not tell. */
  context: number | null;
  capabilities: string[];
}

export interface ModelList {
  /** Null: the login of the host. */
  login: string | null;
  dir: string;
  from: 'server' | 'configuration';
  /** Why it is the configured list; null when the server was asked. */
  why: string | null;
  default_model: string | null;
  models: ListedModel[];
  /** Whether the login's configuration was written anew. */
  updated: boolean;
}

const fromServer = (models: readonly KimiModel[]): ListedModel[] =>
  models.map((model) => ({ alias: aliasOf(model), id: model.id, context: model.contextSize, capabilities: model.capabilities }));

const fromConfig = (config: KimiConfig): ListedModel[] =>
  listAliases(config).map(({ alias, model }) => {
    const { max_context_size: context, capabilities } = tableOf(tableOf(config, 'models'), alias);
    return {
      alias,
      id: model,
      context: typeof context === 'number' ? context : null,
      capabilities: Array.isArray(capabilities) ? capabilities.filter((name) => typeof name === 'string') : [],
    };
  });

/** Writes the models of a login into its configuration, as Kimi itself would. */
export const writeModels = async (paths: Paths, account: string, models: readonly KimiModel[], uid: number): Promise<KimiConfig> =>
  withLoginsLock(paths.loginsDir, async () => {
    const { dir, config, oauthHost, baseUrl } = await readOwnLogin(paths.loginsDir, account, uid);
    const updated = configWith(config, { oauthHost, baseUrl }, models);
    await writeOwnConfig(dir, updated).catch((error: unknown) => {
      throw asDiskError(error, `writing ${dir}/${CONFIG_FILE}`);
    });
    return updated;
  });

const modelsOfOwn = async (account: string, update: boolean, deps: Deps): Promise<ModelList> => {
  const { dir, token, baseUrl, deviceId, config } = await freshLogin(account, deps);
  if (token === undefined) throw new JackinError('auth.dead', `kimi:${account} holds no token`, { hint: `log in with \`jackin login kimi --account ${account}\`` });
  const headers = identityHeaders({ ...(await readMachineFacts()), deviceId });
  const models = await requestModels(createSend(deps.env), { baseUrl, accessToken: token.accessToken, headers }, deps.signal);
  const now = update ? await writeModels(locatePaths(deps), account, models, deps.uid) : config;
  return { login: `kimi:${account}`, dir, from: 'server', why: null, default_model: defaultModelOf(now) ?? null, models: fromServer(models), updated: update };
};

/** The token of a login of the host, if it can be sent as it is: jackin renews nobody else's login. */
const liveToken = (files: ReadonlyMap<string, Buffer>, config: KimiConfig, generation: 'kimi-code' | 'kimi', now: Date): string | undefined => {
  const slot = slotOfProvider(config, MANAGED_PROVIDER, generation);
  const text = slot && files.get(slotFile(slot))?.toString('utf8');
  if (!text || judgeCredential(text, now).state !== 'live') return undefined;
  return parseToken(text)?.accessToken;
};

const modelsOfHost = async (sourceDir: string | undefined, deps: Deps): Promise<ModelList> => {
  const now = deps.now();
  const { facts, set } = await readKimi({ ...sourceOptions(deps, now), sourceDir });
  if (set === undefined) throw new JackinError('auth.missing', facts.why, { hint: 'log in with `kimi login`, or make a login of jackin’s own with `jackin login kimi`' });
  const files = new Map(set.files.map(({ path, bytes }) => [path, bytes]));
  const parsed = parseKimiConfig(files.get(CONFIG_FILE)?.toString('utf8') ?? '');
  const config = 'config' in parsed ? parsed.config : {};
  const configured: ModelList = { login: null, dir: facts.dir, from: 'configuration', why: null, default_model: defaultModelOf(config) ?? null, models: fromConfig(config), updated: false };
  const accessToken = liveToken(files, config, facts.generation ?? 'kimi-code', now);
  if (accessToken === undefined) return { ...configured, why: 'its access token is over, and only Kimi itself renews it' };
  const baseUrl = trimTail(textOf(tableOf(tableOf(config, 'providers'), MANAGED_PROVIDER), 'base_url') ?? KIMI_REGIONS['mainland-cn'].baseUrl, '/');
  try {
    const models = await requestModels(createSend(deps.env), { baseUrl, accessToken, headers: {} }, deps.signal);
    return { ...configured, from: 'server', models: fromServer(models) };
  } catch (error) {
    if (deps.signal.aborted) throw error;
    return { ...configured, why: messageOf(error) };
  }
};

/**
 * The models of a login: the named one, else the one that a launch from here would
 * use. `update` writes them into its configuration; for a login of jackin's own only.
 */
export const listKimiModels = async (named: string | undefined, update: boolean, deps: Deps): Promise<ModelList> => {
  const { sourceDir, login } = await kimiLoginHere(named, undefined, 'jackin models kimi --login NAME', deps);
  const account = login?.value;
  if (account !== undefined) return modelsOfOwn(account, update, deps);
  if (update) throw new JackinError('usage', 'only the models of a login of jackin’s own can be updated; the host’s is Kimi’s to change', { hint: 'name one with --login; `jackin logins list` shows them' });
  return modelsOfHost(sourceDir?.value, deps);
};
