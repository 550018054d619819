import type { LoginView } from '../../agents/placed-login.ts';

export interface Decision {
  /** `same`: both hold the same credential. `none`: neither has one that could work. */
  winner: 'handoff' | 'home' | 'same' | 'none';
  why: string;
}

/**
 * Whose login the agent starts with: the one that the host hands over, or the
 * one in the container's home. `base` is the digest of what was seeded last.
 * A dead login never wins, and a refresh inside the container is never undone
 * by a login that the host has not changed.
 */
export const decide = (
  base: string | undefined,
  handoff: LoginView | undefined,
  home: LoginView | undefined,
): Decision => {
  if (!canWork(handoff)) {
    const host = handoff === undefined ? 'The host hands over no login' : 'The login from the host is dead';
    return canWork(home)
      ? { winner: 'home', why: `${host}; the one in the container is kept.` }
      : { winner: 'none', why: `${host}, and the container has none that works.` };
  }
  if (!canWork(home)) {
    const why = home === undefined ? 'The login of the host was taken.' : 'The login in the container was dead; that of the host was taken.';
    return { winner: 'handoff', why };
  }
  if (handoff.digest === home.digest) return { winner: 'same', why: 'Host and container have the same login.' };
  if (home.digest === base) return { winner: 'handoff', why: 'The host has a newer login; it was taken.' };
  if (handoff.digest === base) {
    return { winner: 'home', why: 'The login was renewed in the container; it is kept.' };
  }
  return decideBothChanged(handoff, home);
};

const canWork = (view: LoginView | undefined): view is LoginView =>
  view !== undefined && view.state !== 'dead' && view.state !== 'absent';

const decideBothChanged = (handoff: LoginView, home: LoginView): Decision => {
  if (handoff.account !== home.account) {
    return { winner: 'handoff', why: 'Host and container have logins of different accounts; that of the host was taken.' };
  }
  return livesLonger(home, handoff)
    ? { winner: 'home', why: 'Host and container both have a newer login; the one in the container lives longer and is kept.' }
    : { winner: 'handoff', why: 'Host and container both have a newer login; that of the host was taken.' };
};

/** False as well when it cannot be told. */
const livesLonger = (a: LoginView, b: LoginView): boolean => {
  if (a.refreshable !== b.refreshable) return a.refreshable && b.expiresAt !== undefined;
  return a.expiresAt !== undefined && b.expiresAt !== undefined && a.expiresAt > b.expiresAt;
};
