import { sha256 } from '../agents/judge.ts';
import type { OwnLogin } from '../auth/own-login.ts';
import type { Renewal } from './renew.ts';
import { backOff, type Instant, untilDue } from './schedule.ts';

/** Knowledge of a keeper about one login between two looks: when it is due, and what is wrong with it. */
export interface LoginHealth {
  /** Milliseconds until it must be renewed; 0 or less: now. */
  dueIn: (login: OwnLogin) => number;
  /** Milliseconds until it may be tried again; 0 or less: now. */
  pause: () => number;
  /** It is well, whoever made it so: a renewal, a kimi that shares the directory, or a person who has logged in again. */
  isWell: () => void;
  note: (renewal: Renewal) => void;
  complain: (why: string) => void;
  /** The login is gone: it needs no pair any more. */
  isGone: () => void;
  /** The fault of the login itself; null when nothing is. */
  why: () => string | null;
  ended: () => boolean;
  /** A new pair is in the memory of this process and on no disk: it must not end, whoever holds the login. */
  unsaved: () => boolean;
}

export interface HealthOptions {
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds that only ever grow, whatever the date does. */
  elapsed: () => number;
  /** In [0, 1). */
  random: () => number;
  log: (line: string) => void;
}

/** A server may ask for a longer pause, or be wrong about the time; it is not waited for longer. */
const MAX_ASKED_MS = 10 * 60_000;
/** Between two renewals: a server that gives tokens of a moment is not to be asked all the time. */
const MIN_PAUSE_MS = 1000;
/** Until it is looked whether a login that has ended was made anew. */
const ENDED_PAUSE_MS = 30_000;

/** A token is told apart from another one by this, which is worth nothing to anybody. */
export const leaseDigest = ({ token }: OwnLogin): string => sha256(`lease ${token?.accessToken ?? ''}`);

export const createHealth = (account: string, { now, elapsed, random, log }: HealthOptions): LoginHealth => {
  /** The token that this process saw last, and when it saw it first. */
  let seen: { digest: string; since: Instant } | undefined;
  let luck = random();
  let failures = 0;
  /** On the clock that only grows. */
  let notBefore = 0;
  let why: string | null = null;
  let last: Renewal['kind'] = 'good';
  let unsaved = false;

  const complain = (reason: string): void => {
    if (why !== reason) log(reason);
    why = reason;
  };
  const isWell = (): void => {
    if (why !== null) log(`The login kimi:${account} works again.`);
    [failures, notBefore, why, last, unsaved] = [0, 0, null, 'good', false];
  };
  const pauseAfter = (renewal: Renewal): number => {
    if (renewal.kind === 'good') return MIN_PAUSE_MS;
    if (renewal.kind === 'ended') return ENDED_PAUSE_MS;
    return Math.max(Math.min(renewal.afterMs ?? 0, MAX_ASKED_MS), backOff(failures, random()));
  };

  return {
    dueIn: (login) => {
      if (login.token === undefined) return 0;
      const digest = leaseDigest(login);
      const instant = { wall: now(), elapsed: elapsed() };
      const since = seen?.digest === digest ? seen.since : undefined;
      const left = untilDue(login.token, instant, since, luck);
      // Seen in this process from now on. Not one that is due: its date may make no sense, and it stays due until it is another one.
      if (since === undefined && left > 0) seen = { digest, since: instant };
      return left;
    },
    pause: () => notBefore - elapsed(),
    isWell,
    note: (renewal) => {
      if (renewal.kind === 'good') {
        isWell();
        luck = random();
      } else {
        complain(renewal.why);
        last = renewal.kind;
        unsaved = renewal.kind === 'failed' && renewal.unsaved === true;
        failures += 1;
      }
      notBefore = elapsed() + pauseAfter(renewal);
    },
    complain,
    isGone: () => {
      unsaved = false;
    },
    why: () => why,
    ended: () => last === 'ended',
    unsaved: () => unsaved,
  };
};
