import { open, readFile, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { currentOwner, isAlive, type Owner } from './owner.ts';

const POLL_MS = 20;
const WAIT_MS = 10_000;

const readOwner = async (file: string): Promise<Owner | undefined> => {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch {
    // Just created and not written yet, or gone again: the next look tells.
    return undefined;
  }
};

/** Removes a lock that a process left behind when it died. A living owner's lock is never touched. */
const breakStale = async (file: string): Promise<void> => {
  const owner = await readOwner(file);
  if (owner === undefined || isAlive(owner)) return;
  // Two breakers may come here at once: only the one whose owner is still in the file may unlink it.
  const again = await readOwner(file);
  if (JSON.stringify(again) !== JSON.stringify(owner)) return;
  await unlink(file).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
};

const tryLock = async (file: string): Promise<boolean> => {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(JSON.stringify(currentOwner()));
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw new JackinError(isErrno(error, 'ENOSPC', 'EDQUOT') ? 'disk.full' : 'failed', `cannot create the lock ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
};

/**
 * Runs `work` while no other process holds `file`. A lock of a dead process is
 * taken over; a living one is waited for, at most ten seconds.
 */
export const withFileLock = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  const deadline = Date.now() + WAIT_MS;
  while (!(await tryLock(file))) {
    if (Date.now() > deadline) {
      const owner = await readOwner(file);
      throw new JackinError('conflict', `another jackin (pid ${owner?.pid ?? 'unknown'}) holds ${file}`, {
        hint: 'wait for it to end and run the command again',
      });
    }
    await breakStale(file);
    await sleep(POLL_MS);
  }
  try {
    return await work();
  } finally {
    await unlink(file).catch(() => undefined);
  }
};
