import type { Readable, Writable } from 'node:stream';
import { JackinError } from '../shared/errors.ts';
import type { Fate } from './container-fate.ts';

/** The byte pipe to a capsule: the streams of an exec that runs `connect.mjs`. */
export interface CapsuleStream {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** Tells a person how to get rid of a container that does not behave. */
  remedy: () => string;
  /** Asks the engine what became of the container, which may still be ending for so long. Never throws. */
  fate: (settleMs?: number) => Promise<Fate>;
}

/** After the end, for the other side to close; then the pipe is cut, so that it cannot keep this process alive. */
const CLOSE_MS = 2000;
/** The last words of the connecting program may arrive a little after its end. */
const COMPLAINT_MS = 100;
const COMPLAINT_CHARS = 300;
/** How Node, and what starts it, say that there may be no more processes. */
const NO_PROCESS = /Resource temporarily unavailable|EAGAIN|pthread_create|uv_thread_create|WorkerThreadsTaskRunner/;
/** Bytes that the connecting program may say; the rest is not looked at. */
const MAX_COMPLAINT = 64 * 1024;

/** A stream that closes will never drain. */
export const resumeWhenDrained = (target: Writable, resume: () => void): void => {
  const once = () => {
    target.off('drain', once).off('close', once);
    resume();
  };
  target.on('drain', once).on('close', once);
};

interface Ending<T> {
  promise: Promise<T>;
  isOver: () => boolean;
  /** The first one counts: closes the face, hangs up, and settles the promise whatever closing does. */
  settle: (outcome: T | JackinError, close: () => void) => void;
}

/** An end that is told once, and hangs up. */
export const createEnding = <T>(stream: CapsuleStream): Ending<T> => {
  let over = false;
  let resolve: (end: T) => void;
  let reject: (error: JackinError) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return {
    promise,
    isOver: () => over,
    settle: (outcome, close) => {
      if (over) return;
      over = true;
      try {
        close();
      } finally {
        hangUp(stream);
        if (outcome instanceof JackinError) reject(outcome);
        else resolve(outcome);
      }
    },
  };
};

/** Closing our end is the receipt for everything received: the capsule waits for it before it ends. */
const hangUp = (stream: CapsuleStream): void => {
  stream.stdin.end();
  stream.stdout.resume();
  const cut = setTimeout(() => {
    stream.stdin.destroy();
    stream.stdout.destroy();
  }, CLOSE_MS);
  cut.unref();
  stream.stdout.once('close', () => clearTimeout(cut));
};

const inWords = (complaint: string): string => {
  if (NO_PROCESS.test(complaint)) return 'no more processes can be started in the container, it is at its limit: end some in a session that is attached, or eject it';
  return complaint.replaceAll(/\p{Cc}+/gu, ' ').trim().slice(0, COMPLAINT_CHARS) || 'the connection to the container ended';
};

/** Tells when the stream ends by itself, with what the connecting program had to say. */
export const watchLoss = (stream: CapsuleStream, lose: (why: string) => void): void => {
  let complaint = '';
  stream.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, MAX_COMPLAINT);
  });
  stream.stderr.on('error', () => {});
  stream.stdin.on('error', () => {});
  const onEnd = () => setTimeout(() => lose(inWords(complaint)), COMPLAINT_MS);
  stream.stdout.once('end', onEnd).once('close', onEnd);
  stream.stdout.on('error', () => {});
};
