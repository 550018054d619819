/** Something whose output can be held back. */
export interface Tap {
  pause: () => void;
  resume: () => void;
}

/** Something that takes output, at its own speed. */
export interface Taker {
  /** Bytes given to it that it has not worked off. */
  backlog: () => number;
  /** Gives it up. */
  drop: () => void;
}

const PAUSE_BYTES = 1024 * 1024;
const RESUME_BYTES = 256 * 1024;
const REVIEW_MS = 10;
/** A taker that takes nothing at all for so long is dropped, if others wait for it. */
const STALL_MS = 10_000;

/**
 * Holds a source back while any of its takers is behind. A taker that stalls
 * completely is dropped when it is not the only one; alone it may stall for
 * ever, as the reader of any pipe or terminal may.
 *
 * `model` is a further backlog, of something that never stalls. Call `check`
 * after giving bytes.
 */
export const holdBack = (tap: Tap, model: () => number, takers: () => readonly Taker[]): { check(): void; stop(): void } => {
  let timer: NodeJS.Timeout | undefined;
  const seen = new WeakMap<Taker, { backlog: number; since: number }>();
  const highest = () => Math.max(model(), ...takers().map((taker) => taker.backlog()));
  const dropStalled = () => {
    const now = performance.now();
    for (const taker of takers()) {
      const backlog = taker.backlog();
      const last = seen.get(taker);
      if (last?.backlog !== backlog || backlog <= RESUME_BYTES) seen.set(taker, { backlog, since: now });
      else if (now - last.since > STALL_MS && takers().length > 1) taker.drop();
    }
  };
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  const review = () => {
    dropStalled();
    if (highest() > RESUME_BYTES) return;
    stop();
    tap.resume();
  };
  return {
    stop,
    check: () => {
      if (timer !== undefined || highest() <= PAUSE_BYTES) return;
      tap.pause();
      timer = setInterval(review, REVIEW_MS);
    },
  };
};
