/**
 * A day in the life of one login, in virtual time: a fake Kimi, directories on a
 * real disk, and whoever takes part, one after the other in the order of their time.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { leaseOf, printToken } from '../../src/agents/kimi-token.ts';
import { readOwnLogin } from '../../src/auth/own-login.ts';
import type { Send } from '../../src/auth/kimi-requests.ts';
import { identityHeaders } from '../../src/auth/kimi-identity.ts';
import { takeNewLease } from '../../src/capsule/home/kimi.ts';
import { handOutLease } from '../../src/keeper/hand-out.ts';
import { writeLease } from '../../src/keeper/holders.ts';
import type { KeeperOptions } from '../../src/keeper/keeper.ts';
import type { FsLayer } from '../../src/shared/atomic-files.ts';
import { nodeFs } from '../../src/shared/atomic-files.ts';
import { makeKimiClient } from './kimi-client.ts';
import type { KimiClient } from './kimi-client.ts';
import { writeKimiLogin } from './kimi-login.mjs';

const HOST = 'http://kimi.test';
const MACHINE = { hostname: 'fake', osType: 'Linux', osRelease: '6.1', arch: 'x64' };

/** Random numbers in [0, 1) that are the same at every run. */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Seconds. `true` is the world's and the server's; the machine's wall clock may be off, and its other clock sleeps with it. */
export const makeClock = () => {
  const start = Math.floor(Date.now() / 1000);
  const at = { true: start, wallAhead: 0, slept: 0 };
  return {
    at,
    start,
    now: () => at.true,
    wall: () => at.true + at.wallAhead,
    elapsedMs: () => (at.true - start - at.slept) * 1000,
    pass: (seconds: number) => void (at.true += seconds),
  };
};

type Clock = ReturnType<typeof makeClock>;

/** Whoever takes part: does what is to be done, and says in how many seconds to come back. */
type Actor = () => Promise<number>;

/** Runs actors in the order of their time until `end`. */
export const runUntil = async (clock: Clock, end: number, actors: { first: number; act: Actor }[]): Promise<void> => {
  const queue = actors.map(({ first, act }) => ({ at: first, act }));
  for (;;) {
    const next = queue.reduce((a, b) => (b.at < a.at ? b : a));
    if (next.at >= end) break;
    clock.at.true = Math.max(clock.at.true, next.at);
    const wait = await next.act();
    next.at = clock.at.true + Math.max(wait, 0.001);
  }
  clock.at.true = Math.max(clock.at.true, end);
};

/** Directories of a jackin home with one login `work`; in memory where there is such a place, since a day writes a lot. */
export const makeDayWorld = async (clock: Clock) => {
  const root = await mkdtemp(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'jackin-day-'));
  const paths = { loginsDir: path.join(root, 'logins'), keeperDir: path.join(root, 'keeper'), dataDir: path.join(root, 'data') };
  const loginDir = path.join(paths.loginsDir, 'kimi', 'work');
  const uid = process.getuid?.() ?? 0;
  const instanceDir = (container: string) => path.join(paths.dataDir, container);
  const kimiHome = (container: string) => path.join(instanceDir(container), 'home', '.kimi-code');
  const writeLogin = (dir: string) => writeKimiLogin(dir, { host: HOST, base: `${HOST}/coding/v1` });

  /** Straight into the home: what comes of the handoff, without the way there. */
  const handOutShortly: NonNullable<KeeperOptions['handOut']> = async (container, { slot, token }) => {
    if (token === undefined) return;
    const file = path.join(kimiHome(container), 'credentials', `${slot}.json`);
    await writeFile(`${file}.tmp`, printToken(leaseOf(token)), { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  };

  /** What is handed over, and what the capsule then does of it. */
  const handOut: NonNullable<KeeperOptions['handOut']> = async (container, login) => {
    const dir = instanceDir(container);
    await handOutLease(dir, login);
    await takeNewLease({ home: path.join(dir, 'home'), handoff: path.join(dir, 'handoff'), state: path.join(dir, 'state'), defaultHome: path.join(dir, 'default-home') }, new Date(clock.wall() * 1000));
  };

  const client = (home: string, send: Send): KimiClient =>
    makeKimiClient({ home, send, now: clock.wall, sleep: (seconds) => Promise.resolve(clock.pass(seconds)) });

  return {
    paths,
    loginDir,
    writeLogin,
    client,
    kimiHome,
    /** What stands in the credential file of an instance. */
    credentialOf: async (container: string): Promise<unknown> => {
      const dir = path.join(kimiHome(container), 'credentials');
      const [name = ''] = await readdir(dir);
      return JSON.parse(await readFile(path.join(dir, name), 'utf8'));
    },
    /** An instance as a launch leaves it, with a lease of the login. */
    addInstance: async (container: string): Promise<void> => {
      for (const dir of ['handoff', 'state', 'home/.kimi-code/credentials']) await mkdir(path.join(instanceDir(container), dir), { recursive: true, mode: 0o700 });
      for (const file of ['config.toml', 'device_id']) await cp(path.join(loginDir, file), path.join(kimiHome(container), file));
      await writeLease(instanceDir(container), 'work');
      await handOut(container, await readOwnLogin(paths.loginsDir, 'work', uid));
    },
    /** What a keeper on this home is made with. `whole`: with the handoff, and what the capsule does of it. */
    keeperOptions: (send: Send, random: () => number, whole = true): KeeperOptions => ({
      paths,
      uid,
      now: () => clock.wall() * 1000,
      elapsed: clock.elapsedMs,
      random,
      send,
      identity: (deviceId) => identityHeaders({ ...MACHINE, deviceId }),
      running: () => undefined,
      handOut: whole ? handOut : handOutShortly,
      pid: process.pid,
      log: () => undefined,
      signal: new AbortController().signal,
    }),
    remove: () => rm(root, { recursive: true, force: true }),
  };
};

/** A disk on which nothing can be done any more from some moment on, until it is healed: what a killed process leaves is the same. */
export const makeMortalDisk = () => {
  const state = { callsLeft: Number.POSITIVE_INFINITY };
  const die = (): void => {
    state.callsLeft -= 1;
    if (state.callsLeft < 0) throw new Error('this process is dead');
  };
  const mortal = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          // A handle must go even so: the engine of this test outlives the process it plays.
          if (name !== 'close') die();
          const result: unknown = await Reflect.apply(value as (...all: unknown[]) => unknown, object, args);
          return name === 'open' ? mortal(result as object) : result;
        };
      },
    });
  const fs: FsLayer = mortal(nodeFs);
  return { fs, dieAfter: (calls: number) => void (state.callsLeft = calls), heal: () => void (state.callsLeft = Number.POSITIVE_INFINITY), isDead: () => state.callsLeft < 0 };
};
