import { setTimeout as sleep } from 'node:timers/promises';
import { type OwnLogin, readOwnLogin } from '../auth/own-login.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { JackinError } from '../shared/errors.ts';
import { connectKeeper, type KeeperLine } from './ask-keeper.ts';
import type { KeeperRequest } from './keeper-socket.ts';

/** What asking the keeper needs of the outside world. */
export interface KeeperDeps {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  uid: number;
  startKeeper: (paths: Paths) => Promise<void>;
  signal: AbortSignal;
}

const POLL_MS = 25;
/** One that is about to end still holds the lock: the next one is started again. */
const START_AGAIN_MS = 2000;
const GIVE_UP_MS = 15_000;
/** So many that end while they are asked are no chance any more. */
const MAX_KEEPERS = 3;

/** Speaks to the keeper, which is started when none runs. */
export const openKeeper = async (paths: Paths, { startKeeper, signal }: Pick<KeeperDeps, 'startKeeper' | 'signal'>): Promise<KeeperLine> => {
  const begun = performance.now();
  let started = Number.NEGATIVE_INFINITY;
  for (;;) {
    const line = await connectKeeper(paths);
    if (line !== undefined) return line;
    if (signal.aborted) throw new JackinError('interrupted', 'waiting for the keeper: interrupted');
    const now = performance.now();
    if (now - begun > GIVE_UP_MS) {
      throw new JackinError('failed', 'the keeper of the logins does not start', { hint: `look into ${paths.keeperDir}/log, or run \`jackin keeper run\` to see what it says` });
    }
    if (now - started > START_AGAIN_MS) {
      await startKeeper(paths);
      started = now;
    }
    await sleep(POLL_MS);
  }
};

/** Asks the keeper, and another one where that had just begun to end of itself; the conversation goes on. */
const askKeeper = async (request: KeeperRequest, paths: Paths, deps: KeeperDeps): Promise<KeeperLine> => {
  for (let tries = 1; ; tries += 1) {
    const line = await openKeeper(paths, deps);
    try {
      await line.ask(request, deps.signal);
      return line;
    } catch (error) {
      const end = await Promise.race([line.ended, Promise.resolve('goes on')]);
      line.close();
      if (end !== false || tries === MAX_KEEPERS) throw error;
    }
  }
};

/**
 * One of jackin's own logins, with a token that is good for a while: its keeper is
 * asked to see to that. Throws `not-found`, `auth.dead`, or `failed` when it cannot be
 * renewed now.
 */
export const freshLogin = async (account: string, deps: KeeperDeps): Promise<OwnLogin> => {
  const paths = locatePaths(deps);
  // What is not there needs no keeper to say so.
  await readOwnLogin(paths.loginsDir, account, deps.uid);
  const line = await askKeeper({ op: 'fresh', account }, paths, deps);
  line.close();
  return readOwnLogin(paths.loginsDir, account, deps.uid);
};

/** A place among the holders of a login, for an instance that is being started. */
export interface Hold {
  /** The login as it is now. */
  read: () => Promise<OwnLogin>;
  /** Its container runs: from now on it is kept for as long as that does, and a keeper that dies is replaced until `release`. */
  started: () => Promise<void>;
  release: () => void;
}

/** Takes a place among the holders of a login before its instance is made. Throws as {@link freshLogin}. */
export const holdLogin = async (account: string, container: string, deps: KeeperDeps): Promise<Hold> => {
  const paths = locatePaths(deps);
  const read = (): Promise<OwnLogin> => readOwnLogin(paths.loginsDir, account, deps.uid);
  await read();
  let line = await askKeeper({ op: 'hold', account, container }, paths, deps);
  const released = new AbortController();
  const revive = async (): Promise<void> => {
    for (;;) {
      const dismissed = await line.ended;
      if (released.signal.aborted || dismissed) return;
      const next = await openKeeper(paths, { startKeeper: deps.startKeeper, signal: released.signal });
      line = next;
      // Nobody closes it any more: it would keep this process from ending.
      if (released.signal.aborted) return next.close();
      // As with the first one, this conversation keeps it: one that ends at once would be started again and again.
      await next.ask({ op: 'fresh', account }).catch(() => undefined);
    }
  };
  return {
    read,
    started: async () => {
      await line.ask({ op: 'started' }).catch(() => undefined);
      // A session that goes on must not lose its login with the keeper. Without one it is no worse off than before.
      void revive().catch(() => undefined);
    },
    release: () => {
      released.abort();
      line.close();
    },
  };
};
