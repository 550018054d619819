import type { Paths } from '../config/paths.ts';
import { keeperStatus } from '../keeper/ask-keeper.ts';
import { readLoginNote } from '../keeper/login-note.ts';
import type { KeeperStatus } from '../keeper/keeper-status.ts';
import { messageOf } from '../shared/errors.ts';
import { stateOfLogin } from './auth-status-cell.ts';
import type { AuthState } from './auth-status-key.ts';
import type { HostLogins } from './auth-status-logins.ts';

/** How one of jackin's own logins stands: by its files, what the keeper noted, and what it says if it runs. */
export interface OwnState {
  /** Name of the login. */
  name: string;
  state: AuthState;
  account: string | null;
  expires_at: string | null;
  refreshed_at: string | null;
  keeperRuns: boolean;
  why: string;
  /** What the keeper says is wrong; null when nothing is. */
  trouble: string | null;
}

export interface KeeperSide {
  /** Undefined when none runs, or nobody had to ask; a keeper that does not answer counts as one that does not run. */
  status: () => Promise<KeeperStatus | undefined>;
  own: (name: string) => Promise<OwnState>;
}

const stateOf = async (name: string, status: KeeperStatus | undefined, paths: Paths, logins: HostLogins): Promise<OwnState> => {
  const note = await readLoginNote(paths, name);
  const kept = status?.logins.find(({ account }) => account === name);
  const common = { name, refreshed_at: note.refreshed_at, keeperRuns: status !== undefined, trouble: kept?.state === 'trouble' ? kept.why : null };
  const decision = { sourceDir: undefined, login: { value: name, origin: { layer: 'default' as const }, trace: [] } };
  try {
    const { facts } = await logins('kimi', decision);
    return { ...common, state: stateOfLogin(facts.state), account: facts.account ?? null, expires_at: facts.expiresAt ?? null, why: facts.why };
  } catch (error) {
    return { ...common, state: 'unreadable', account: null, expires_at: null, why: messageOf(error) };
  }
};

/** Asks the keeper at most once, and only when one of jackin's own logins is in question. */
export const openKeeperSide = (paths: Paths, logins: HostLogins): KeeperSide => {
  let asked: Promise<KeeperStatus | undefined> | undefined;
  const status = (): Promise<KeeperStatus | undefined> => (asked ??= keeperStatus(paths).catch(() => undefined));
  const found = new Map<string, Promise<OwnState>>();
  const own = (name: string): Promise<OwnState> => {
    const known = found.get(name) ?? status().then((answer) => stateOf(name, answer, paths, logins));
    found.set(name, known);
    return known;
  };
  return { status, own };
};

/**
 * What is wrong with a login and what to do about it; null when nothing is. `isHeld`: a
 * running container has a lease of it, so that somebody has to renew it.
 */
export const warningOf = ({ name, state, why, expires_at: end, keeperRuns, trouble }: OwnState, isHeld: boolean): string | null => {
  if (state !== 'live' && state !== 'expired') return `${state === 'absent' ? '' : `The login ${name} is not renewed any more. `}${why} To do: \`jackin login kimi --account ${name}\`.`;
  if (isHeld && !keeperRuns) {
    const access = end === null ? '' : ` Its access ${state === 'live' ? 'ends' : 'ended'} ${end}.`;
    return `The keeper does not run, so nobody renews the login ${name}.${access} To do: \`jackin keeper run\`.`;
  }
  // Renewing or handing out: the keeper says which.
  return trouble === null ? null : `The keeper has trouble with the login ${name}: ${trouble}`;
};
