import { get, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Endpoint, type Env, findEndpoints } from './find-endpoint.ts';

/**
 * Which containers run, told whenever that changes. Talks to the engine with Node's
 * own client: this is all that the keeper needs of it, and the library that the rest
 * uses would take a third of the memory that the keeper may have.
 */

const ANSWER_MS = 10_000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
/** Without any event. */
const LOOK_EVERY_MS = 60_000;
/** An engine tells that a container died before its own list says so: after an event the list is asked for again and again. */
const SETTLE_MS = [0, 250, 1000, 4000];

const ask = ({ target }: Endpoint, path: string, query: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const request = get({ ...target, path: `${path}?${new URLSearchParams(query).toString()}`, signal, agent: false }, (response) => {
      if (response.statusCode === 200) return resolve(response);
      response.destroy();
      reject(new Error(`the container engine answered with ${response.statusCode}`));
    });
    request.on('error', reject);
  });

/** Until the headers are there; what follows may take for ever. */
const askInTime = async (endpoint: Endpoint, path: string, query: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> => {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  try {
    return await ask(endpoint, path, query, AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
};

const listRunning = async (endpoint: Endpoint, labels: string[], signal: AbortSignal): Promise<Set<string>> => {
  const answer = await ask(endpoint, '/containers/json', { filters: JSON.stringify({ label: labels }) }, AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]));
  const list = (await json(answer)) as { Names?: unknown }[];
  return new Set(list.flatMap(({ Names }) => (Array.isArray(Names) ? Names : [])).map((name) => String(name).replace(/^\//, '')));
};

const firstThatAnswers = async (env: Env, signal: AbortSignal): Promise<Endpoint> => {
  let failure: unknown = new Error('there is no container engine');
  for (const endpoint of await findEndpoints(env)) {
    try {
      (await askInTime(endpoint, '/_ping', {}, signal)).resume();
      return endpoint;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
};

/** One connection to the engine, until it breaks. */
const watchOnce = async (env: Env, labels: string[], tell: (running: ReadonlySet<string>) => void, signal: AbortSignal, lookEveryMs: number): Promise<void> => {
  const endpoint = await firstThatAnswers(env, signal);
  const filters = JSON.stringify({ label: labels, type: ['container'], event: ['start', 'die', 'destroy'] });
  // Before the list: what happens between the two is then told.
  const events = await askInTime(endpoint, '/events', { filters }, signal);
  const look = async (): Promise<void> => tell(await listRunning(endpoint, labels, signal));
  // A connection that a sleeping machine or its virtual one has lost stays open and says nothing, for ever.
  const looking = setInterval(() => void look().catch(() => events.destroy()), lookEveryMs);
  try {
    await look();
    let settling = new AbortController();
    const settle = async (over: AbortSignal): Promise<void> => {
      for (const wait of SETTLE_MS) {
        await sleep(wait, undefined, { signal: over });
        await look();
      }
    };
    for await (const _event of events) {
      settling.abort();
      settling = new AbortController();
      const over = AbortSignal.any([signal, settling.signal]);
      // What is not known now would not be asked for again before the next event: it is begun anew.
      void settle(over).catch(() => over.aborted || events.destroy());
    }
    settling.abort();
  } finally {
    clearInterval(looking);
    events.destroy();
  }
};

/**
 * Tells the names of the running containers that have all `labels` (`key=value`), at
 * first and after each change, until the signal; undefined when the engine does not
 * answer, which it is asked again and again.
 */
export const watchContainers = async (env: Env, labels: string[], tell: (running: ReadonlySet<string> | undefined) => void, signal: AbortSignal, lookEveryMs = LOOK_EVERY_MS): Promise<void> => {
  let retry = FIRST_RETRY_MS;
  while (!signal.aborted) {
    const told = (running: ReadonlySet<string>): void => {
      retry = FIRST_RETRY_MS;
      tell(running);
    };
    await watchOnce(env, labels, told, signal, lookEveryMs).catch(() => undefined);
    if (signal.aborted) return;
    tell(undefined);
    await sleep(retry, undefined, { signal }).catch(() => undefined);
    retry = Math.min(retry * 2, LAST_RETRY_MS);
  }
};
