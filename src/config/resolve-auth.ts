import type { AgentSlug, AuthMode } from '../agents/agents.ts';
import type { ConfigFiles } from './files.ts';
import { authLayers, decide, decideOr, type Decision } from './layers.ts';
import { expandHome } from './paths.ts';
import { type EnvEntry, resolveEnvTables } from './resolve-env.ts';

export interface AuthDecision {
  mode: Decision<AuthMode>;
  /** Undefined when no layer sets one: the agent's own directory. */
  sourceDir: Decision<string> | undefined;
  /** The only account whose login may be copied, where a layer names one. */
  account: Decision<string> | undefined;
}

export type GithubMode = 'sync' | 'token' | 'ignore';

export interface GithubDecision {
  mode: Decision<GithubMode>;
  env: EnvEntry[];
}

/** How an agent's login is forwarded. Mode and source directory are decided each on its own. */
export const resolveAuth = (files: ConfigFiles, role: string, agent: AgentSlug, home: string): AuthDecision => {
  const layers = authLayers(files, role);
  const sourceDir = decide<string>(layers, [agent, 'sync_source_dir']);
  return {
    mode: decideOr<AuthMode>(layers, [agent, 'auth_forward'], 'sync'),
    sourceDir: sourceDir && { ...sourceDir, value: expandHome(sourceDir.value, home) },
    account: decide<string>(layers, [agent, 'account']),
  };
};

/** How GitHub access is forwarded; the same layers, without an agent. */
export const resolveGithub = (files: ConfigFiles, role: string): GithubDecision => {
  const layers = authLayers(files, role);
  const tables = [...layers].reverse().map((layer) => ({ ...layer, prefix: [...layer.prefix, 'github', 'env'] }));
  return { mode: decideOr<GithubMode>(layers, ['github', 'auth_forward'], 'sync'), env: resolveEnvTables(tables) };
};
