import { lstat, mkdir, rmdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrivateDir, unlessMissing } from '../shared/atomic-files.ts';
import { isErrno, JackinError } from '../shared/errors.ts';

/** Kimi Code's own figures: a lock that nobody touches for so long is a dead process's. */
const STALE_MS = 5000;
const TOUCH_MS = 1500;
const RETRY_MS = 500;
const TRIES = 120;

const isStale = async (lock: string): Promise<boolean> => {
  const found = await unlessMissing(lstat(lock));
  // A time to come is a clock that was set back: it says nothing about life.
  return found !== undefined && Math.abs(Date.now() - found.mtimeMs) > STALE_MS;
};

const tryLock = async (lock: string): Promise<boolean> => {
  try {
    await mkdir(lock, { mode: 0o700 });
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
};

/** The directory and the empty file that Kimi Code expects there. */
const makePlace = async (dir: string, sentinel: string): Promise<void> => {
  await createPrivateDir(dir).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
  await writeFile(sentinel, '', { flag: 'a', mode: 0o600 });
};

/**
 * Runs `work` under the lock that Kimi Code itself takes around a refresh: the
 * directory `oauth/<slot>.lock` of a Kimi directory. Waits for a living holder up
 * to a minute, then throws `conflict`.
 */
export const withKimiLock = async <T>(loginDir: string, slot: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
  const dir = path.join(loginDir, 'oauth');
  const lock = path.join(dir, `${slot}.lock`);
  await makePlace(dir, path.join(dir, slot));
  for (let tries = 0; !(await tryLock(lock)); tries += 1) {
    if (tries === TRIES) throw new JackinError('conflict', `somebody else holds ${lock} for a minute now`, { hint: 'a kimi may hang there: end it' });
    if (await isStale(lock)) await rmdir(lock).catch(() => undefined);
    else await sleep(RETRY_MS, undefined, { signal });
  }
  // It counts as dead as soon as nobody touches it.
  const touch = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => undefined), TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await rmdir(lock).catch(() => undefined);
  }
};
