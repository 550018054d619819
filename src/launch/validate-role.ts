import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { firstProblems, type Problem, renderProblem } from '../config/problems.ts';
import { substituteConstruct } from '../docker/dockerfile.ts';
import { MANIFEST, readManifest } from '../roles/find-role.ts';
import { hashRole } from '../roles/hash-role.ts';
import { fileProblems } from '../roles/hooks.ts';
import { checkManifest, type Manifest } from '../roles/manifest.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import { readFileBelow } from '../shared/open-below.ts';

/** Something that is wrong with a role. */
export interface RoleFault {
  /** Where in the manifest; null for what is wrong elsewhere. */
  place: { file: string; line: number; column: number } | null;
  message: string;
  /** For people, with its place and its line. */
  shown: string;
}

export interface ValidatedRole {
  folder: string;
  faults: RoleFault[];
  /** How many faults there are beside those. */
  more: number;
  /** What has no effect, and what is only odd. */
  notes: string[];
}

const inManifest = (problem: Problem): RoleFault => {
  const { file, line, column, message } = problem;
  return { place: { file, line, column }, message, shown: renderProblem(problem) };
};

/** What an action finds wrong. What is no fault of the role passes through. */
const faultsOf = async (action: () => Promise<unknown>): Promise<RoleFault[]> => {
  try {
    await action();
    return [];
  } catch (error) {
    if (!(error instanceof JackinError) || !['build.failed', 'usage', 'not-found'].includes(error.code)) throw error;
    const message = error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
    return [{ place: null, message, shown: message }];
  }
};

const checkFiles = async (folder: string, { dockerfile, files, hooks }: Manifest): Promise<RoleFault[]> => {
  const named = (await fileProblems(folder, files)).map(inManifest);
  // What stands in a file that is none cannot be looked at.
  if (named.length > 0) return named;
  return [
    ...(await faultsOf(async () => substituteConstruct(readFileBelow(folder, dockerfile).toString('utf8'), dockerfile, 'scratch'))),
    ...(await faultsOf(() => hashRole(folder, { dockerfile, always: [MANIFEST, ...hooks.map(({ file }) => file)] }))),
  ];
};

/** Looks at everything in a role's folder that a load would refuse. Asks no engine, and runs nothing. */
export const validateRole = async (place: string): Promise<ValidatedRole> => {
  const folder = await realpath(place).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new JackinError('not-found', `there is no folder ${place}`, { cause: error });
  });
  const file = path.join(folder, MANIFEST);
  const { manifest, problems } = checkManifest(file, await readManifest(file, folder));
  if (manifest !== undefined) return { folder, faults: await checkFiles(folder, manifest), more: 0, notes: manifest.notes };
  const { told, more } = firstProblems(problems);
  return { folder, faults: told.map(inManifest), more, notes: [] };
};
