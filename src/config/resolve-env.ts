import { JackinError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';
import type { EnvQuestion } from './env-question.ts';
import type { ConfigFiles } from './files.ts';
import { describeOrigin, type LayerView, lookUp, type Origin, originOf } from './layers.ts';
import type { EnvToml } from './schema.ts';

/** Where the value of a variable comes from. A literal is held here and nowhere in the plan. */
export type EnvSource =
  | { kind: 'literal'; value: string }
  | { kind: 'host'; name: string }
  | { kind: 'op'; reference: string; account?: string };

/** A role's question, or what it makes of other variables. */
export interface PromptSource {
  kind: 'prompt';
  question: EnvQuestion;
  /** Left out until it is known: then the value is what the role proposes, filled in. */
  answer?: Secret;
}

export interface EnvEntry {
  name: string;
  source: EnvSource | PromptSource;
  origin: Origin;
  /** The layers that also set it and were beaten, the nearest first. */
  beaten: Origin[];
}

const HOST_REFERENCE = /^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})$/;

/** What a value in an `[env]` table means: `$NAME` and `${NAME}` as a whole, `op://…`, or itself. */
export const envSource = (value: EnvToml[string]): EnvSource => {
  if (typeof value !== 'string') return { kind: 'op', reference: value.op, ...(value.account && { account: value.account }) };
  if (value.startsWith('op://')) return { kind: 'op', reference: value };
  const reference = HOST_REFERENCE.exec(value);
  return reference === null ? { kind: 'literal', value } : { kind: 'host', name: (reference[1] ?? reference[2])! };
};

/** Merges tables of variables; a later one wins. */
export const resolveEnvTables = (layers: LayerView[]): EnvEntry[] => {
  const env = new Map<string, EnvEntry>();
  for (const { layer, document, prefix } of layers) {
    if (document === undefined) continue;
    for (const [name, value] of Object.entries((lookUp(document.value, prefix) ?? {}) as EnvToml)) {
      const before = env.get(name);
      const beaten = before === undefined ? [] : [before.origin, ...before.beaten];
      env.set(name, { name, source: envSource(value), origin: originOf(layer, document, [...prefix, name]), beaten });
    }
  }
  return [...env.values()].sort((a, b) => a.name.localeCompare(b.name));
};

/** What was given to a launch itself, as `--env` is: nearer than every table. A later one of a name wins. */
export const underCommandLine = (tables: EnvEntry[], given: readonly { name: string; value: string }[]): EnvEntry[] => {
  const env = new Map(tables.map((entry) => [entry.name, entry]));
  for (const { name, value } of given) {
    const before = env.get(name);
    const beaten = before === undefined ? [] : before.origin.layer === 'command line' ? before.beaten : [before.origin, ...before.beaten];
    env.set(name, { name, source: envSource(value), origin: { layer: 'command line' }, beaten });
  }
  return [...env.values()].sort((a, b) => a.name.localeCompare(b.name));
};

/** Only a text can be judged here: what the host or 1Password holds is read at the launch. */
const assertOption = ({ name, source, origin }: EnvEntry, under: EnvEntry): void => {
  const options = under.source.kind === 'prompt' ? under.source.question.options : undefined;
  if (options === undefined || source.kind !== 'literal' || options.includes(source.value)) return;
  throw new JackinError(origin.file === undefined ? 'usage' : 'config.invalid', `${name}, set by ${describeOrigin(origin)}, is none of the answers that the role has for it`, {
    hint: `one of ${options.map((option) => JSON.stringify(option)).join(', ')} (${describeOrigin(under.origin)})`,
  });
};

/**
 * Variables of a role's manifest under those of the operator, who decides over each of
 * them. A text of the operator's that is none of the role's options is refused.
 */
export const overRoleEnv = (operator: EnvEntry[], role: EnvEntry[]): EnvEntry[] => {
  const own = new Map(role.map((entry) => [entry.name, entry]));
  const decided = operator.map((entry) => {
    const under = own.get(entry.name);
    if (under === undefined) return entry;
    assertOption(entry, under);
    return { ...entry, beaten: [...entry.beaten, under.origin] };
  });
  const names = new Set(operator.map(({ name }) => name));
  return [...decided, ...role.filter(({ name }) => !names.has(name))].sort((a, b) => a.name.localeCompare(b.name));
};

/** The four tables of operator variables, in the order in which they win over each other. */
export const envLayers = (files: ConfigFiles, role: string): LayerView[] => [
  { layer: 'global', document: files.global?.document, prefix: ['env'] },
  { layer: 'role', document: files.global?.document, prefix: ['roles', role, 'env'] },
  { layer: 'workspace', document: files.workspace?.document, prefix: ['env'] },
  { layer: 'workspace × role', document: files.workspace?.document, prefix: ['roles', role, 'env'] },
];
