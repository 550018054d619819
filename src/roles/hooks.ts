import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { configError, type Problem } from '../config/problems.ts';
import { isErrno } from '../shared/errors.ts';
import type { NamedFile } from './manifest.ts';

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

/** What is wrong with the Dockerfile and the hooks as files: each has to be a plain file of the role. */
export const fileProblems = async (folder: string, files: readonly NamedFile[]): Promise<Problem[]> => {
  const faults = await Promise.all(files.map(async ({ file, problem }) => ({ problem, fault: await faultOf(folder, file) })));
  return faults.flatMap(({ problem, fault }) => (fault === undefined ? [] : [problem(fault)]));
};

/** Throws `config.invalid`, with the lines of the manifest, when one of its files is not as it has to be. */
export const assertRoleFiles = async (folder: string, files: readonly NamedFile[]): Promise<void> => {
  const problems = await fileProblems(folder, files);
  if (problems.length > 0) throw configError(problems);
};
