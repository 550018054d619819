import type * as z from 'zod';
import { JackinError } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { isProblem, parseDocument, type TomlDocument } from './document.ts';
import { isSection, renderKey, renderSections, renderValue } from './edit-render.ts';
import { rewriteText } from './edit-text.ts';
import { applyEdits, copy, type Edit, type Origins, type Table } from './edit-values.ts';
import { schemaLine } from './editor-schema.ts';
import { assertWorkspaceName, readUpgraded, unknownWorkspace } from './files.ts';
import { lookUp } from './layers.ts';
import { type PlannedMigration, persistMigration, planMigration } from './migrate.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { configError, problemLines } from './problems.ts';
import { ConfigSchema, CONFIG_VERSION, WorkspaceSchema } from './schema.ts';
import { validateDocument } from './validate.ts';
import { CHANGES, isTaken, makeFolderOf, removeFile, writeConfigFile } from './write.ts';

export type { Edit } from './edit-values.ts';

/** The lines that a person writes by hand for an edit. What may be a secret is left out. */
const linesToPaste = (wanted: Table, { path }: Edit): string[] => {
  const firstIndex = path.findIndex((name) => typeof name === 'number');
  const whole = (firstIndex === -1 ? path : path.slice(0, firstIndex)) as string[];
  const value = lookUp(wanted, whole);
  const name = whole.map(renderKey).join('.');
  if (value === undefined) return [`(remove ${name})`];
  if (whole.includes('env')) return [`${name} = …`];
  return isSection(value) ? renderSections(whole, value) : [`${name} = ${renderValue(value)}`];
};

const cannotEdit = (file: string, wanted: Table, edits: readonly Edit[]): JackinError => {
  const lines = [...new Set(edits.flatMap((edit) => linesToPaste(wanted, edit)))].flatMap((text) => text.split('\n'));
  return new JackinError('conflict', `${file} was left as it is: the change cannot be made without losing a comment that stands in it`, {
    hint: `change it by hand, so that it says:\n${lines.map((line) => `    ${line}`).join('\n')}`,
  });
};

/**
 * Pure: the text of a TOML file with edits made. Comments, order, blank lines and
 * quoting of everything that is not edited stay. A comment line goes only with the
 * value or the element of a list in which it stands; one behind a removed key on
 * its line goes with it. When that cannot be kept: a `conflict` with the lines to paste.
 */
export const editText = (file: string, text: string, edits: readonly Edit[]): string => {
  const document = parseDocument(file, text.replace(/^\uFEFF/, ''));
  if (isProblem(document)) throw configError([document]);
  const origins: Origins = new WeakMap();
  const wanted = applyEdits(document.value, edits, origins);
  const result = rewriteText(text, wanted, origins);
  if (result === undefined) throw cannotEdit(file, wanted, edits);
  return result;
};

export type EditTarget = { kind: 'config' } | { kind: 'workspace'; name: string; create?: boolean };

/** A file as it is to be edited. */
interface Editable {
  text: string;
  value: Table;
  /** What has to be written before the file: older versions, and the config.toml that a workspace still stands in. */
  pending: PlannedMigration | undefined;
}

const valid = (schema: z.ZodType, document: TomlDocument): Table => {
  const result = validateDocument(schema, document);
  if (!result.ok) throw configError(result.problems);
  return copy(document.value);
};

const newFile = (kind: EditTarget['kind']): Editable => ({
  text: `${schemaLine(kind)}\nversion = "${CONFIG_VERSION}"\n`,
  value: { version: CONFIG_VERSION },
  pending: undefined,
});

const openConfig = (paths: Paths): Editable => {
  const read = readUpgraded(paths.configFile, 'config');
  if (Array.isArray(read)) throw configError(read);
  if (read === undefined) return newFile('config');
  const value = valid(ConfigSchema, read.document);
  const pending = planMigration(paths, undefined);
  return { text: pending?.after ?? read.text, value, pending };
};

/** A workspace that still stands in an old config.toml, and maybe in a file that a killed migration made. */
const openInConfig = (paths: Paths, name: string): Editable | undefined => {
  const read = readUpgraded(paths.configFile, 'config');
  const document = read === undefined || Array.isArray(read) ? undefined : read.workspaces.get(name);
  if (document === undefined) return undefined;
  const value = valid(WorkspaceSchema, document);
  const pending = planMigration(paths, undefined)!;
  return { text: pending.workspaces.get(name)!, value, pending };
};

const openWorkspace = async (paths: Paths, name: string, create: boolean): Promise<Editable> => {
  assertWorkspaceName(name);
  const inConfig = openInConfig(paths, name);
  if (inConfig !== undefined) return inConfig;
  const read = readUpgraded(workspaceFile(paths, name), 'workspace');
  if (Array.isArray(read)) throw configError(read);
  if (read === undefined) {
    if (create) return newFile('workspace');
    throw await unknownWorkspace(paths, name);
  }
  const value = valid(WorkspaceSchema, read.document);
  const pending = planMigration(paths, name);
  return { text: pending?.after ?? read.text, value, pending };
};

/** Refuses a text that would not be read again. */
const assertValid = (schema: z.ZodType, file: string, text: string): void => {
  const document = parseDocument(file, text.replace(/^\uFEFF/, ''));
  const result = isProblem(document) ? { ok: false as const, problems: [document] } : validateDocument(schema, document);
  if (result.ok) return;
  throw new JackinError('usage', `this cannot be saved in ${file}:\n${problemLines(result.problems, ({ message }) => `  ${message}`).join('\n')}`, {
    hint: 'nothing was changed',
  });
};

/**
 * Changes one configuration file under the configuration lock, in one step, and only
 * when the result is valid. `change` sees what the file holds at that moment. A file
 * of an older version is migrated with it; nothing is written when nothing changes.
 */
export const editFile = async (
  paths: Paths,
  target: EditTarget,
  change: (current: Record<string, unknown>) => readonly Edit[],
): Promise<{ file: string; changed: boolean }> => {
  const [file, schema] = target.kind === 'config' ? [paths.configFile, ConfigSchema] : [workspaceFile(paths, target.name), WorkspaceSchema];
  const open = () => (target.kind === 'config' ? openConfig(paths) : openWorkspace(paths, target.name, target.create ?? false));
  await makeFolderOf(paths.configLock);
  return withFileLock(paths.configLock, CHANGES, async () => {
    const { text, value, pending } = await open();
    const after = editText(file, text, change(copy(value)));
    if (after === text) return { file, changed: false };
    assertValid(schema, file, after);
    await saveAll(paths, file, after, pending);
    return { file, changed: true };
  });
};

const saveAll = async (paths: Paths, file: string, text: string, pending: PlannedMigration | undefined): Promise<void> => {
  if (pending === undefined) return writeConfigFile(file, text);
  const isItself = pending.file === file;
  await persistMigration(paths, isItself ? { ...pending, after: text } : pending, new Date());
  if (!isItself) await writeConfigFile(file, text);
};

/** Removes the file of a workspace; where it is a link, the link. Returns its path. An unknown name is `not-found`. */
export const removeWorkspaceFile = async (paths: Paths, name: string): Promise<string> => {
  assertWorkspaceName(name);
  const file = workspaceFile(paths, name);
  await makeFolderOf(paths.configLock);
  return withFileLock(paths.configLock, CHANGES, async () => {
    const inConfig = openInConfig(paths, name);
    if (inConfig?.pending !== undefined) await persistMigration(paths, inConfig.pending, new Date());
    if (!(await isTaken(file))) throw await unknownWorkspace(paths, name);
    await removeFile(file);
    return file;
  });
};
