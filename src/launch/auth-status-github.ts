import { inspectGithub, type GithubFacts } from '../auth/github-source.ts';
import type { ConfigFiles } from '../config/files.ts';
import { type GithubMode, resolveGithub } from '../config/resolve-auth.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { stateOfLogin } from './auth-status-cell.ts';
import { type AuthState, type Decider, deciderOf, keyFacts, type KeyStatus } from './auth-status-key.ts';
import type { Deps } from './deps.ts';

const TOKEN = 'GH_TOKEN';

/** GitHub access in one context; every agent shares it. */
export interface GithubCell {
  mode: GithubMode;
  decided_by: Decider;
  /** gh's directory of settings; null when no login is copied. */
  source_dir: string | null;
  state: AuthState;
  account: string | null;
  key: KeyStatus | null;
  why: string;
}

/** Looks at the host's GitHub login, once however often it is asked for. */
export type GithubLogin = () => Promise<GithubFacts>;

export const openGithubLogin = (deps: Deps): GithubLogin => {
  let found: Promise<GithubFacts> | undefined;
  return () => (found ??= inspectGithub(deps));
};

const loginFacts = async (login: GithubLogin): Promise<Omit<GithubCell, 'mode' | 'decided_by'>> => {
  const { dir, state, user, why } = await login();
  return { source_dir: dir, state: stateOfLogin(state), account: user ?? null, key: null, why };
};

const tokenFacts = (env: EnvEntry[], deps: Deps): Omit<GithubCell, 'mode' | 'decided_by'> => {
  const entry = env.find(({ name }) => name === TOKEN);
  return { source_dir: null, account: null, ...keyFacts(TOKEN, entry, deps.env, '[github.env]') };
};

/** How GitHub access stands in one context. Runs no program: what only gh can tell is `unknown`. */
export const githubCell = async (files: ConfigFiles, role: string, login: GithubLogin, deps: Deps): Promise<GithubCell> => {
  const { mode, env } = resolveGithub(files, role);
  const decided = { mode: mode.value, decided_by: deciderOf(mode.origin) };
  switch (mode.value) {
    case 'sync':
      return { ...decided, ...(await loginFacts(login)) };
    case 'token':
      return { ...decided, ...tokenFacts(env, deps) };
    case 'ignore':
      return { ...decided, source_dir: null, state: 'ignored', account: null, key: null, why: 'Nothing is forwarded.' };
    default:
      return mode.value satisfies never;
  }
};
