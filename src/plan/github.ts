import { describeOrigin } from '../config/layers.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { JackinError } from '../shared/errors.ts';
import { isSet } from './auth.ts';
import type { Facts } from './facts.ts';
import type { PlannedGithub } from './plan.ts';

const TOKEN = 'GH_TOKEN';
/** With one of these in its environment, gh would not look at the login that is copied. */
const TOKENS = [TOKEN, 'GITHUB_TOKEN'];

/** The entries of `[github.env]` whose values reach a session in the mode that is in force. */
export const githubEntries = ({ github }: ResolvedConfig): EnvEntry[] => {
  switch (github.mode.value) {
    case 'token':
      return github.env;
    case 'sync':
      return github.env.filter(({ name }) => !TOKENS.includes(name));
    case 'ignore':
      return [];
    default:
      return github.mode.value satisfies never;
  }
};

/** What stands in `[github.env]` and goes nowhere, since the mode does not use it. */
export const unusedGithubWarnings = (config: ResolvedConfig): string[] => {
  const { mode, env } = config.github;
  const used = githubEntries(config);
  return env
    .filter((entry) => !used.includes(entry))
    .map(({ name, origin }) => `${name} (${describeOrigin(origin)}) goes to no session: github is set to ${mode.value} by ${describeOrigin(mode.origin)}`);
};

const missingToken = ({ github }: ResolvedConfig, entry: EnvEntry | undefined): JackinError => {
  const { mode } = github;
  const trace = mode.trace.map(({ origin, key, value }) => `  ${key} at ${describeOrigin(origin)}: ${value ?? 'not set'}`);
  const what = entry === undefined ? 'set in no [github.env]' : entry.source.kind === 'host' ? `$${entry.source.name}, which is not set on the host, at ${describeOrigin(entry.origin)}` : `empty, at ${describeOrigin(entry.origin)}`;
  return new JackinError('auth.missing', [`github is set to token, which needs ${TOKEN}, and ${TOKEN} is not there`, 'mode:', ...trace, 'token:', `  ${TOKEN}: ${what}`].join('\n'), {
    hint: `set ${TOKEN} in a [github.env] table, as ${TOKEN} = "$${TOKEN}" to take it from your shell, or set [github] auth_forward = "sync"`,
  });
};

/** How access to GitHub gets in. A missing token stops the plan. */
export const planGithub = (config: ResolvedConfig, { github: login, hostEnv }: Facts): PlannedGithub => {
  const { mode, env } = config.github;
  const token = env.find(({ name }) => name === TOKEN);
  if (mode.value === 'token' && !isSet(token, hostEnv)) throw missingToken(config, token);
  const isCopied = mode.value === 'sync' && login !== undefined && ['live', 'unknown'].includes(login.state);
  return {
    mode: mode.value,
    decided_by: mode.origin,
    login: mode.value === 'sync' && login !== undefined ? { dir: login.dir, state: login.state, user: login.user ?? null, why: login.why } : null,
    delivery: isCopied ? 'hosts.yml' : mode.value === 'token' ? 'stdin of the capsule' : 'nothing',
    env: githubEntries(config).map(({ name, source, origin }) => ({ name, kind: source.kind, decided_by: origin })),
  };
};
