import { dependencyOrder, fillInValue } from '../config/env-question.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { Secret } from '../shared/secret.ts';

/** What a role makes of variables whose values had to be read first; undefined for every other entry. */
export const proposalOf = ({ source }: EnvEntry): string | undefined => (source.kind === 'prompt' && source.answer === undefined ? source.question.proposed : undefined);

/** Fills in such entries, each after those that it refers to. `values` are those of all others, by name. */
export const deriveValues = (entries: readonly EnvEntry[], values: ReadonlyMap<string, Secret>): Map<string, Secret> => {
  const derived = new Map(values);
  const proposals = new Map(entries.map((entry) => [entry.name, proposalOf(entry)]));
  const graph = new Map(entries.map(({ name, source }) => [name, source.kind === 'prompt' ? source.question.dependsOn : []]));
  const sorted = dependencyOrder(graph);
  for (const name of 'order' in sorted ? sorted.order : []) {
    const proposal = proposals.get(name);
    if (proposal !== undefined) derived.set(name, new Secret(fillInValue(name, proposal, (other) => derived.get(other)?.reveal())));
  }
  return derived;
};
