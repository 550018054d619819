import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { traceReader } from './buildkit-trace.ts';
import { bounded, boundedOr, engineError, listOf, plainLine, withSignal } from './engine-call.ts';
import type { Engine, LongCall, Removal } from './engine.ts';
import { nodeReadable } from './node-readable.ts';

type ImageCalls = Pick<Engine, 'imageId' | 'pullImage' | 'importImage' | 'buildImage' | 'removeImage' | 'listImages'>;

interface ProgressLine {
  stream?: string;
  status?: string;
  id?: string;
  progress?: string;
  error?: string;
  errorDetail?: { message?: string };
  /** Of the event `moby.buildkit.trace`: base64. */
  aux?: unknown;
}

/** An engine that ends in the middle of its answer leaves half a line. */
const parseEvent = (json: string): ProgressLine => {
  try {
    return JSON.parse(json) as ProgressLine;
  } catch (error) {
    if (!json.startsWith('{')) throw error;
    throw Object.assign(new Error('its answer stops in the middle', { cause: error }), { code: 'ECONNRESET' });
  }
};

/** The client's own follower reports no error for a build that failed: failure is only an event among the others. */
const follow = async (body: NodeJS.ReadableStream, { onLine }: LongCall): Promise<void> => {
  let pending = '';
  let text = '';
  const say = (line: string): void => {
    const plain = plainLine(line);
    if (plain !== '') onLine?.(plain);
  };
  const trace = traceReader(say);
  const take = (json: string): void => {
    if (json.trim() === '') return;
    const event = parseEvent(json);
    const failure = event.errorDetail?.message ?? event.error;
    if (failure !== undefined) throw new Error(failure);
    if (event.id === 'moby.buildkit.trace') {
      if (typeof event.aux === 'string') trace.take(event.aux);
    } else if (event.stream !== undefined) {
      const lines = (text + event.stream).split('\n');
      text = lines.pop() ?? '';
      lines.forEach(say);
    } else if (event.status !== undefined && event.progress === undefined) {
      say(event.id === undefined ? event.status : `${event.id}: ${event.status}`);
    }
  };
  body.setEncoding('utf8');
  try {
    for await (const chunk of body) {
      const lines = (pending + String(chunk)).split('\n');
      pending = lines.pop() ?? '';
      lines.forEach(take);
    }
    take(pending);
  } finally {
    // The last line before a failure is the one that people look for.
    trace.end();
    say(text);
  }
};

/** Runs a call that may take minutes: no limit on its time, but it ends when it is told to. */
const long = async (what: string, call: LongCall, run: (signal: AbortSignal) => Promise<NodeJS.ReadableStream>): Promise<void> => {
  const signal = call.signal ?? new AbortController().signal;
  try {
    signal.throwIfAborted();
    await follow(await run(signal), call);
    signal.throwIfAborted();
  } catch (error) {
    throw engineError(what, error, signal);
  }
};

/** An image name without a tag would make the engine pull every tag there is. */
const withTag = (reference: string): string =>
  reference.includes('@') || /:[^/]+$/.test(reference) ? reference : `${reference}:latest`;

const splitTag = (reference: string): { repo: string; tag: string } => {
  const full = withTag(reference);
  const colon = full.lastIndexOf(':');
  return { repo: full.slice(0, colon), tag: full.slice(colon + 1) };
};

const asBuildFailure = (error: unknown): unknown =>
  error instanceof JackinError && error.code === 'engine.failed'
    ? new JackinError('build.failed', error.message, { cause: error.cause })
    : error;

const imageId = async (docker: Docker, reference: string): Promise<string | undefined> =>
  await boundedOr(`looking up image ${reference}`, 404, undefined, async (signal) => {
    const found = await docker.getImage(reference).inspect(withSignal({}, signal));
    return found.Id;
  });

export const imageCalls = (docker: Docker): ImageCalls => ({
  imageId: async (reference) => await imageId(docker, reference),

  pullImage: async (reference, call) => {
    await long(`pulling ${reference}`, call, async (signal) =>
      await docker.createImage(withSignal({ fromImage: withTag(reference) }, signal)),
    );
  },

  importImage: async (reference, tar: Readable, changes, call) => {
    const options = { ...splitTag(reference), changes };
    await long(`importing ${reference}`, call, async (signal) =>
      await docker.importImage(nodeReadable(tar), withSignal(options, signal) as unknown as Parameters<Docker['importImage']>[1]),
    );
  },

  buildImage: async (spec, call) => {
    const options = {
      t: spec.tag,
      dockerfile: spec.dockerfile,
      labels: { ...spec.labels },
      buildargs: { ...spec.buildArgs },
      nocache: spec.noCache ?? false,
      // A number, and not the text "2": for that the client would open a gRPC session, which nothing here needs.
      version: (spec.builder === 'buildkit' ? 2 : 1) as unknown as '1',
      // Without both, a failed or interrupted step leaves its container behind.
      rm: true,
      forcerm: true,
    };
    try {
      await long(`building ${spec.tag}`, call, async (signal) => await docker.buildImage(nodeReadable(spec.context), withSignal(options, signal)));
    } catch (error) {
      throw asBuildFailure(error);
    }
    if ((await imageId(docker, spec.tag)) === undefined) {
      throw new JackinError('build.failed', `building ${spec.tag}: the engine reported success, but there is no such image`);
    }
  },

  removeImage: async (reference) =>
    await boundedOr<Removal, Removal>(`removing image ${reference}`, 404, 'absent', async (signal) => {
      await docker.getImage(reference).remove(withSignal({}, signal));
      return 'removed';
    }),

  listImages: async (labels) => {
    const label = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    return await bounded('listing images', async (signal) =>
      listOf(await docker.listImages(withSignal({ filters: { label } }, signal))).map((image) => ({
        id: image.Id,
        tags: (image.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>'),
        labels: image.Labels ?? {},
      })),
    );
  },
});
