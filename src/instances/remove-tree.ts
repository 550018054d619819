import { chmod, lstat, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';

/** Gives the owner back what an agent may have taken from its own directories. Follows no link. */
const unlockDirectories = async (directory: string): Promise<void> => {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await unlockDirectories(path.join(directory, entry.name));
  }
};

/**
 * Removes a directory with everything below it. It is renamed first, so that what
 * a crash leaves behind is not taken for an instance. Absent is fine.
 */
export const removeTree = async (directory: string): Promise<void> => {
  const doomed = path.join(path.dirname(directory), `.removing-${path.basename(directory)}`);
  try {
    await rm(doomed, { recursive: true, force: true });
    await rename(directory, doomed);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw new JackinError('failed', `cannot remove ${directory}: ${messageOf(error)}`, { cause: error });
  }
  const target = (await exists(doomed)) ? doomed : directory;
  try {
    await rm(target, { recursive: true, force: true });
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw new JackinError('failed', `cannot remove ${target}: ${messageOf(error)}`, { cause: error });
    await unlockDirectories(target);
    await rm(target, { recursive: true, force: true });
  }
};

const exists = (file: string): Promise<boolean> =>
  lstat(file).then(
    () => true,
    () => false,
  );
