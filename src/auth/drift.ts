import type { LoginState } from '../agents/login-facts.ts';

/**
 * How the login in a container stands to the one on the host. `forked`: the two
 * went apart, so that neither can simply follow the other.
 */
export type Drift = 'same' | 'host newer' | 'container newer' | 'forked';

/** What a comparison looks at. */
export interface ComparedLogin {
  state: LoginState;
  /** Of the credential; missing where the host has nothing that could be handed over. */
  digest?: string | undefined;
  account?: string | undefined;
}

/**
 * Pure. `base` is the digest of what the host handed over last. Null when one side
 * has no login, or neither has one that could work: there is nothing to compare.
 */
export const driftOf = (host: ComparedLogin | undefined, container: ComparedLogin | undefined, base: string | undefined): Drift | null => {
  if (!isThere(host) || !isThere(container)) return null;
  if (host.state === 'dead' && container.state === 'dead') return null;
  // A dead login is often the later file: a refresh that was refused empties it. It is never the better one.
  if (container.state === 'dead') return 'host newer';
  if (host.state === 'dead') return 'container newer';
  if (host.digest === container.digest) return 'same';
  if (areOthers(host.account, container.account)) return 'forked';
  if (container.digest === base) return 'host newer';
  return host.digest === base ? 'container newer' : 'forked';
};

const isThere = (login: ComparedLogin | undefined): login is ComparedLogin => login !== undefined && login.state !== 'absent';

/** An account that is not told may be the same one. */
const areOthers = (one: string | undefined, other: string | undefined): boolean => one !== undefined && other !== undefined && one !== other;
