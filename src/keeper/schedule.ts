import type { KimiToken } from '../agents/kimi-token.ts';

/**
 * When a token is renewed: a little before half of its life, which is when a Kimi
 * that shares the directory would. Two clocks tell: the wall clock may jump, the
 * other one stands still while the machine sleeps.
 */

/** Milliseconds. `elapsed` only ever grows and knows nothing of the date. */
export interface Instant {
  wall: number;
  elapsed: number;
}

/** Part of the half life by which a renewal may come early, so that not all come at once. */
const JITTER = 0.01;
/** Of a token that does not tell how long it lives: what Kimi Code takes in its place. */
const USUAL_MARGIN_S = 300;
/** What clocks may differ by before one of them has been set. */
const SLACK_MS = 60_000;

/** What is left of a token's life when it is renewed, in milliseconds. `luck` in [0, 1). */
const marginOf = ({ expiresIn }: KimiToken, luck: number): number => (expiresIn > 0 ? (expiresIn * 1000 * (1 + luck * JITTER)) / 2 : USUAL_MARGIN_S * 1000);

/**
 * Milliseconds until a token must be renewed; 0 or less: now. `since` is when this
 * process first had the token, where it knows.
 */
export const untilDue = (token: KimiToken, now: Instant, since: Instant | undefined, luck: number): number => {
  const life = token.expiresIn * 1000;
  const margin = marginOf(token, luck);
  const left = token.expiresAt * 1000 - now.wall;
  if (life <= 0) return left - margin;
  // Nobody lives longer than at birth: the wall clock was set back, and nothing tells how old this one is.
  if (since === undefined) return left > life + SLACK_MS ? 0 : left - margin;
  return Math.min(left, life - (now.elapsed - since.elapsed)) - margin;
};

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 5 * 60_000;

/** How long to wait after so many failures in a row, in milliseconds; doubles up to five minutes. */
export const backOff = (failures: number, luck: number): number =>
  Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20), LAST_RETRY_MS) * (1 + luck / 4);
