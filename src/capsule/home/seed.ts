import { chmod, constants, copyFile, lstat, readdir, readlink, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createPrivateDir, ensurePrivateDir, unlessMissing, writeFileAtomic } from '../../shared/atomic-files.ts';
import { isErrno } from '../../shared/errors.ts';

/**
 * Fills a new home with what the role's image brings for it: the agents'
 * durable directories are mounted over the image's own and start out empty.
 * Happens once per instance, so that what is deleted later stays deleted;
 * nothing that is there is touched.
 */
export const seedHome = async (defaultHome: string, home: string, state: string): Promise<void> => {
  const marker = path.join(state, 'home-seeded');
  if ((await unlessMissing(lstat(marker))) !== undefined) return;
  await copyMissing(defaultHome, home);
  await ensurePrivateDir(state);
  await writeFileAtomic(marker, '');
};

const copyMissing = async (from: string, to: string): Promise<void> => {
  const entries = (await unlessMissing(readdir(from, { withFileTypes: true }))) ?? [];
  for (const entry of entries) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    const found = await unlessMissing(lstat(target));
    if (entry.isDirectory()) {
      if (found === undefined) await createPrivateDir(target);
      if (found === undefined || found.isDirectory()) await copyMissing(source, target);
    } else if (found === undefined) {
      if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
      else if (entry.isFile()) await copyWhole(source, target);
    }
  }
};

/** Under another name first: half a file must not count as there. */
const copyWhole = async (source: string, target: string): Promise<void> => {
  const temporary = `${target}.jackin-seed`;
  try {
    await copyFile(source, temporary, constants.COPYFILE_FICLONE);
  } catch (error) {
    // The image may hold files of another user; the agent could not read them in the image either.
    if (isErrno(error, 'EACCES')) return;
    throw error;
  }
  const { mode } = await lstat(source);
  // Nobody else has business in this home; what can be executed stays so.
  await chmod(temporary, mode & 0o100 ? 0o700 : 0o600);
  await rename(temporary, target);
};
