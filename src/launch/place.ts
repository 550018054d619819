import { realpathSync } from 'node:fs';
import { type ConfigFiles, readAllWorkspaces, readConfigFiles } from '../config/files.ts';
import { workspacesOfDirectory } from '../config/nearby.ts';
import type { Paths } from '../config/paths.ts';
import type { Target } from '../plan/request.ts';
import { JackinError } from '../shared/errors.ts';
import type { Deps } from './deps.ts';

/** A target with the files that say something about it. Exactly one of the first two is set. */
export interface Place {
  workspace: string | null;
  directory: string | null;
  files: ConfigFiles;
}

/** Asks a person for one of several; undefined when nobody can be asked. */
export type Choose = ((question: string, options: string[]) => Promise<string>) | undefined;

/** Where links lead to; a path that leads nowhere stays as it is. */
const resolveLinks = (path: string): string => {
  try {
    return realpathSync.native(path);
  } catch {
    return path;
  }
};

const chooseNearest = async (names: string[], directory: string, choose: Choose, example: (name: string) => string): Promise<string | undefined> => {
  if (names.length <= 1) return names[0];
  if (choose !== undefined) return choose(`${directory} belongs to several workspaces. Which one?`, names);
  throw new JackinError('usage', `${directory} belongs to ${names.length} workspaces that are equally near: ${names.join(', ')}`, {
    hint: `name the one you mean, as in ${names.map((name) => `\`${example(name)}\``).join(' or ')}`,
  });
};

/**
 * Reads the files of a target: a named workspace, a directory, or the workspace
 * saved for the current directory. When several are equally near, the person is
 * asked; `example` writes the command that names one, for when nobody can be.
 */
export const findPlace = async (target: Target, paths: Paths, deps: Deps, choose: Choose, example: (name: string) => string): Promise<Place> => {
  if (target.kind === 'directory') return { workspace: null, directory: target.path, files: await readConfigFiles(paths) };
  if (target.kind === 'workspace') return { workspace: target.name, directory: null, files: await readConfigFiles(paths, target.name) };
  const workspaces = await readAllWorkspaces(paths);
  const nearest = workspacesOfDirectory(workspaces, target.path, deps.home, resolveLinks);
  const saved = await chooseNearest(nearest, target.path, choose, example);
  const files = await readConfigFiles(paths, saved);
  return saved === undefined ? { workspace: null, directory: target.path, files } : { workspace: saved, directory: null, files };
};
