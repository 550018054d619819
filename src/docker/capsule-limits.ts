/**
 * Every exchange with a capsule has an end. The agent can put a program of its own in the
 * capsule's place: one that says nothing, a byte now and then, or more than anybody reads.
 */
export interface CapsuleLimits {
  /** For the greeting: the container may have been started a moment ago, and its own program waits ten seconds for it. */
  greetingMs: number;
  /** For anything that a capsule answers at once. */
  answerMs: number;
  /** For the set-up of a home: hooks of the role run as long as they need. */
  setupMs: number;
  /** For the end of a session, which gets three seconds to end by itself. */
  endMs: number;
}

export const CAPSULE_LIMITS: CapsuleLimits = { greetingMs: 20_000, answerMs: 10_000, setupMs: 30 * 60_000, endMs: 20_000 };

/** Kinds of answers that the host waits for. */
export type Awaited = 'greeting' | 'answer' | 'setup' | 'end';

/** An answer that was on its way when the time was over is still read: this process may have been stopped itself. */
const GRACE_MS = 100;
/** The longest time that a timer takes; nobody waits that long. */
const LONGEST_MS = 2 ** 31 - 1;

/** `30 min`, `10 s`. */
export const duration = (ms: number): string => (ms >= 120_000 ? `${Math.round(ms / 60_000)} min` : `${ms / 1000} s`);

const MISSED: Record<Awaited, string> = {
  greeting: 'there was no greeting',
  answer: 'there was no answer',
  setup: 'it was not set up',
  end: 'the session did not end',
};

export interface Patience {
  /** Waits for something else from now on; undefined: for nothing any more. */
  waitFor: (awaited: Awaited | undefined) => void;
}

/** Calls `giveUp` when something has not come in time. The clock runs on whatever comes instead. */
export const createPatience = (limits: CapsuleLimits, giveUp: (why: string) => void): Patience => {
  let timer: NodeJS.Timeout | undefined;
  return {
    waitFor: (awaited) => {
      clearTimeout(timer);
      if (awaited === undefined) return;
      const limit = limits[`${awaited}Ms`];
      if (limit > LONGEST_MS) return;
      timer = setTimeout(() => {
        timer = setTimeout(() => giveUp(`${MISSED[awaited]} within ${duration(limit)}`), GRACE_MS);
      }, limit);
    },
  };
};

/** A set-up has a handful of steps to tell. */
const MAX_NOTES = 100;
const MAX_NOTE_CHARS = 20_000;
/** Lists of sessions change at the pace of people and scripts. */
const MAX_MESSAGES = 1000;
const WINDOW_MS = 10_000;

export interface Allowance {
  /** Counts a message that is no output. Throws when there are more than make sense. */
  message: () => void;
  /** Counts a note that will be printed. Throws when there are more than anybody reads. */
  note: (text: string) => void;
}

export const createAllowance = (now: () => number = () => performance.now()): Allowance => {
  let notes = 0;
  let chars = 0;
  let since = 0;
  let messages = 0;
  return {
    message: () => {
      if (messages === 0 || now() - since > WINDOW_MS) {
        since = now();
        messages = 0;
      }
      messages += 1;
      if (messages > MAX_MESSAGES) throw new Error(`it says more than ${MAX_MESSAGES} things in ${duration(WINDOW_MS)}`);
    },
    note: (text) => {
      notes += 1;
      chars += text.length;
      if (notes > MAX_NOTES || chars > MAX_NOTE_CHARS) throw new Error('it has more to note than anybody reads');
    },
  };
};
