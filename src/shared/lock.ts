import { link, open, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweepTemporaries, temporaryName } from './atomic-files.ts';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { currentOwner, isAlive, type Owner } from './owner.ts';
import { adviceOn } from './system-error.ts';
import { type Waiter, waiter } from './waiter.ts';

const POLL_MS = 20;
/** A wait that takes longer is told to a person. */
const TELL_MS = 2000;
/** So long the same holder may keep a lock before a waiter gives up. Each new holder is progress, and the time starts anew. */
const STUCK_MS = 60_000;

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
  const draft = temporaryName(file);
  try {
    await writeDraft(draft);
    await link(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    const { code, hint } = adviceOn(error) ?? { code: 'failed' };
    throw new JackinError(code, `cannot create the lock ${file}: ${messageOf(error)}`, { ...(hint !== undefined && { hint }), cause: error });
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

/** How a command waits for a lock of another jackin. */
interface Wait {
  /** The work of the holder, for those that wait: `changes the configuration`. */
  doing: string;
  /** The work may take minutes: the holder is waited for until this signal, and told of at once. */
  patience?: { signal: AbortSignal; onWait: (owner: string) => void };
  /** How long one holder is waited for, where not a minute. */
  stuckMs?: number;
}

const holderIn = (text: string): string => `pid ${ownerIn(text)?.pid ?? 'unknown'}`;

/** One wait for a lock: whom it is told to, and when it is over. */
const createWait = (file: string, { doing, patience, stuckMs = STUCK_MS }: Wait, { say, signal }: Partial<Waiter>) => {
  const begun = performance.now();
  let held = { text: '', since: begun };
  let told: string | undefined;
  const tell = (text: string): void => {
    const waited = performance.now() - begun;
    if (patience !== undefined) {
      if (told === undefined) patience.onWait(`process ${ownerIn(text)?.pid ?? 'unknown'}`);
      told = text;
    } else if (waited >= TELL_MS && told !== text) {
      // Each holder is named once: with twenty in a row, a person sees that it goes on.
      say?.(`waiting for another jackin (${holderIn(text)}), which ${doing}`);
      told = text;
    }
  };
  return {
    /** Called while a living process holds the lock, with the text of it. Throws when it is waited for no longer. */
    goesOn: (text: string): void => {
      if ((patience?.signal ?? signal)?.aborted) throw new JackinError('interrupted', `waiting for ${file}: interrupted`);
      if (text !== held.text) held = { text, since: performance.now() };
      tell(text);
      if (patience !== undefined || performance.now() - held.since < stuckMs) return;
      throw new JackinError('conflict', `another jackin (${holderIn(text)}) ${doing}, and has not ended for ${Math.round(stuckMs / 1000)} s; it holds ${file}`, {
        hint: 'look at that process, and end it when it hangs; then run the command again',
      });
    },
  };
};

/**
 * Runs `work` while no other process holds `file`. A lock of a dead process is
 * taken over; living ones are waited for as long as one after the other gets it,
 * and a minute for each. Who waits for more than two seconds says for whom.
 */
export const withFileLock = async <T>(file: string, wait: Wait, work: () => Promise<T>): Promise<T> => {
  const waiting = createWait(file, wait, waiter() ?? {});
  for (;;) {
    // A look is cheap, and a try is not: of many that wait, all but one would only be in the way.
    const text = await read(file);
    if (text === undefined || isStale(text)) {
      if (text !== undefined) await breakStale(file);
      if (await tryLock(file)) break;
    } else {
      waiting.goesOn(text);
    }
    await sleep(POLL_MS);
  }
  try {
    await sweepTemporaries(path.dirname(file));
    return await work();
  } finally {
    await unlink(file).catch(() => undefined);
  }
};
