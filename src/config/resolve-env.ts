import type { ConfigFiles } from './files.ts';
import { type LayerView, lookUp, type Origin, originOf } from './layers.ts';
import type { EnvToml } from './schema.ts';

/** Where the value of a variable comes from. A literal is held here and nowhere in the plan. */
export type EnvSource =
  | { kind: 'literal'; value: string }
  | { kind: 'host'; name: string }
  | { kind: 'op'; reference: string; account?: string };

export interface EnvEntry {
  name: string;
  source: EnvSource;
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

/** Variables of a role's manifest under those of the operator, who decides over each of them. */
export const overRoleEnv = (operator: EnvEntry[], role: EnvEntry[]): EnvEntry[] => {
  const own = new Map(role.map((entry) => [entry.name, entry]));
  const decided = operator.map((entry) => {
    const under = own.get(entry.name);
    return under === undefined ? entry : { ...entry, beaten: [...entry.beaten, under.origin] };
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
