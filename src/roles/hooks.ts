import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { configError, type Problem } from '../config/problems.ts';
import { isErrno } from '../shared/errors.ts';
import type { ManifestHook } from './manifest.ts';

/** What is wrong with the file, or nothing. Every directory on the way counts: a link there leads out as well. */
const faultOf = async (folder: string, file: string): Promise<string | undefined> => {
  const steps = path.posix.normalize(file).split('/');
  for (const [index] of steps.entries()) {
    const place = steps.slice(0, index + 1).join('/');
    const found = await lstat(path.join(folder, place)).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    });
    if (found === undefined) return `there is no ${file} in the role`;
    if (found.isSymbolicLink()) return `${place} is a link, which could lead out of the role`;
    if (index < steps.length - 1) continue;
    if (!found.isFile()) return `${file} is not a plain file`;
    if (found.size === 0) return `${file} is empty`;
  }
  return undefined;
};

/** Throws `config.invalid`, with the lines of the manifest, unless every hook is a plain file of the role. */
export const assertHookFiles = async (folder: string, hooks: readonly ManifestHook[]): Promise<void> => {
  const problems: Problem[] = [];
  for (const { name, file, problem } of hooks) {
    const fault = await faultOf(folder, file);
    if (fault !== undefined) problems.push(problem(`hooks.${name}: ${fault}`));
  }
  if (problems.length > 0) throw configError(problems);
};
