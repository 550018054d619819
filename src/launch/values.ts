import { deriveValues, proposalOf } from '../auth/derived-values.ts';
import { readEntries } from '../auth/env-values.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { usedEntries } from '../plan/auth.ts';
import { githubEntries } from '../plan/github.ts';
import type { Secret } from '../shared/secret.ts';
import { envSummary } from './announce.ts';
import type { Deps } from './deps.ts';

/** Values of the `[env]` and of the `[github.env]` tables, by name. */
export interface Values {
  env: ReadonlyMap<string, Secret>;
  github: ReadonlyMap<string, Secret>;
}

/** Values of all variables that reach a session, read at once: one error names all that fail, and nothing is asked for in vain. */
export const readValues = async (config: ResolvedConfig, deps: Deps, say: (line: string) => void): Promise<Values> => {
  const all = usedEntries(config);
  const env = all.filter((entry) => proposalOf(entry) === undefined);
  const github = githubEntries(config);
  const values = await readEntries([...env, ...github], deps.env, deps.signal);
  const summary = envSummary([...all, ...github].map(({ source }) => source.kind), 'resolved');
  if (summary !== undefined) say(summary);
  const named = (entries: EnvEntry[], from: number): Values['env'] => new Map(entries.map(({ name }, index) => [name, values[from + index]!]));
  const derived = all.filter((entry) => proposalOf(entry) !== undefined);
  return { env: deriveValues(derived, named(env, 0)), github: named(github, env.length) };
};
