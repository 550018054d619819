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

const destroy = async (target: string): Promise<void> => {
  try {
    await rm(target, { recursive: true, force: true });
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw new JackinError('failed', `cannot remove ${target}: ${messageOf(error)}`, { cause: error });
    await unlockDirectories(target);
    await rm(target, { recursive: true, force: true });
  }
};

const DOOMED = '.removing-';

/**
 * Removes a directory with everything below it. It is renamed first, so that what
 * a crash leaves behind is not taken for an instance; {@link finishRemovals}
 * removes that. Absent is fine.
 */
export const removeTree = async (directory: string): Promise<void> => {
  const doomed = path.join(path.dirname(directory), `${DOOMED}${path.basename(directory)}`);
  try {
    await rm(doomed, { recursive: true, force: true });
    await rename(directory, doomed);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw new JackinError('failed', `cannot remove ${directory}: ${messageOf(error)}`, { cause: error });
  }
  await destroy((await exists(doomed)) ? doomed : directory);
};

/** Removes what a killed removal left below `parent`: nothing lists it any more, and it may hold logins. */
export const finishRemovals = async (parent: string): Promise<void> => {
  const names = await readdir(parent).catch((): string[] => []);
  for (const name of names) if (name.startsWith(DOOMED)) await destroy(path.join(parent, name));
};

const exists = (file: string): Promise<boolean> =>
  lstat(file).then(
    () => true,
    () => false,
  );
