import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import { CREDENTIALS_DIR } from '../agents/kimi-login.ts';
import { createSend } from '../auth/kimi-http.ts';
import { identityHeaders, readMachineFacts } from '../auth/kimi-identity.ts';
import { ownLoginDir } from '../auth/own-login.ts';
import type { Paths } from '../config/paths.ts';
import { watchContainers } from '../docker/watch-containers.ts';
import { ensureHomeId } from '../instances/home-id.ts';
import { ensurePrivateDir } from '../shared/atomic-files.ts';
import { messageOf } from '../shared/errors.ts';
import { takeFileLock } from '../shared/lock.ts';
import { createKeeper, type Keeper } from './keeper.ts';
import { serveKeeper } from './serve-keeper.ts';

export interface RunOptions {
  paths: Paths;
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
  /** End when nobody holds a login any more. */
  untilIdle: boolean;
  /** In place of the engine, see `watchContainers`. */
  watchRunning?: (tell: (running: ReadonlySet<string> | undefined) => void, signal: AbortSignal) => Promise<void>;
  log: (line: string) => void;
  signal: AbortSignal;
  /** How long nobody holds anything before it ends, see `untilIdle`. */
  lingerMs?: number;
}

/** How long nobody holds anything before it ends: one launch often follows another. */
const LINGER_MS = 3000;
/** How long the engine may take to tell which instances run, before the first look. */
const FIRST_LIST_MS = 3000;
/** An engine that is away for longer has taken its containers along. */
const ENGINE_AWAY_MS = 10 * 60_000;

/** After a look that failed. */
const LOOK_AGAIN_MS = 5000;

/** How often is looked whether the machine has slept, or a clock was set. */
const GLANCE_MS = 1000;
/** What the clocks may drift apart between two glances by themselves. */
const DRIFT_MS = 500;

/** A pause that ends early when something happens; a machine that wakes up is something, since timers stand still in its sleep. */
const createPause = (): { poke: () => void; wait: (ms: number) => Promise<void> } => {
  let wake: () => void = () => undefined;
  const state = { poked: false };
  const gap = (): number => Date.now() - performance.now();
  return {
    poke: () => {
      state.poked = true;
      wake();
    },
    wait: async (ms) => {
      const end = performance.now() + ms;
      const before = gap();
      while (!state.poked && Math.abs(gap() - before) < DRIFT_MS) {
        const left = end - performance.now();
        if (left <= 0) break;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.min(left, GLANCE_MS));
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      state.poked = false;
    },
  };
};

/** Which containers run, as far as the engine tells. */
const followEngine = ({ env, paths, watchRunning }: RunOptions, poke: () => void, signal: AbortSignal) => {
  let running: ReadonlySet<string> | undefined;
  let awaySince: number | undefined = performance.now();
  let first: () => void = () => undefined;
  const known = new Promise<void>((resolve) => (first = resolve));
  const tell = (now: ReadonlySet<string> | undefined): void => {
    awaySince = now === undefined ? (awaySince ?? performance.now()) : undefined;
    running = now;
    first();
    poke();
  };
  const followed = async (): Promise<void> => {
    const homeId = await ensureHomeId(paths);
    await (watchRunning ?? ((told, end) => watchContainers(env, [`jackin.home=${homeId}`, 'jackin.kind=role'], told, end)))(tell, signal);
  };
  void followed().catch(() => tell(undefined));
  return {
    known,
    running: (): ReadonlySet<string> | undefined => (awaySince !== undefined && performance.now() - awaySince > ENGINE_AWAY_MS ? new Set() : running),
  };
};

