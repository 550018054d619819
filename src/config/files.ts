import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { isDeepStrictEqual, TextDecoder } from 'node:util';
import type * as z from 'zod';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { isProblem, MAX_TOML_BYTES, parseDocument, type TomlDocument } from './document.ts';
import { copy } from './edit-values.ts';
import { type FileKind, LEGACY, type Upgraded, upgradeDocument } from './migrate-steps.ts';
import { didYouMean } from './nearest.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { configError, type Problem } from './problems.ts';
import { CONFIG_VERSION, type ConfigToml, ConfigSchema, type WorkspaceToml, WorkspaceSchema } from './schema.ts';
import { validateDocument } from './validate.ts';
import { isWorkspaceName } from './values.ts';
import { CHANGES, isTaken, makeFolderOf, writeConfigFile } from './write.ts';

/** A file that was read and found valid. */
export interface LoadedFile<T> {
  document: TomlDocument;
  value: T;
  /** Version of the text on disk, when it is not the newest. */
  from?: string;
}

export interface ConfigFiles {
  global: LoadedFile<ConfigToml> | undefined;
  workspace: LoadedFile<WorkspaceToml> | undefined;
}

const wholeFile = (file: string, message: string): Problem => ({ file, line: 1, column: 1, message, lineText: '' });

/**
 * The text of a file; undefined when there is none. Never waits on a FIFO, never reads
 * more than the cap. Not through the thread pool: a thousand small files take six times
 * as long there.
 */
const readText = (file: string): string | Problem | undefined => {
  try {
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(descriptor);
      if (!stat.isFile()) return wholeFile(file, stat.isDirectory() ? 'is a directory' : 'is not a regular file');
      if (stat.size > MAX_TOML_BYTES) return wholeFile(file, `larger than ${MAX_TOML_BYTES} bytes`);
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (error instanceof TypeError) return wholeFile(file, 'is not UTF-8 text');
    return wholeFile(file, `cannot be read: ${messageOf(error)}`);
  }
};

/** A file as the newest version would have it, and its text as it is. */
export interface ReadFile extends Upgraded {
  text: string;
}

/** Reads a file of any version. Undefined when there is none. Nothing is written: an older one is brought up in memory. */
export const readUpgraded = (file: string, kind: FileKind): ReadFile | Problem[] | undefined => {
  const text = readText(file);
  if (text === undefined) return undefined;
  if (typeof text !== 'string') return [text];
  const document = parseDocument(file, text.replace(/^\uFEFF/, ''));
  if (isProblem(document)) return [document];
  try {
    const upgraded = upgradeDocument(kind, document);
    return Array.isArray(upgraded) ? upgraded : { ...upgraded, text };
  } catch (error) {
    if (error instanceof RangeError) return [wholeFile(file, 'nested too deeply to be read')];
    throw error;
  }
};

const validated = <T>(schema: z.ZodType<T>, document: TomlDocument, from: string): LoadedFile<T> | Problem[] => {
  const result = validateDocument(schema, document);
  if (!result.ok) return result.problems;
  return { document, value: result.value, ...(from !== CONFIG_VERSION && { from }) };
};

const validateRead = <T>(schema: z.ZodType<T>, read: ReadFile | Problem[] | undefined): LoadedFile<T> | Problem[] | undefined =>
  read === undefined || Array.isArray(read) ? read : validated(schema, read.document, read.from);

/** The workspaces that stand in an old config.toml. */
const workspacesIn = (config: ReadFile | Problem[] | undefined): Map<string, TomlDocument> =>
  config === undefined || Array.isArray(config) ? new Map() : config.workspaces;

const loadWorkspace = (paths: Paths, name: string, inConfig: TomlDocument | undefined): LoadedFile<WorkspaceToml> | Problem[] | undefined => {
  const file = workspaceFile(paths, name);
  const read = readUpgraded(file, 'workspace');
  if (inConfig === undefined) return validateRead(WorkspaceSchema, read);
  if (read === undefined) return validated(WorkspaceSchema, inConfig, LEGACY);
  // A migration that was killed half-way leaves both, with the same content.
  const isSame = !Array.isArray(read) && isDeepStrictEqual(copy(read.document.value), copy(inConfig.value));
  return isSame ? validateRead(WorkspaceSchema, read) : [inConfig.problem([], `workspace "${name}" stands here and in ${file}: remove one of them`)];
};

const assertNoProblems = (results: unknown[]): void => {
  const problems = results.flatMap((result) => (Array.isArray(result) ? (result as Problem[]) : []));
  if (problems.length > 0) throw configError(problems);
};

export const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

