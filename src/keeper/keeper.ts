import path from 'node:path';
import { sha256 } from '../agents/judge.ts';
import type { Paths } from '../config/paths.ts';
import { type OwnLogin, readOwnLogin } from '../auth/own-login.ts';
import { isoTime } from '../auth/source.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { handOutLease } from './hand-out.ts';
import { listLeases } from './holders.ts';
import type { KeeperStatus, KeptLogin } from './keeper-status.ts';
import { readLoginNote } from './login-note.ts';
import { createRenew, type Renewal, type RenewWorld } from './renew.ts';
import { backOff, type Instant, untilDue } from './schedule.ts';

export interface KeeperOptions extends Omit<RenewWorld, 'loginsDir' | 'keeperDir'> {
  paths: Pick<Paths, 'loginsDir' | 'keeperDir' | 'dataDir'>;
  /** Milliseconds that only ever grow, whatever the date does. */
  elapsed: () => number;
  /** In [0, 1). */
  random: () => number;
  /** Names of the containers that run now; undefined while the engine cannot be asked: then all that hold a lease are taken to run. */
  running: () => ReadonlySet<string> | undefined;
  /** In place of writing the handoff of an instance. */
  handOut?: (container: string, login: OwnLogin) => Promise<void>;
  pid: number;
  log: (line: string) => void;
}

export interface Keeper {
  /** Renews and hands out whatever is due; the result says in how many milliseconds to come back. */
  step: () => Promise<number>;
  /** Makes sure that the token of a login is good for a while. Throws `auth.dead`, `not-found`, or `failed` when it is not. */
  ensureFresh: (account: string) => Promise<void>;
  /** Counts a container as a holder although it does not run yet; the result takes that back. */
  expect: (account: string, container: string) => () => void;
  status: () => Promise<KeeperStatus>;
  /** Accounts with a holder. */
  held: () => Promise<string[]>;
  /** Those that are under way. The keeper must not end before them: an answer that nobody waits for may be the login. */
  renewals: () => Promise<unknown>[];
}

/** What is known of a login between two steps. */
interface Kept {
  /** Digest of the token that this process saw last, and when it saw it first. */
  token?: { digest: string; since: Instant };
  luck: number;
  failures: number;
  /** Not before this, on the clock that only grows. */
  notBefore: number;
  /** What is wrong with the login itself; null when nothing is. */
  why: string | null;
  ended: boolean;
  /** A new pair is in the memory of this process and on no disk: it must not end, whoever holds the login. */
  unsaved: boolean;
  renewing?: Promise<Renewal> | undefined;
  /** Digest of the token that each container was handed last. */
  handed: Map<string, string>;
  /** What is wrong with handing out to a container, and how often in a row. */
  undelivered: Map<string, { why: string; times: number }>;
}

/** The longest time between two looks: a machine that slept, or a clock that was set, is noticed by then. */
const TICK_MS = 30_000;
/** A server may ask for a longer pause, or be wrong about the time; it is not waited for longer. */
const MAX_ASKED_MS = 10 * 60_000;
/** Between two renewals of one login. */
const MIN_PAUSE_MS = 1000;
/** After a hand-out that failed; doubles up to a tick. */
const HAND_OUT_RETRY_MS = 2000;
/** A token with less life than this is not handed to a launch when it cannot be renewed. */
const ENOUGH_S = 60;

const digestOf = ({ token }: OwnLogin): string => sha256(`lease ${token?.accessToken ?? ''}`);

/**
 * The keeper of jackin's own logins: renews each that somebody holds, before its
 * half life, and hands the new token to every holder. Does nothing by itself:
 * whoever runs it calls `step` again when it says so, or when something changed.
 */
