import { setTimeout as delay } from 'node:timers/promises';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { ContainerInfo, Engine } from './engine.ts';

/** The cause of a lost connection into a container. `connection`: engine and container are both there. */
export interface Fate {
  where: 'engine' | 'container' | 'connection';
  /** Missing where nothing more is known. */
  why?: string;
}

/** An engine that dies often leaves its socket open. */
const PING_MS = 5000;
/** A container that ends closes its connections before the engine has noticed. */
const SETTLE_MS = 500;
const POLL_MS = 250;

const inTime = async <T>(answer: Promise<T>, limitMs: number): Promise<T> => {
  const late = new AbortController();
  const tooLate = delay(limitMs, undefined, { signal: late.signal }).then(() => {
    throw new JackinError('engine.unreachable', `the container engine did not answer within ${limitMs / 1000} s`);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    late.abort();
    tooLate.catch(() => undefined);
    answer.catch(() => undefined);
  }
};

const endOf = ({ exitCode, oomKilled }: ContainerInfo): string => {
  if (oomKilled) return 'it was ended because it had used up the memory';
  return exitCode === undefined ? 'it does not run' : `it has ended with code ${exitCode}`;
};

/**
 * Asks the engine what became of a container to which the connection was lost; one that runs
 * is asked about again until it had time to end. Never throws.
 */
export const fateOf = async (
  engine: Pick<Engine, 'container'>,
  container: string,
  settleMs = SETTLE_MS,
  limitMs = PING_MS,
): Promise<Fate> => {
  const until = performance.now() + settleMs;
  try {
    for (;;) {
      const info = await inTime(engine.container(container), limitMs);
      if (info === undefined) return { where: 'container', why: 'it is gone' };
      if (!info.running) return { where: 'container', why: endOf(info) };
      if (performance.now() >= until) return { where: 'connection' };
      await delay(POLL_MS);
    }
  } catch (error) {
    const isGone = error instanceof JackinError && error.code === 'engine.unreachable';
    return { where: isGone ? 'engine' : 'connection', why: messageOf(error) };
  }
};
