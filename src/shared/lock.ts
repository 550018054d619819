import { randomBytes } from 'node:crypto';
import { link, open, readFile, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { currentOwner, isAlive, type Owner } from './owner.ts';

const POLL_MS = 20;
const WAIT_MS = 10_000;

/** Whoever a lock file names. Nobody, when it names none: only a power cut leaves such a file. */
const ownerIn = (text: string): Owner | undefined => {
  try {
    const { pid, started, boot } = JSON.parse(text) as Partial<Owner>;
    return typeof pid === 'number' && typeof started === 'string' && typeof boot === 'string' ? { pid, started, boot } : undefined;
  } catch {
    return undefined;
  }
};

const isStale = (text: string): boolean => {
  const owner = ownerIn(text);
  return owner === undefined || !isAlive(owner);
};

/** The text of a lock; undefined when nobody holds it. */
const read = async (file: string): Promise<string | undefined> => {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
};

const removeIfThere = async (file: string): Promise<void> => {
  await unlink(file).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
};

const writeDraft = async (file: string): Promise<void> => {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(JSON.stringify(currentOwner()));
  } finally {
    await handle.close();
  }
};

/** Takes the lock if nobody holds it. It appears with its owner in it, so that a crash leaves none that nobody can judge. */
const tryLock = async (file: string): Promise<boolean> => {
  const draft = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await writeDraft(draft);
    await link(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw new JackinError(isErrno(error, 'ENOSPC', 'EDQUOT') ? 'disk.full' : 'failed', `cannot create the lock ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
};

/** Removes a lock that a process left behind when it died. A living owner's lock is never touched. */
const breakStale = async (file: string): Promise<void> => {
  const text = await read(file);
  if (text === undefined || !isStale(text)) return;
  // One at a time: of two who saw the same dead owner, the slower one would remove the lock of whoever came in between.
  const guard = `${file}.breaking`;
  if (!(await tryLock(guard))) {
    const breaker = await read(guard);
    if (breaker !== undefined && isStale(breaker)) await removeIfThere(guard);
    return;
  }
  try {
    if ((await read(file)) === text) await removeIfThere(file);
  } finally {
    await removeIfThere(guard);
  }
};

const TAKE_TRIES = 25;

/** Takes the lock for as long as the result is not called; undefined when a living process holds it. */
export const takeFileLock = async (file: string): Promise<(() => Promise<void>) | undefined> => {
  for (let tries = 0; tries < TAKE_TRIES; tries += 1) {
    if (await tryLock(file)) return () => removeIfThere(file);
    const text = await read(file);
    if (text !== undefined && !isStale(text)) return undefined;
    await breakStale(file);
    await sleep(POLL_MS);
  }
  return undefined;
};

/** For work that may take minutes: whoever waits is told so, and waits until the signal. */
interface Patience {
  signal: AbortSignal;
  /** Called once, with who holds the lock. */
  onWait: (owner: string) => void;
}

/**
 * Runs `work` while no other process holds `file`. A lock of a dead process is
 * taken over; a living one is waited for, at most ten seconds, or with patience.
 */
export const withFileLock = async <T>(file: string, work: () => Promise<T>, patience?: Patience): Promise<T> => {
  const deadline = Date.now() + WAIT_MS;
  let told = false;
  while (!(await tryLock(file))) {
    if (patience?.signal.aborted) throw new JackinError('interrupted', `waiting for ${file}: interrupted`);
    if (patience !== undefined && !told) {
      told = true;
      patience.onWait(`process ${ownerIn((await read(file)) ?? '')?.pid ?? 'unknown'}`);
    }
    if (patience === undefined && Date.now() > deadline) {
      const owner = ownerIn((await read(file)) ?? '');
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
