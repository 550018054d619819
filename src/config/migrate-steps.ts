import type { TomlDocument } from './document.ts';
import { copy, isTable, type Table } from './edit-values.ts';
import type { Problem } from './problems.ts';
import { CONFIG_VERSION } from './schema.ts';
import { isWorkspaceName } from './values.ts';

/** What makes a file of one version a file of the next, on its value: pure, and light enough for every load. */

export type FileKind = 'config' | 'workspace';

/** A file without `version` is older than versions are. */
export const LEGACY = 'legacy';

interface Step {
  to: string;
  /** Changes the value; without it the two versions differ in what may stand in the file, not in what does. */
  change?: (value: Table, document: TomlDocument) => Problem[];
}

const mapValues = (table: unknown, change: (value: unknown) => unknown): void => {
  if (!isTable(table)) return;
  for (const [key, value] of Object.entries(table)) table[key] = change(value);
};

const rolesOf = (value: Table): Table[] => (isTable(value.roles) ? Object.values(value.roles).filter(isTable) : []);

/** `op_account` of the workspace moves onto every 1Password reference, the plain ones included. */
const moveAccount = (value: Table, document: TomlDocument): Problem[] => {
  const { op_account: account } = value;
  if (account === undefined) return [];
  if (typeof account !== 'string') return [document.problem(['op_account'], 'op_account: expected a text, the 1Password account of this workspace')];
  delete value.op_account;
  const withAccount = (entry: unknown): unknown => {
    if (typeof entry === 'string') return entry.startsWith('op://') ? { op: entry, account } : entry;
    return isTable(entry) && typeof entry.op === 'string' && entry.account === undefined ? { ...entry, account } : entry;
  };
  for (const holder of [value, ...rolesOf(value)]) {
    mapValues(holder.env, withAccount);
    if (isTable(holder.github)) mapValues(holder.github.env, withAccount);
  }
  return [];
};

const STEPS: Record<FileKind, readonly Step[]> = {
  config: [
    { to: 'v1alpha1' }, // the version is written down
    { to: 'v1alpha2' }, // it is the first key, where it is always written
    { to: 'v1alpha3' }, // [opencode]
    { to: 'v1alpha4' }, // [kimi]
    { to: 'v1alpha5' }, // [git]
    { to: CONFIG_VERSION }, // sync_source_dir
  ],
  workspace: [
    { to: 'v1alpha1' },
    { to: 'v1alpha2' },
    { to: 'v1alpha3' },
    { to: 'v1alpha4' },
    { to: 'v1alpha5', change: moveAccount },
    { to: CONFIG_VERSION },
  ],
};

const VERSIONS: readonly string[] = [LEGACY, ...STEPS.config.map(({ to }) => to)];

/** `v1alpha6` < `v1beta1` < `v1` < `v2alpha1`, as numbers to compare one by one. */
const rank = (version: string): number[] | undefined => {
  const [, major, stage, number = '0'] = /^v(\d{1,9})(?:(alpha|beta)(\d{1,9}))?$/.exec(version) ?? [];
  return major === undefined ? undefined : [Number(major), stage === undefined ? 2 : stage === 'beta' ? 1 : 0, Number(number)];
};

const isNewer = (version: number[], newest: string): boolean => {
  const ours = rank(newest)!;
  const at = ours.findIndex((part, index) => version[index] !== part);
  return at !== -1 && version[at]! > ours[at]!;
};

/** The version of a document, {@link LEGACY} without one, or what is wrong with it. `known` are the versions of its kind, the newest last. */
export const versionOf = (document: TomlDocument, known: readonly string[] = VERSIONS): string | Problem => {
  const { version } = document.value;
  const newest = known.at(-1)!;
  if (version === undefined) return LEGACY;
  if (typeof version === 'string' && known.includes(version) && version !== LEGACY) return version;
  const ranked = typeof version === 'string' ? rank(version) : undefined;
  if (ranked === undefined) return document.problem(['version'], `version: expected a text such as "${newest}"`);
  const shown = JSON.stringify(version);
  return document.problem(
    ['version'],
    isNewer(ranked, newest)
      ? `version: version ${shown} is not one that this jackin understands (the newest it knows is ${newest}): update jackin`
      : `version: there is no way from version ${shown} to ${newest}`,
  );
};

/** A table of a document as a document of its own, in the same place of the same file. */
const partOf = (document: TomlDocument, path: string[], value: Table): TomlDocument => ({
  ...document,
  value,
  locate: (inner) => document.locate([...path, ...inner]),
  problem: (inner, message, withValue) => document.problem([...path, ...inner], message, withValue),
});

export interface Upgraded {
  /** Version of the text. */
  from: string;
  /** The document with the value that its newest version would have; places are those of the text as it is. */
  document: TomlDocument;
  /** Workspaces that stand in an old config.toml, by name. */
  workspaces: Map<string, TomlDocument>;
}

const workspacesOf = (document: TomlDocument): Map<string, TomlDocument> | Problem[] => {
  const { workspaces } = document.value;
  if (workspaces === undefined) return new Map();
  if (!isTable(workspaces)) return [document.problem(['workspaces'], 'workspaces: expected tables, one for each workspace')];
  const problems: Problem[] = [];
  const found = new Map<string, TomlDocument>();
  for (const [name, value] of Object.entries(workspaces)) {
    const path = ['workspaces', name];
    if (!isTable(value)) problems.push(document.problem(path, `${path.join('.')}: expected a table`));
    else if (!isWorkspaceName(name)) problems.push(document.problem(path, `${JSON.stringify(name)} cannot be the name of a workspace file: use letters, digits, "-", "_" and "."`));
    else {
      const upgraded = upgradeDocument('workspace', partOf(document, path, value));
      if (Array.isArray(upgraded)) problems.push(...upgraded);
      else found.set(name, upgraded.document);
    }
  }
  return problems.length > 0 ? problems : found;
};

/**
 * Pure: a document as the newest version would have it, or what is in the way.
 * `[workspaces.<name>]` of an old config.toml are taken out, each upgraded by itself.
 */
export const upgradeDocument = (kind: FileKind, document: TomlDocument): Upgraded | Problem[] => {
  const from = versionOf(document);
  if (typeof from !== 'string') return [from];
  if (from === CONFIG_VERSION) return { from, document, workspaces: new Map() };
  const workspaces = kind === 'config' ? workspacesOf(document) : new Map<string, TomlDocument>();
  if (Array.isArray(workspaces)) return workspaces;
  const value = copy(document.value);
  if (kind === 'config') delete value.workspaces;
  const problems: Problem[] = [];
  for (const { to, change } of STEPS[kind].slice(VERSIONS.indexOf(from))) {
    problems.push(...(change?.(value, document) ?? []));
    value.version = to;
  }
  return problems.length > 0 ? problems : { from, document: { ...document, value }, workspaces };
};
