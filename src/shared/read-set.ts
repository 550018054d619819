import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { unlessMissing } from './atomic-files.ts';
import { isErrno } from './errors.ts';
import { readTree } from './safe-read.ts';

export type Files = ReadonlyMap<string, Buffer>;

/** The wanted files below a directory, as one state of it; undefined when there is no such directory. */
export const readFiles = async (dir: string, wanted: (file: string) => boolean, maxBytes?: number): Promise<Files | undefined> => {
  try {
    return (await readTree(dir, { wanted, owner: 'anyone', ...(maxBytes !== undefined && { maxBytes }) })).files;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
};

/**
 * The first of the named sets in a directory of generations whose `current` link
 * names the one that counts, whole and unmixed; undefined when it holds none of them.
 */
export const readCurrentSet = async (
  handoff: string,
  names: readonly string[],
  wanted: (file: string) => boolean,
): Promise<{ name: string; files: Files } | undefined> => {
  for (;;) {
    // Resolved once for the whole set: the host may point it elsewhere at any moment.
    const generation = await unlessMissing(realpath(path.join(handoff, 'current')));
    if (generation === undefined) return undefined;
    for (const name of names) {
      const files = await readFiles(path.join(generation, name), wanted);
      if (files !== undefined) return { name, files };
    }
    // Nothing in it, unless it was replaced twice and removed since.
    if ((await unlessMissing(readdir(generation))) !== undefined) return undefined;
  }
};