export const createKeeper = (options: KeeperOptions): Keeper => {
  const { paths, uid, random, log } = options;
  const renew = createRenew({ ...options, loginsDir: paths.loginsDir, keeperDir: paths.keeperDir });
  const handOut = options.handOut ?? ((container: string, login: OwnLogin) => handOutLease(path.join(paths.dataDir, container), login));
  const kept = new Map<string, Kept>();
  const expected = new Map<symbol, { account: string; container: string }>();
  const started = new Date(options.now()).toISOString();
  const instant = (): Instant => ({ wall: options.now(), elapsed: options.elapsed() });

  const of = (account: string): Kept => {
    const known = kept.get(account) ?? { luck: random(), failures: 0, notBefore: 0, why: null, ended: false, unsaved: false, handed: new Map<string, string>(), undelivered: new Map<string, { why: string; times: number }>() };
    kept.set(account, known);
    return known;
  };

  const dueIn = (login: OwnLogin, state: Kept): number => {
    if (login.token === undefined) return 0;
    const digest = digestOf(login);
    const since = state.token?.digest === digest ? state.token.since : undefined;
    const left = untilDue(login.token, instant(), since, state.luck);
    // Seen in this process from now on. Not one that is due: its date may make no sense, and it stays due until it is another one.
    if (since === undefined && left > 0) state.token = { digest, since: instant() };
    return left;
  };

  const complain = (state: Kept, why: string): void => {
    if (state.why !== why) log(why);
    state.why = why;
  };

  /** Whoever made it so: a renewal, a kimi that shares the directory, or a person who has logged in again. */
  const isWell = (account: string, state: Kept): void => {
    if (state.why !== null) log(`The login kimi:${account} works again.`);
    Object.assign(state, { failures: 0, notBefore: 0, why: null, ended: false, unsaved: false });
  };

  const note = (account: string, state: Kept, renewal: Renewal): void => {
    if (renewal.kind === 'good') {
      isWell(account, state);
      state.luck = random();
      // A server that gives tokens of a moment is not to be asked all the time.
      state.notBefore = options.elapsed() + MIN_PAUSE_MS;
      return;
    }
    complain(state, renewal.why);
    state.ended = renewal.kind === 'ended';
    state.unsaved = renewal.kind === 'failed' && renewal.unsaved === true;
    state.failures += 1;
    const wait = renewal.kind === 'failed' ? Math.max(Math.min(renewal.afterMs ?? 0, MAX_ASKED_MS), backOff(state.failures, random())) : TICK_MS;
    state.notBefore = options.elapsed() + wait;
  };

  /** One renewal at a time for each login: who comes meanwhile gets the same answer. */
  const renewOnce = (account: string): Promise<Renewal> => {
    const state = of(account);
    state.renewing ??= renew(account, (login) => dueIn(login, state) <= 0)
      .then((renewal) => {
        note(account, state, renewal);
        return renewal;
      })
      .finally(() => (state.renewing = undefined));
    return state.renewing;
  };

  /** The containers that get the tokens of each account; none for one whose new pair no disk has taken yet. An expected one without a state yet is handed them by its launch. */
  const holders = async (): Promise<Map<string, { all: Set<string>; ready: Set<string> }>> => {
    const running = options.running();
    const leases = await listLeases(paths);
    const held = new Map<string, { all: Set<string>; ready: Set<string> }>();
    const entry = (account: string) => {
      const found = held.get(account) ?? { all: new Set<string>(), ready: new Set<string>() };
      held.set(account, found);
      return found;
    };
    for (const [account, { unsaved }] of kept) if (unsaved) entry(account);
    for (const { account, container } of expected.values()) entry(account).all.add(container);
    for (const [container, account] of leases) {
      if (running?.has(container) === false && !held.get(account)?.all.has(container)) continue;
      const { all, ready } = entry(account);
      all.add(container);
      ready.add(container);
    }
    return held;
  };

  const handTo = async (container: string, login: OwnLogin, state: Kept): Promise<void> => {
    const digest = digestOf(login);
    if (login.token === undefined || state.handed.get(container) === digest) return;
    try {
      await handOut(container, login);
      state.handed.set(container, digest);
      state.undelivered.delete(container);
    } catch (error) {
      const why = `kimi:${login.account} could not be handed to ${container}: ${messageOf(error)}`;
      const known = state.undelivered.get(container);
      if (known?.why !== why) log(why);
      state.undelivered.set(container, { why, times: (known?.times ?? 0) + 1 });
    }
  };

  /** `containers`: those with a state to hand it to. */
  const keepOne = async (account: string, containers: ReadonlySet<string>): Promise<number> => {
    const state = of(account);
    for (const about of [state.handed, state.undelivered]) for (const container of about.keys()) if (!containers.has(container)) about.delete(container);
    let login = await readOwnLogin(paths.loginsDir, account, uid);
    if (dueIn(login, state) > 0) {
      isWell(account, state);
    } else if (state.notBefore <= options.elapsed()) {
      const renewal = await renewOnce(account);
      if (renewal.kind === 'good') login = renewal.login;
    }
    await Promise.all([...containers].map((container) => handTo(container, login, state)));
    const tries = [...state.undelivered.values()].map(({ times }) => times);
    const again = tries.length === 0 ? TICK_MS : HAND_OUT_RETRY_MS * 2 ** (Math.min(...tries) - 1);
    return Math.min(again, Math.max(dueIn(login, state), state.notBefore - options.elapsed(), 1));
  };

  const step = async (): Promise<number> => {
    const held = await holders();
    for (const [account, state] of kept) if (!held.has(account) && state.renewing === undefined) kept.delete(account);
    const waits = await Promise.all(
      [...held].map(([account, { ready }]) =>
        keepOne(account, ready).catch((error: unknown) => {
          // A login that was removed needs no pair any more.
          if (error instanceof JackinError && error.code === 'not-found') of(account).unsaved = false;
          complain(of(account), messageOf(error));
          return TICK_MS;
        }),
      ),
    );
    return Math.min(TICK_MS, ...waits);
  };

  const ensureFresh = async (account: string): Promise<void> => {
    const login = await readOwnLogin(paths.loginsDir, account, uid);
    if (dueIn(login, of(account)) > 0) return;
    const renewal = await renewOnce(account);
    if (renewal.kind === 'good') return;
    const again = { hint: `log in again with \`jackin login kimi --account ${account}\`` };
    if (renewal.kind === 'ended') throw new JackinError('auth.dead', renewal.why.replace(/\.$/, ''), again);
    const left = (login.token?.expiresAt ?? 0) - options.now() / 1000;
    if (left < ENOUGH_S) throw new JackinError('failed', renewal.why.replace(/\.$/, ''), { hint: 'try again when the network and the disk work' });
  };

  const statusOf = async (account: string, containers: ReadonlySet<string>): Promise<KeptLogin> => {
    const state = of(account);
    const { refreshed_at } = await readLoginNote(paths, account);
    const login = await readOwnLogin(paths.loginsDir, account, uid).catch(() => undefined);
    const token = login?.token;
    const trouble = state.why ?? [...state.undelivered.values()][0]?.why ?? null;
    const wait = login === undefined ? 0 : Math.max(dueIn(login, state), state.notBefore - options.elapsed(), 0);
    return {
      account,
      state: login === undefined ? 'none' : state.ended ? 'ended' : trouble === null ? 'live' : 'trouble',
      expires_at: token === undefined ? null : (isoTime(token.expiresAt).expiresAt ?? null),
      refreshed_at,
      next_refresh_at: login === undefined || state.ended ? null : (isoTime((options.now() + wait) / 1000).expiresAt ?? null),
      why: trouble,
      holders: [...containers].sort(),
    };
  };

  return {
    step,
    ensureFresh,
    expect: (account, container) => {
      const key = Symbol(container);
      expected.set(key, { account, container });
      return () => expected.delete(key);
    },
    status: async () => {
      const held = [...(await holders())].sort(([a], [b]) => a.localeCompare(b));
      return { pid: options.pid, started_at: started, logins: await Promise.all(held.map(([account, { all }]) => statusOf(account, all))) };
    },
    held: async () => [...(await holders()).keys()],
    renewals: () => [...kept.values()].flatMap(({ renewing }) => renewing ?? []),
  };
};
