import { stripVTControlCharacters } from 'node:util';
import { JackinError, messageOf } from '../shared/errors.ts';

/** How long the engine may take for a call that does no heavy work. */
const SMALL_CALL_MS = 30_000;

const CONNECTION_CODES = ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EACCES', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'];

const property = (error: unknown, name: string): unknown =>
  error !== null && typeof error === 'object' ? Reflect.get(error, name) : undefined;

/** HTTP status of the engine's answer, when it did answer. */
export const statusOf = (error: unknown): number | undefined => {
  const status = property(error, 'statusCode');
  return typeof status === 'number' ? status : undefined;
};

/** The engine's own words, without the client library's wrapping. */
export const engineMessage = (error: unknown): string => {
  const own = property(property(error, 'json'), 'message');
  const text = typeof own === 'string' ? own : messageOf(error).replace(/^\(HTTP code \d+\) .*? - /, '');
  return plainLine(text);
};

/** Text from an engine or a build may hold escape sequences; a terminal must never see them. */
export const plainLine = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- removing control characters is the point
  stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '').trimEnd();

const isConnectionError = (error: unknown): boolean =>
  statusOf(error) === undefined &&
  (CONNECTION_CODES.includes(String(property(error, 'code'))) || /socket hang up|aborted/.test(messageOf(error)));

/** Says of anything thrown during an engine call what kind of failure it is. */
export const engineError = (what: string, error: unknown, signal?: AbortSignal): JackinError => {
  if (error instanceof JackinError) return error;
  if (signal?.aborted) return new JackinError('interrupted', `${what}: interrupted`, { cause: error });
  const message = engineMessage(error);
  if (/no space left on device/i.test(message)) {
    return new JackinError('disk.full', `${what}: the container engine's disk is full (${message})`, {
      hint: 'free some space on the disk that holds the engine\'s data, then try again',
      cause: error,
    });
  }
  if (isConnectionError(error)) {
    return new JackinError('engine.unreachable', `${what}: the connection to the container engine broke (${message})`, {
      hint: 'check that the engine is running, then try again',
      cause: error,
    });
  }
  // What was expected of the answer is not in it: something else than an engine may listen there.
  if (error instanceof TypeError) {
    return new JackinError('engine.failed', `${what}: the container engine's answer makes no sense`, {
      hint: 'check what listens at the engine\'s address (DOCKER_HOST)',
      cause: error,
    });
  }
  return new JackinError('engine.failed', `${what}: ${message}`, { cause: error });
};

/**
 * Runs a small call with a limit on its whole time, so that an engine that hangs, or
 * answers a byte at a time, cannot hold a command for ever.
 */
export const bounded = async <T>(
  what: string,
  run: (signal: AbortSignal) => Promise<T>,
  limitMs = SMALL_CALL_MS,
): Promise<T> => {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const message = `${what}: the container engine did not answer within ${limitMs / 1000} s`;
      reject(new JackinError('engine.unreachable', message, { hint: 'check that the engine is healthy, then try again' }));
      abort.abort();
    }, limitMs);
  });
  try {
    return await Promise.race([run(abort.signal), late]);
  } catch (error) {
    throw engineError(what, error);
  } finally {
    // The signal must not fire later: it would cut a stream that this call handed out.
    clearTimeout(timer);
  }
};

/** Like {@link bounded}, with one HTTP status turned into an answer. */
export const boundedOr = async <T, A>(
  what: string,
  status: number,
  answer: A,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T | A> =>
  await bounded<T | A>(what, (signal) =>
    run(signal).catch((error: unknown) => {
      if (statusOf(error) === status) return answer;
      throw error;
    }),
  );

/** A listing, for what says that it is one: the client passes on whatever came. */
export const listOf = <T>(answer: T[]): T[] => {
  if (!Array.isArray(answer)) throw new TypeError('no list');
  return answer;
};

/** The client's types know no abort signal on most calls; the client does. */
export const withSignal = <O extends object>(options: O, signal: AbortSignal): O => ({ ...options, abortSignal: signal });
