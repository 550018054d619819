import { JackinError } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { isProblem, parseDocument } from './document.ts';
import { missingFrom } from './edit-render.ts';
import { applySplices, removeLines } from './edit-splices.ts';
import { rewriteText } from './edit-text.ts';
import { endOfLine, firstPairOf, lineBreakOf, namesOf, parseTree, startOfLine, topOf } from './edit-tree.ts';
import type { Table } from './edit-values.ts';
import { schemaLine } from './editor-schema.ts';
import { listWorkspaces, type ReadFile, readUpgraded } from './files.ts';
import { type FileKind, upgradeDocument } from './migrate-steps.ts';
import { splitWorkspaces } from './migrate-split.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { configError } from './problems.ts';
import { CONFIG_VERSION } from './schema.ts';
import { CHANGES, keepBackup, writeConfigFile } from './write.ts';

export interface MigratedText {
  /** Version of the text before; `legacy` when it has none. */
  from: string;
  text: string;
  /** Files of their own for the workspaces that stood in an old config.toml. */
  workspaces: { name: string; text: string }[];
}

const withBreak = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}${lineBreakOf(text)}`);

/** The line of `version`, if it is another key that comes first, moved above all others. */
export const withVersionFirst = (text: string): string => {
  const tree = parseTree(text);
  const first = firstPairOf(tree);
  const version = tree.entries.find((entry) => entry.type === 'TOMLKeyValue' && namesOf(entry.key).join('.') === 'version');
  if (version === undefined || version === first) return text;
  const [start, end] = [startOfLine(text, version.range[0]), endOfLine(text, version.range[1])];
  const rest = removeLines(text, [{ start, end }]);
  const style = { lineBreak: lineBreakOf(text), firstPair: firstPairOf(parseTree(rest))?.range[0] };
  return applySplices(rest, [{ kind: 'line', start: topOf(rest), text: text.slice(start, end).trim() }], style);
};

/** A comment behind a key that will go, on a line for itself above it. */
const withCommentAbove = (text: string, key: string): string => {
  const { entries, comments } = parseTree(text);
  const pair = entries.find((entry) => entry.type === 'TOMLKeyValue' && namesOf(entry.key).join('.') === key);
  if (pair === undefined) return text;
  const end = endOfLine(text, pair.range[1]);
  const comment = comments.find(({ range: [at] }) => at >= pair.range[1] && at < end);
  if (comment === undefined) return text;
  const start = startOfLine(text, pair.range[0]);
  return `${text.slice(0, start)}${text.slice(...comment.range)}${lineBreakOf(text)}${text.slice(start, comment.range[0]).trimEnd()}${text.slice(comment.range[1])}`;
};

/** The text with this value and the newest version. Undefined when that cannot be done without losing a comment. */
const rewrite = (text: string, value: Table): string | undefined => rewriteText(withVersionFirst(withCommentAbove(text, 'op_account')), value);

const commentsOf = (text: string): string[] => parseTree(text).comments.map(({ value }) => value);

const migrateParts = (text: string, value: Table, parts: Map<string, Table>): Omit<MigratedText, 'from'> | undefined => {
  const split = parts.size === 0 ? { rest: text, workspaces: new Map<string, string>() } : splitWorkspaces(text);
  const rest = rewrite(split.rest, value);
  const workspaces = [...parts].map(([name, wanted]) => ({ name, text: rewrite(`${schemaLine('workspace')}${lineBreakOf(text)}${split.workspaces.get(name) ?? ''}`, wanted) }));
  const isWhole = (part: { name: string; text: string | undefined }): part is { name: string; text: string } => part.text !== undefined;
  if (rest === undefined || !workspaces.every(isWhole)) return undefined;
  const after = [rest, ...workspaces.map((part) => part.text)];
  if (missingFrom(after.flatMap(commentsOf), commentsOf(text)).length > 0) return undefined;
  return { text: withBreak(rest), workspaces };
};

/**
 * Pure: a configuration text as the newest version has it; its comments, order and
 * formatting stay. A version that there is no way from is a configuration error, and
 * a text that cannot be changed without losing a comment a `conflict`.
 */
export const migrateText = (file: string, kind: FileKind, text: string): MigratedText | 'current' => {
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const plain = text.slice(mark.length);
  const document = parseDocument(file, plain);
  if (isProblem(document)) throw configError([document]);
  const upgraded = upgradeDocument(kind, document);
  if (Array.isArray(upgraded)) throw configError(upgraded);
  const { from, workspaces } = upgraded;
  if (from === CONFIG_VERSION) return 'current';
  const migrated = migrateParts(plain, upgraded.document.value, new Map([...workspaces].map(([name, part]) => [name, part.value])));
  if (migrated !== undefined) return { ...migrated, from, text: mark + migrated.text };
  throw new JackinError('conflict', `${file} cannot be brought from version ${from} to ${CONFIG_VERSION} without losing a comment in it`, {
    hint: 'move the comments inside of values to lines of their own, and run the command again',
  });
};

export interface Migration {
  file: string;
  from: string;
  to: string;
  /** Empty for a file that is made: a workspace that stood in config.toml. */
  before: string;
  after: string;
  /** Where the text before is kept; null in a dry run, and for a file that is made. */
  backup: string | null;
}

/** One file that is to be migrated, and the files that its workspaces become. */
export interface PlannedMigration {
  /** `config`, or the name of the workspace. */
  name: string;
  file: string;
  from: string;
  before: string;
  after: string;
  /** Text of each workspace that stood in config.toml, by name. */
  workspaces: Map<string, string>;
  /** Names of those whose file has to be made: a killed migration may have made some. */
  toMake: string[];
}

interface Source {
  kind: FileKind;
  name: string;
  file: string;
}

const sourceOf = (paths: Paths, workspace: string | undefined): Source =>
  workspace === undefined ? { kind: 'config', name: 'config', file: paths.configFile } : { kind: 'workspace', name: workspace, file: workspaceFile(paths, workspace) };

/** Whether a killed migration made this very file. Any other one is in the way. */
const isMade = (paths: Paths, name: string, text: string): boolean => {
  const file = workspaceFile(paths, name);
  const there = readUpgraded(file, 'workspace');
  if (there === undefined) return false;
  if (!Array.isArray(there) && there.text === text) return true;
  throw new JackinError('conflict', `workspace "${name}" stands in ${paths.configFile} and in ${file}`, {
    hint: 'nothing was changed: keep one of them, and run the command again',
  });
};

const planOne = (paths: Paths, { kind, name, file }: Source, { text }: ReadFile): PlannedMigration | undefined => {
  const migrated = migrateText(file, kind, text);
  if (migrated === 'current') return undefined;
  const toMake = migrated.workspaces.filter((part) => !isMade(paths, part.name, part.text)).map((part) => part.name);
  const workspaces = new Map(migrated.workspaces.map((part) => [part.name, part.text]));
  return { name, file, from: migrated.from, before: text, after: migrated.text, workspaces, toMake };
};

/** What migrating a file comes to; undefined when it has the newest version or is not there. */
export const planMigration = (paths: Paths, workspace: string | undefined): PlannedMigration | undefined => {
  const source = sourceOf(paths, workspace);
  const read = readUpgraded(source.file, source.kind);
  if (Array.isArray(read)) throw configError(read);
  return read === undefined ? undefined : planOne(paths, source, read);
};

/**
 * Writes a planned migration, for whoever holds the configuration lock: first the text
 * before, then the files that are made, and the file itself last, so that a run that is
 * killed anywhere is simply done again.
 */
export const persistMigration = async (paths: Paths, planned: PlannedMigration, now: Date): Promise<string> => {
  const backup = await keepBackup(paths.jackinHome, planned.name, planned.before, now);
  for (const name of planned.toMake) await writeConfigFile(workspaceFile(paths, name), planned.workspaces.get(name)!);
  await writeConfigFile(planned.file, planned.after);
  return backup;
};

const planAll = async (paths: Paths, only: readonly string[] | undefined): Promise<PlannedMigration[]> => {
  const all = [sourceOf(paths, undefined), ...(await listWorkspaces(paths)).map((name) => sourceOf(paths, name))];
  const sources = only === undefined ? all : all.filter(({ file }) => only.includes(file));
  const reads = sources.map((source) => ({ source, read: readUpgraded(source.file, source.kind) }));
  const problems = reads.flatMap(({ read }) => (Array.isArray(read) ? read : []));
  if (problems.length > 0) throw configError(problems);
  return reads.flatMap(({ source, read }) => (read === undefined ? [] : (planOne(paths, source, read as ReadFile) ?? [])));
};

const report = (paths: Paths, { file, from, before, after, workspaces, toMake }: PlannedMigration, backup: string | null): Migration[] => [
  ...toMake.map((name) => ({ file: workspaceFile(paths, name), from, to: CONFIG_VERSION, before: '', after: workspaces.get(name)!, backup: null })),
  { file, from, to: CONFIG_VERSION, before, after, backup },
];

export interface MigrateOptions {
  dryRun: boolean;
  now: Date;
  /** Paths of the files to look at: what is wrong with another one is not in the way. Without it, every file. */
  only?: readonly string[];
}

/**
 * Brings every configuration file to the newest version, each by itself, with the text
 * before kept in the jackin home. When one of them cannot be, nothing is written.
 * With `dryRun` nothing is written either. Empty when there is nothing to do.
 */
export const migrateAll = async (paths: Paths, { dryRun, now, only }: MigrateOptions): Promise<Migration[]> => {
  const planned = await planAll(paths, only);
  if (dryRun || planned.length === 0) return planned.flatMap((one) => report(paths, one, null));
  return withFileLock(paths.configLock, CHANGES, async () => {
    const done: Migration[] = [];
    for (const one of await planAll(paths, only)) done.push(...report(paths, one, await persistMigration(paths, one, now)));
    return done;
  });
};
