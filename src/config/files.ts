import { constants } from 'node:fs';
import { access, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { TextDecoder } from 'node:util';
import type * as z from 'zod';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { isProblem, MAX_TOML_BYTES, parseDocument, type TomlDocument } from './document.ts';
import { didYouMean } from './nearest.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { configError, type Problem } from './problems.ts';
import { type ConfigToml, ConfigSchema, type WorkspaceToml, WorkspaceSchema } from './schema.ts';
import { validateDocument } from './validate.ts';

/** A file that was read and found valid. */
export interface LoadedFile<T> {
  document: TomlDocument;
  value: T;
}

export interface ConfigFiles {
  global: LoadedFile<ConfigToml> | undefined;
  workspace: LoadedFile<WorkspaceToml> | undefined;
}

const wholeFile = (file: string, message: string): Problem => ({ file, line: 1, column: 1, message, lineText: '' });

/** The text of a file; undefined when there is none. Never waits on a FIFO, never reads more than the cap. */
const readText = async (file: string): Promise<string | Problem | undefined> => {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) return wholeFile(file, stat.isDirectory() ? 'is a directory' : 'is not a regular file');
      if (stat.size > MAX_TOML_BYTES) return wholeFile(file, `larger than ${MAX_TOML_BYTES} bytes`);
      const bytes = await handle.readFile();
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (error instanceof TypeError) return wholeFile(file, 'is not UTF-8 text');
    return wholeFile(file, `cannot be read: ${messageOf(error)}`);
  }
};

const loadFile = async <T>(file: string, schema: z.ZodType<T>): Promise<LoadedFile<T> | Problem[] | undefined> => {
  const text = await readText(file);
  if (text === undefined) return undefined;
  if (typeof text !== 'string') return [text];
  const document = parseDocument(file, text);
  if (isProblem(document)) return [document];
  const result = validateDocument(schema, document);
  return result.ok ? { document, value: result.value } : result.problems;
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

/** A name that stays inside the workspaces folder and can be typed back from a listing. */
export const isWorkspaceName = (name: string): boolean =>
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name) && !name.includes('..');

export const assertWorkspaceName = (name: string): void => {
  if (isWorkspaceName(name)) return;
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  throw new JackinError('usage', `${shown} is not a workspace name`, {
    hint: 'use letters, digits, "-", "_" and ".", at most 64 of them; for a directory write its path, such as ./app',
  });
};

/** Names of the saved workspaces, sorted. */
export const listWorkspaces = async (paths: Paths): Promise<string[]> => {
  try {
    const entries = await readdir(paths.workspacesDir);
    return entries
      .filter((entry) => entry.endsWith('.toml'))
      .map((entry) => entry.slice(0, -'.toml'.length))
      .filter(isWorkspaceName)
      .sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${paths.workspacesDir}: ${messageOf(error)}`, { cause: error });
  }
};

const unknownWorkspace = async (paths: Paths, name: string): Promise<JackinError> => {
  const known = await listWorkspaces(paths);
  const advice = didYouMean(name, known) || (known.length === 0 ? '' : `saved: ${known.slice(0, 10).join(', ')}`);
  return new JackinError('not-found', `there is no workspace "${name}" in ${paths.workspacesDir}`, {
    hint: [advice, 'for a directory write its path, such as ./app; `jackin workspace create` saves a new one'].filter(Boolean).join('; '),
  });
};

/**
 * Reads config.toml and, when named, one workspace file. All problems of both are
 * thrown at once; an invalid file never counts as an absent one.
 */
export const readConfigFiles = async (paths: Paths, workspace?: string): Promise<ConfigFiles> => {
  if (workspace !== undefined) assertWorkspaceName(workspace);
  const [globalResult, workspaceResult] = await Promise.all([
    loadFile(paths.configFile, ConfigSchema),
    workspace === undefined ? undefined : loadFile(workspaceFile(paths, workspace), WorkspaceSchema),
  ]);
  assertNoProblems([globalResult, workspaceResult]);
  if (workspace !== undefined && workspaceResult === undefined) throw await unknownWorkspace(paths, workspace);
  return {
    global: globalResult as LoadedFile<ConfigToml> | undefined,
    workspace: workspaceResult as LoadedFile<WorkspaceToml> | undefined,
  };
};

/** Every saved workspace, by name. One invalid file fails the whole: it may be the one that is meant. */
export const readAllWorkspaces = async (paths: Paths): Promise<Map<string, LoadedFile<WorkspaceToml>>> => {
  const names = await listWorkspaces(paths);
  const results = await Promise.all(names.map((name) => loadFile(workspaceFile(paths, name), WorkspaceSchema)));
  assertNoProblems(results);
  return new Map(names.flatMap((name, index) => (results[index] === undefined ? [] : [[name, results[index] as LoadedFile<WorkspaceToml>]])));
};

/** Reads every configuration file there is; the paths of those that were read. All problems are thrown at once. */
export const validateAll = async (paths: Paths): Promise<string[]> => {
  const names = await listWorkspaces(paths);
  const results = await Promise.all([
    loadFile(paths.configFile, ConfigSchema),
    ...names.map((name) => loadFile(workspaceFile(paths, name), WorkspaceSchema)),
  ]);
  assertNoProblems(results);
  return results.flatMap((result) => (result === undefined || Array.isArray(result) ? [] : result.document.file));
};

/** Saves a new workspace file under the configuration lock. An existing one is never replaced. */
export const createWorkspaceFile = async (paths: Paths, name: string, text: string): Promise<string> => {
  assertWorkspaceName(name);
  const file = workspaceFile(paths, name);
  await mkdir(path.dirname(file), { recursive: true });
  await withFileLock(paths.configLock, async () => {
    try {
      const handle = await open(file, 'wx', 0o644);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isErrno(error, 'EEXIST')) {
        throw new JackinError('conflict', `workspace "${name}" exists already: ${file}`, {
          hint: 'choose another name, or edit that file',
        });
      }
      throw new JackinError(isErrno(error, 'ENOSPC', 'EDQUOT') ? 'disk.full' : 'failed', `cannot write ${file}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  });
  return file;
};
