import type { IncomingMessage } from 'node:http';
import { addAbortSignal, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { bounded, statusOf } from './engine-call.ts';
import type { InspectedKind, InspectOptions, Inspection } from './engine.ts';
import { takeApart } from './multiplexed.ts';

/** Before it sends the first byte of an image, the engine may write all of it to its own disk. */
const FIRST_BYTE_MS = 5 * 60_000;
/** How long a stream may bring nothing. */
const SILENCE_MS = 60_000;

interface Call {
  /** What it does, for messages. */
  what: string;
  path: string;
  query?: Record<string, string>;
}

/** One GET of the engine's API. The client has no call for some of these, and none of them takes a signal everywhere. */
const get = async <T>(docker: Docker, { what, path, query = {} }: Call, { signal }: InspectOptions, stream?: 'stream'): Promise<T> => {
  const ask = async (late: AbortSignal): Promise<T> =>
    await new Promise<T>((resolve, reject) => {
      const abortSignal = AbortSignal.any([signal, late]);
      // The client wants the question mark in the path, and what follows it apart.
      const call = { method: 'GET', path: Object.keys(query).length === 0 ? path : `${path}?`, options: query, isStream: stream !== undefined, abortSignal, statusCodes: { 200: true } };
      docker.modem.dial(call, (error, answer) => (error ? reject(error) : resolve(answer as T)));
    });
  try {
    return await bounded(what, ask, stream && FIRST_BYTE_MS);
  } catch (error) {
    if (signal.aborted) throw new JackinError('interrupted', `${what}: interrupted`, { cause: error });
    throw error;
  }
};

/** A stream that ends when it is told to, and when it brings nothing for too long. */
const open = async (docker: Docker, call: Call, options: InspectOptions): Promise<Readable> =>
  endInSilence(call.what, addAbortSignal(options.signal, await get<IncomingMessage>(docker, call, options, 'stream')));

/** The body of an answer, which breaks when nothing of it comes for a while. */
export const endInSilence = (what: string, body: IncomingMessage, limitMs = SILENCE_MS): Readable =>
  body.setTimeout(limitMs, () => {
    const message = `${what}: the container engine sent nothing for ${limitMs / 1000} s`;
    body.destroy(new JackinError('engine.unreachable', message, { hint: 'check that the engine is healthy, then try again' }));
  });

/** What was written, without the headers that tell the two streams apart. */
async function* withoutHeaders(body: Readable): AsyncGenerator<Buffer> {
  for await (const { bytes } of takeApart(body)) yield bytes;
}

const PATHS: Readonly<Record<InspectedKind, (name: string) => string>> = {
  container: (name) => `/containers/${name}/json`,
  image: (name) => `/images/${name}/json`,
  'history of image': (name) => `/images/${name}/history`,
  network: (name) => `/networks/${name}`,
  volume: (name) => `/volumes/${name}`,
};

/** A time as the engine tells it, in the form in which it takes one. */
const timestamp = (time: string): string => {
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) throw new JackinError('engine.failed', `${JSON.stringify(time)}, which the container engine gives, is not a time`);
  return (ms / 1000).toFixed(3);
};

const eventsOf = async (docker: Docker, container: string, since: string, options: InspectOptions): Promise<string[]> => {
  const what = `listing the events of container ${container}`;
  // Until now by the engine's own clock: until a time that it thinks is still to come, it would wait.
  const { SystemTime: until = '' } = await get<{ SystemTime?: string }>(docker, { what, path: '/info' }, options);
  const query = { since: timestamp(since), until: timestamp(until), filters: JSON.stringify({ container: [container] }) };
  return await bounded(what, async (late) => {
    const body = await open(docker, { what, path: '/events', query }, { signal: AbortSignal.any([options.signal, late]) });
    return (await text(body)).split('\n').filter((line) => line !== '');
  });
};

interface Usage {
  Volumes?: { Name: string; UsageData?: { Size?: number } | null }[] | null;
}

const sizesOf = ({ Volumes }: Usage): ReadonlyMap<string, number> =>
  // An engine that has not looked says -1.
  new Map((Volumes ?? []).flatMap(({ Name, UsageData }) => (UsageData?.Size === undefined || UsageData.Size < 0 ? [] : [[Name, UsageData.Size]])));

export const inspectionCalls = (docker: Docker): Inspection => ({
  inspect: async (kind, name, options) => {
    try {
      return await get<object>(docker, { what: `inspecting ${kind} ${name}`, path: PATHS[kind](encodeURIComponent(name)) }, options);
    } catch (error) {
      if (error instanceof JackinError && statusOf(error.cause) === 404) return undefined;
      throw error;
    }
  },

  commandLines: async (container, options) => {
    const call = { what: `listing the processes of container ${container}`, path: `/containers/${container}/top`, query: { ps_args: '-ww -eo pid,args' } };
    const { Processes: rows } = await get<{ Processes: string[][] | null }>(docker, call, options);
    return (rows ?? []).map(([, ...words]) => words.join(' '));
  },

  events: async (container, since, options) => await eventsOf(docker, container, since, options),

  wholeLog: async (container, options) => {
    const query = { stdout: '1', stderr: '1' };
    const body = await open(docker, { what: `reading the log of container ${container}`, path: `/containers/${container}/logs`, query }, options);
    return Readable.from(withoutHeaders(body), { objectMode: false });
  },

  exportContainer: async (container, options) =>
    await open(docker, { what: `exporting container ${container}`, path: `/containers/${container}/export` }, options),

  saveImage: async (reference, options) => await open(docker, { what: `saving image ${reference}`, path: `/images/${reference}/get` }, options),

  // Engines that do not know the restriction to volumes ignore it.
  volumeSizes: async (options) => sizesOf(await get<Usage>(docker, { what: 'adding up the sizes of volumes', path: '/system/df', query: { type: 'volume' } }, options)),
});