export const assertWorkspaceName = (name: string): void => {
  if (isWorkspaceName(name)) return;
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  throw new JackinError('usage', `${shown} is not a workspace name`, {
    hint: 'use letters, digits, "-", "_" and ".", at most 64 of them; for a directory write its path, such as ./app',
  });
};

const namesOfFiles = async (paths: Paths): Promise<string[]> => {
  try {
    const entries = await readdir(paths.workspacesDir);
    return entries
      .filter((entry) => entry.endsWith('.toml'))
      .map((entry) => entry.slice(0, -'.toml'.length))
      .filter(isWorkspaceName);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${paths.workspacesDir}: ${messageOf(error)}`, { cause: error });
  }
};

const namesOf = async (paths: Paths, inConfig: Map<string, TomlDocument>): Promise<string[]> =>
  [...new Set([...(await namesOfFiles(paths)), ...inConfig.keys()])].sort();

/** Names of the saved workspaces, sorted; those that stand in an old config.toml are among them. */
export const listWorkspaces = async (paths: Paths): Promise<string[]> => namesOf(paths, workspacesIn(readUpgraded(paths.configFile, 'config')));

/** The error for a name that no workspace has, with the ones that there are. */
export const unknownWorkspace = async (paths: Paths, name: string): Promise<JackinError> => {
  const known = await listWorkspaces(paths);
  const advice = didYouMean(name, known) || (known.length === 0 ? '' : `saved: ${known.slice(0, 10).join(', ')}`);
  return new JackinError('not-found', `there is no workspace "${name}" in ${paths.workspacesDir}`, {
    hint: [advice, 'for a directory write its path, such as ./app; `jackin workspace create` saves a new one'].filter(Boolean).join('; '),
  });
};

/**
 * Reads config.toml and, when named, one workspace file. All problems of both are
 * thrown at once; an invalid file never counts as an absent one. Older versions are
 * read as what they would become.
 */
export const readConfigFiles = async (paths: Paths, workspace?: string): Promise<ConfigFiles> => {
  if (workspace !== undefined) assertWorkspaceName(workspace);
  const config = readUpgraded(paths.configFile, 'config');
  const globalResult = validateRead(ConfigSchema, config);
  const workspaceResult = workspace === undefined ? undefined : loadWorkspace(paths, workspace, workspacesIn(config).get(workspace));
  assertNoProblems([globalResult, workspaceResult]);
  if (workspace !== undefined && workspaceResult === undefined) throw await unknownWorkspace(paths, workspace);
  return {
    global: globalResult as LoadedFile<ConfigToml> | undefined,
    workspace: workspaceResult as LoadedFile<WorkspaceToml> | undefined,
  };
};

/** Every saved workspace, by name. One invalid file fails the whole: it may be the one that is meant. */
export const readAllWorkspaces = async (paths: Paths): Promise<Map<string, LoadedFile<WorkspaceToml>>> => {
  const inConfig = workspacesIn(readUpgraded(paths.configFile, 'config'));
  const names = await namesOf(paths, inConfig);
  const results = names.map((name) => loadWorkspace(paths, name, inConfig.get(name)));
  assertNoProblems(results);
  return new Map(names.flatMap((name, index) => (results[index] === undefined ? [] : [[name, results[index] as LoadedFile<WorkspaceToml>]])));
};

/** Reads every configuration file there is; the paths of those that were read. All problems are thrown at once. */
export const validateAll = async (paths: Paths): Promise<string[]> => {
  const config = readUpgraded(paths.configFile, 'config');
  const inConfig = workspacesIn(config);
  const names = await namesOf(paths, inConfig);
  const results = [validateRead(ConfigSchema, config), ...names.map((name) => loadWorkspace(paths, name, inConfig.get(name)))];
  assertNoProblems(results);
  return [...new Set(results.flatMap((result) => (result === undefined || Array.isArray(result) ? [] : result.document.file)))];
};

/** Saves a new workspace file under the configuration lock. An existing one is never replaced. */
export const createWorkspaceFile = async (paths: Paths, name: string, text: string): Promise<string> => {
  assertWorkspaceName(name);
  const file = workspaceFile(paths, name);
  await makeFolderOf(paths.configLock);
  await withFileLock(paths.configLock, CHANGES, async () => {
    const inConfig = workspacesIn(readUpgraded(paths.configFile, 'config')).has(name);
    if (inConfig || (await isTaken(file))) {
      throw new JackinError('conflict', `workspace "${name}" exists already: ${inConfig ? paths.configFile : file}`, {
        hint: 'choose another name, or edit that file',
      });
    }
    await writeConfigFile(file, text);
  });
  return file;
};