/** Hears of a login that somebody else has renewed or replaced: a kimi that shares the directory, a person who logs in again. */
const followLogins = (loginsDir: string, poke: () => void) => {
  const watched = new Map<string, FSWatcher>();
  return (accounts: readonly string[]): void => {
    for (const [account, watcher] of watched) {
      if (accounts.includes(account)) continue;
      watcher.close();
      watched.delete(account);
    }
    for (const account of accounts) {
      if (watched.has(account)) continue;
      try {
        const watcher = watch(path.join(ownLoginDir(loginsDir, account), CREDENTIALS_DIR), poke);
        // Without it the next look notices. The directory may have been replaced: then it is watched anew.
        watcher.on('error', () => watched.delete(account));
        watched.set(account, watcher);
      } catch {
        // The login is gone; the next look says so.
      }
    }
  };
};

const shortWaits = async (keeper: Keeper, { untilIdle, lingerMs = LINGER_MS }: RunOptions, clients: () => number, idle: { since: number | undefined }): Promise<'end' | number | undefined> => {
  const renews = keeper.renewals().length > 0;
  if (!untilIdle || clients() > 0 || renews || (await keeper.held()).length > 0) {
    idle.since = undefined;
    // Nothing wakes it when that ends.
    return renews ? lingerMs : undefined;
  }
  idle.since ??= performance.now();
  const left = lingerMs - (performance.now() - idle.since);
  return left <= 0 ? 'end' : left;
};

/** A look that fails, for want of a file handle or on a sick disk, is no reason to leave the logins alone: the next one may not. Told once. */
const orLater = <T>(look: () => Promise<T>, log: (line: string) => void): (() => Promise<T | number>) => {
  let told: string | undefined;
  return async () => {
    try {
      const seen = await look();
      told = undefined;
      return seen;
    } catch (error) {
      const why = `who holds a login cannot be seen: ${messageOf(error)}`;
      if (why !== told) log(why);
      told = why;
      return LOOK_AGAIN_MS;
    }
  };
};

/**
 * Is the keeper of a jackin home until it is stopped, or has nothing left to keep.
 * `already` when another process is.
 */
export const runKeeper = async (options: RunOptions): Promise<'done' | 'already'> => {
  const { paths, uid, env, log, signal } = options;
  await ensurePrivateDir(paths.keeperDir);
  const giveBack = await takeFileLock(path.join(paths.keeperDir, 'keeper.lock'));
  if (giveBack === undefined) return 'already';
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const pause = createPause();
  ended.addEventListener('abort', pause.poke);
  try {
    const machine = await readMachineFacts();
    const engine = followEngine(options, pause.poke, ended);
    const keeper = createKeeper({
      paths,
      uid,
      now: () => Date.now(),
      elapsed: () => performance.now(),
      random: () => Math.random(),
      send: createSend(env),
      identity: (deviceId) => identityHeaders({ ...machine, deviceId }),
      running: engine.running,
      pid: process.pid,
      log,
      signal: ended,
    });
    const server = await serveKeeper(paths, { keeper, poke: pause.poke, stop: () => stop.abort() });
    stop.signal.addEventListener('abort', server.dismiss);
    const followHeld = followLogins(paths.loginsDir, pause.poke);
    log(`keeper ${process.pid} runs`);
    try {
      await Promise.race([engine.known, pause.wait(FIRST_LIST_MS)]);
      const idle: { since: number | undefined } = { since: undefined };
      const look = async (): Promise<number | 'end'> => {
        const wait = await keeper.step();
        followHeld(await keeper.held());
        const idling = await shortWaits(keeper, options, server.clients, idle);
        return idling === 'end' ? idling : Math.min(wait, idling ?? wait);
      };
      const looking = orLater(look, log);
      while (!ended.aborted) {
        const wait = await looking();
        if (wait === 'end') break;
        await pause.wait(wait);
      }
    } finally {
      followHeld([]);
      await server.close();
      stop.abort();
      // The process exits after this: a pair that the server gives by then would be lost, and the login with it.
      await Promise.allSettled(keeper.renewals());
    }
    log(`keeper ${process.pid} ends`);
    return 'done';
  } finally {
    await giveBack();
  }
};
