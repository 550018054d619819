import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { type OwnLogin, readOwnLogin } from '../auth/own-login.ts';
import { isoTime } from '../auth/source.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { handOutLease } from './hand-out.ts';
import { groupHolders, type Holders, listLeases } from './holders.ts';
import type { KeeperStatus, KeptLogin } from './keeper-status.ts';
import { createHealth, type HealthOptions, leaseDigest, type LoginHealth } from './login-health.ts';
import { readLoginNote } from './login-note.ts';
import { createRenew, type Renewal, type RenewWorld } from './renew.ts';

export interface KeeperOptions extends Omit<RenewWorld, 'loginsDir' | 'keeperDir'>, HealthOptions {
  paths: Pick<Paths, 'loginsDir' | 'keeperDir' | 'dataDir'>;
  /** Names of the containers that run now; undefined while the engine cannot be asked: then all that hold a lease are taken to run. */
  running: () => ReadonlySet<string> | undefined;
  /** In place of writing the handoff of an instance. */
  handOut?: (container: string, login: OwnLogin) => Promise<void>;
  pid: number;
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
  health: LoginHealth;
  renewing?: Promise<Renewal> | undefined;
  /** Digest of the token that each container was handed last. */
  handed: Map<string, string>;
  /** What is wrong with handing out to a container, and how often in a row. */
  undelivered: Map<string, { why: string; times: number }>;
}

/** The longest time between two looks: a machine that slept, or a clock that was set, is noticed by then. */
const TICK_MS = 30_000;
/** After a hand-out that failed; doubles up to a tick. */
const HAND_OUT_RETRY_MS = 2000;
/** A token with less life than this is not handed to a launch when it cannot be renewed. */
const ENOUGH_S = 60;

/**
 * The keeper of jackin's own logins: renews each that somebody holds, before its
 * half life, and hands the new token to every holder. Does nothing by itself:
 * whoever runs it calls `step` again when it says so, or when something changed.
 */
export const createKeeper = (options: KeeperOptions): Keeper => {
  const { paths, uid, log } = options;
  const renew = createRenew({ ...options, loginsDir: paths.loginsDir, keeperDir: paths.keeperDir });
  const handOut = options.handOut ?? ((container: string, login: OwnLogin) => handOutLease(path.join(paths.dataDir, container), login));
  const kept = new Map<string, Kept>();
  const expected = new Map<symbol, { account: string; container: string }>();
  const started = new Date(options.now()).toISOString();

  const of = (account: string): Kept => {
    const known = kept.get(account) ?? { health: createHealth(account, options), handed: new Map<string, string>(), undelivered: new Map<string, { why: string; times: number }>() };
    kept.set(account, known);
    return known;
  };

  /** One renewal at a time for each login: who comes meanwhile gets the same answer. */
  const renewOnce = (account: string): Promise<Renewal> => {
    const state = of(account);
    state.renewing ??= renew(account, (login) => state.health.dueIn(login) <= 0)
      .then((renewal) => {
        state.health.note(renewal);
        return renewal;
      })
      .finally(() => (state.renewing = undefined));
    return state.renewing;
  };

  /** A login whose new pair no disk has taken yet is held by nobody but this process. */
  const holders = async (): Promise<Map<string, Holders>> => {
    const held = groupHolders(await listLeases(paths), expected.values(), options.running());
    for (const [account, { health }] of kept) if (health.unsaved() && !held.has(account)) held.set(account, { all: new Set(), ready: new Set() });
    return held;
  };

  const handTo = async (container: string, login: OwnLogin, state: Kept): Promise<void> => {
    const digest = leaseDigest(login);
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
    const { health } = state;
    for (const about of [state.handed, state.undelivered]) for (const container of about.keys()) if (!containers.has(container)) about.delete(container);
    let login = await readOwnLogin(paths.loginsDir, account, uid);
    if (health.dueIn(login) > 0) {
      health.isWell();
    } else if (health.pause() <= 0) {
      const renewal = await renewOnce(account);
      if (renewal.kind === 'good') login = renewal.login;
    }
    await Promise.all([...containers].map((container) => handTo(container, login, state)));
    const tries = [...state.undelivered.values()].map(({ times }) => times);
    const again = tries.length === 0 ? TICK_MS : HAND_OUT_RETRY_MS * 2 ** (Math.min(...tries) - 1);
    return Math.min(again, Math.max(health.dueIn(login), health.pause(), 1));
  };

  const step = async (): Promise<number> => {
    const held = await holders();
    for (const [account, state] of kept) if (!held.has(account) && state.renewing === undefined) kept.delete(account);
    const waits = await Promise.all(
      [...held].map(([account, { ready }]) =>
        keepOne(account, ready).catch((error: unknown) => {
          if (error instanceof JackinError && error.code === 'not-found') of(account).health.isGone();
          of(account).health.complain(messageOf(error));
          return TICK_MS;
        }),
      ),
    );
    return Math.min(TICK_MS, ...waits);
  };

  const ensureFresh = async (account: string): Promise<void> => {
    const login = await readOwnLogin(paths.loginsDir, account, uid);
    if (of(account).health.dueIn(login) > 0) return;
    const renewal = await renewOnce(account);
    if (renewal.kind === 'good') return;
    const again = { hint: `log in again with \`jackin login kimi --account ${account}\`` };
    if (renewal.kind === 'ended') throw new JackinError('auth.dead', renewal.why.replace(/\.$/, ''), again);
    const left = (login.token?.expiresAt ?? 0) - options.now() / 1000;
    if (left < ENOUGH_S) throw new JackinError('failed', renewal.why.replace(/\.$/, ''), { hint: 'try again when the network and the disk work' });
  };

  const statusOf = async (account: string, containers: ReadonlySet<string>): Promise<KeptLogin> => {
    const { health, undelivered } = of(account);
    const { refreshed_at } = await readLoginNote(paths, account);
    const login = await readOwnLogin(paths.loginsDir, account, uid).catch(() => undefined);
    const token = login?.token;
    const trouble = health.why() ?? [...undelivered.values()][0]?.why ?? null;
    const wait = login === undefined ? 0 : Math.max(health.dueIn(login), health.pause(), 0);
    return {
      account,
      state: login === undefined ? 'none' : health.ended() ? 'ended' : trouble === null ? 'live' : 'trouble',
      expires_at: token === undefined ? null : (isoTime(token.expiresAt).expiresAt ?? null),
      refreshed_at,
      next_refresh_at: login === undefined || health.ended() ? null : (isoTime((options.now() + wait) / 1000).expiresAt ?? null),
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
