import type { AgentSlug, AuthMode } from '../agents/agents.ts';
import type { ConfigFiles } from './files.ts';
import { authLayers, decide, decideOr, type Decision, type Origin } from './layers.ts';
import { expandHome } from './paths.ts';
import { type EnvEntry, resolveEnvTables } from './resolve-env.ts';

export interface AuthDecision {
  mode: Decision<AuthMode>;
  /** Undefined when no layer sets one: the agent's own directory. And when `login` decides. */
  sourceDir: Decision<string> | undefined;
  /** Account of the login of jackin's own that is used in the place of a copy; undefined when the host's is copied. */
  login: Decision<string> | undefined;
  /** The only account whose login may be copied, where a layer names one. */
  account: Decision<string> | undefined;
}

export type GithubMode = 'sync' | 'token' | 'ignore';

export interface GithubDecision {
  mode: Decision<GithubMode>;
  env: EnvEntry[];
}

/** How far the layer is that decided; nobody is the farthest. */
const distance = (decision: Decision<string> | undefined): number =>
  decision === undefined ? Number.POSITIVE_INFINITY : decision.trace.findIndex(({ value }) => value !== undefined);

const COMMAND_LINE: Origin = { layer: 'command line' };

/** What the command line says goes before every layer. */
const given = <T>(value: T, beaten: Decision<T> | undefined): Decision<T> => ({
  value,
  origin: COMMAND_LINE,
  trace: [{ origin: COMMAND_LINE, key: '--login', value }, ...(beaten?.trace ?? [])],
});

/**
 * How an agent's login is forwarded. The mode is decided on its own; of `login` and
 * `sync_source_dir`, which both say whose login it is, the nearer one counts.
 * `account` is a login of the command line: it is used whatever the files say.
 */
export const resolveAuth = (files: ConfigFiles, role: string, agent: AgentSlug, home: string, account?: string): AuthDecision => {
  const layers = authLayers(files, role);
  const mode = decideOr<AuthMode>(layers, [agent, 'auth_forward'], 'sync');
  const sourceDir = decide<string>(layers, [agent, 'sync_source_dir']);
  const login = decide<string>(layers, [agent, 'login']);
  const pinned = decide<string>(layers, [agent, 'account']);
  if (account !== undefined) return { mode: given('sync', mode), sourceDir: undefined, login: given(account, login), account: pinned };
  if (login !== undefined && distance(login) < distance(sourceDir)) return { mode, sourceDir: undefined, login, account: pinned };
  return { mode, sourceDir: sourceDir && { ...sourceDir, value: expandHome(sourceDir.value, home) }, login: undefined, account: pinned };
};

/** How GitHub access is forwarded; the same layers, without an agent. */
export const resolveGithub = (files: ConfigFiles, role: string): GithubDecision => {
  const layers = authLayers(files, role);
  const tables = [...layers].reverse().map((layer) => ({ ...layer, prefix: [...layer.prefix, 'github', 'env'] }));
  return { mode: decideOr<GithubMode>(layers, ['github', 'auth_forward'], 'sync'), env: resolveEnvTables(tables) };
};
