import { isToken } from '../agents/github-login.ts';
import type { GithubMode } from '../config/resolve-auth.ts';
import { JackinError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';

/** Both names are in use: gh and git's helper read the first, actions and libraries the second. */
const TOKEN = 'GH_TOKEN';
const TWIN = 'GITHUB_TOKEN';

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+$/i;

const tokenIn = (values: ReadonlyMap<string, Secret>): string => {
  const token = values.get(TOKEN)?.reveal() ?? '';
  if (isToken(token)) return token;
  const what = token === '' ? 'is empty' : 'is no token: it holds a line break, a blank, or something else that no token has';
  throw new JackinError('auth.missing', `${TOKEN}, which GitHub needs in mode token, ${what}`, {
    hint: 'look at where the [github.env] table takes it from',
  });
};

/**
 * Variables for every session, from the values of `[github.env]`. In mode `sync` they
 * hold no token, since gh would prefer it to the login that is handed over; in mode
 * `ignore` there are none. Throws `auth.missing` when the token of mode `token` is none.
 */
export const githubEnvironment = (mode: GithubMode, values: ReadonlyMap<string, Secret>): Record<string, string> => {
  if (mode === 'ignore') return {};
  const others = [...values].filter(([name]) => name !== TOKEN && name !== TWIN).map(([name, value]) => [name, value.reveal()]);
  if (mode === 'sync') return Object.fromEntries(others);
  const token = tokenIn(values);
  return { ...Object.fromEntries(others), [TOKEN]: token, [TWIN]: values.get(TWIN)?.reveal() || token };
};

/** What the capsule must know to set git up: the mode and, besides github.com, the host that `GH_HOST` names. Never a secret. */
export const githubSetup = (mode: GithubMode, values: ReadonlyMap<string, Secret>): { mode: GithubMode; host?: string } => {
  const host = values.get('GH_HOST')?.reveal().toLowerCase();
  return mode !== 'ignore' && host !== undefined && HOST_NAME.test(host) ? { mode, host } : { mode };
};
