import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { JackinError } from '../shared/errors.ts';
import { isAlive, type Owner } from '../shared/owner.ts';
import type { ContainerSpec, Engine, Labels, LongCall, Removal } from './engine.ts';
import { MANAGED } from './labels.ts';
import { nodeReadable } from './node-readable.ts';
import type { VolumeWriter } from './repack.ts';
import type { VolumeMemory } from './volume-memory.ts';

/** Last thing that is written; a volume without it is never used. */
export const MARKER = '.jackin-complete';
/** Where the volume is mounted while it is filled. */
export const INSIDE = '/volume';
const POLL_MS = 300;
const OWNER_LABEL = 'jackin.owner';

export interface VolumeCheck {
  volume: string;
  /** Any local image: its containers are created, never started. Waited for only where there is something to look into. */
  image: string | Promise<string>;
  owner: Owner;
  memory: VolumeMemory;
}

export interface FillRequest extends VolumeCheck {
  labels: Labels;
  /** Writes the content; what it returns goes into the marker. Runs only when there is something to do. */
  write: (volume: VolumeWriter, call: LongCall) => Promise<unknown>;
}

const neverStarted = async (name: string, request: VolumeCheck, mounts: ContainerSpec['mounts']): Promise<ContainerSpec> => ({
  name,
  hostname: 'fill',
  image: await request.image,
  argv: ['/nothing'],
  user: '65534:65534',
  workdir: '/',
  env: [],
  labels: { ...MANAGED, 'jackin.kind': 'fill', [OWNER_LABEL]: JSON.stringify(request.owner) },
  mounts,
  tmpfs: {},
  network: 'none',
  init: false,
  capDrop: ['ALL'],
  noNewPrivileges: true,
  pidsLimit: 16,
});

const lockName = ({ volume }: VolumeCheck): string => `jackin-fill-${volume}`;

const ownerOf = (labels: Labels): Owner | undefined => {
  try {
    const { pid, started, boot } = JSON.parse(labels[OWNER_LABEL] ?? '') as Partial<Owner>;
    return typeof pid === 'number' && typeof started === 'string' && typeof boot === 'string' ? { pid, started, boot } : undefined;
  } catch {
    return undefined;
  }
};

const interrupted = ({ volume }: VolumeCheck): JackinError => new JackinError('interrupted', `filling ${volume}: interrupted`);

const isConflict = (error: unknown): boolean => error instanceof JackinError && error.code === 'conflict';

/**
 * Holds the name of a container as a lock that every client of the engine sees.
 * One whose owner is dead is taken over, by its id: by name it might already be
 * somebody else's.
 */
const acquire = async (engine: Engine, name: string, request: VolumeCheck, call: LongCall): Promise<string> => {
  let told = false;
  for (;;) {
    if (call.signal?.aborted) throw interrupted(request);
    try {
      return await engine.createContainer(await neverStarted(name, request, []));
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    const holder = await engine.container(name);
    if (holder === undefined) continue;
    const owner = ownerOf(holder.labels);
    if (owner === undefined || !isAlive(owner)) {
      await engine.removeContainer(holder.id);
      continue;
    }
    if (!told) call.onLine?.(`another jackin (process ${owner.pid}) fills ${request.volume}: waiting for it`);
    told = true;
    await delay(POLL_MS, undefined, { signal: call.signal }).catch(() => undefined);
  }
};

/** What the marker says; undefined when there is none. */
const markerIn = async (engine: Engine, hand: string): Promise<string | undefined> => {
  const archive = await engine.getArchive(hand, `${INSIDE}/${MARKER}`);
  if (archive === undefined) return undefined;
  const { default: tarStream } = await import('tar-stream');
  const entries = archive.pipe(tarStream.extract());
  archive.once('error', (error) => entries.destroy(error));
  let said = '';
  for await (const entry of entries) said += await text(entry);
  return said;
};

/** Streams what `produce` writes into the volume. The first of the two sides that fails says why. */
const send = async (engine: Engine, hand: string, produce: (volume: VolumeWriter) => Promise<void>): Promise<void> => {
  // A bundled CommonJS module, imported when it is needed, has only its default export.
  const [{ default: tarStream }, { volumeWriter }] = await Promise.all([import('tar-stream'), import('./repack.ts')]);
  const tar = tarStream.pack();
  let cause: unknown;
  const note = (error: unknown): void => {
    cause ??= error;
    tar.destroy(error instanceof Error ? error : new Error('stopped'));
  };
  const produced = produce(volumeWriter(tar)).then(() => tar.finalize());
  const sent = engine.putArchive(hand, INSIDE, nodeReadable(tar));
  await Promise.all([produced.catch(note), sent.catch(note)]);
  if (cause !== undefined) throw cause;
};

/** Runs with a container, never started, that has the volume mounted. Only under the lock: its name is fixed. */
export const mounted = async <T>(engine: Engine, request: VolumeCheck, run: (hand: string) => Promise<T>): Promise<T> => {
  const name = `${lockName(request)}-hand`;
  const mount = { kind: 'volume', source: request.volume, target: INSIDE, readonly: false } as const;
  await engine.removeContainer(name);
  const hand = await engine.createContainer(await neverStarted(name, request, [mount]));
  try {
    return await run(hand);
  } finally {
    await engine.removeContainer(hand);
  }
};

const remember = async (engine: Engine, request: VolumeCheck): Promise<void> => {
  const volume = await engine.volume(request.volume);
  if (volume !== undefined) await request.memory.remember(volume);
};

export const locked = async <T>(engine: Engine, request: VolumeCheck, call: LongCall, run: () => Promise<T>): Promise<T> => {
  const lock = await acquire(engine, lockName(request), request, call);
  try {
    // A process that was killed may have left one, and the volume cannot go while it is there.
    await engine.removeContainer(`${lockName(request)}-hand`);
    return await run();
  } finally {
    await engine.removeContainer(lock);
  }
};

/** Under the lock. A volume without marker goes: nobody fills it any more. */
const completeOrGone = async (engine: Engine, request: VolumeCheck): Promise<boolean> => {
  if ((await engine.volume(request.volume)) === undefined) return false;
  if (await mounted(engine, request, async (hand) => (await markerIn(engine, hand)) !== undefined)) return true;
  await engine.removeVolume(request.volume);
  return false;
};

const fill = async (engine: Engine, request: FillRequest, call: LongCall): Promise<void> => {
  let complete = false;
  await engine.createVolume(request.volume, { ...MANAGED, ...request.labels });
  try {
    await mounted(engine, request, async (hand) => {
      let content: unknown;
      await send(engine, hand, async (volume) => {
        content = await request.write(volume, call);
      });
      if (call.signal?.aborted) throw interrupted(request);
      // A call of its own: by now the engine has confirmed that everything else is there.
      const marker = Buffer.from(`${JSON.stringify(content)}\n`);
      await send(engine, hand, async (volume) => await volume.file(MARKER, marker.length, 'data', Readable.from([marker])));
    });
    complete = true;
  } finally {
    // What cannot be removed has no marker, and goes next time: the error that is told is the first one.
    if (!complete) await engine.removeVolume(request.volume).catch(() => undefined);
  }
};

/** Whether an existing volume is complete. Waits for one that is being filled; removes one that was left half-filled. */
export const isComplete = async (engine: Engine, request: VolumeCheck, call: LongCall): Promise<boolean> => {
  const complete = await locked(engine, request, call, async () => await completeOrGone(engine, request));
  if (complete) await remember(engine, request);
  return complete;
};

/** What was written into the marker of a volume when it was complete; undefined when there is no such volume, or no marker in it. */
export const readMarker = async (engine: Engine, request: VolumeCheck, call: LongCall): Promise<string | undefined> =>
  await locked(engine, request, call, async () => {
    if ((await engine.volume(request.volume)) === undefined) return undefined;
    return await mounted(engine, request, async (hand) => await markerIn(engine, hand));
  });

/**
 * Makes a volume complete: filled by one process at a time across the engine, its
 * marker written last, and gone again when filling fails or is interrupted. Takes
 * no lock and looks into nothing when the volume is known to be complete.
 */
export const ensureFilled = async (engine: Engine, request: FillRequest, call: LongCall): Promise<{ filled: boolean }> => {
  const known = await engine.volume(request.volume);
  if (known !== undefined && (await request.memory.knows(known))) return { filled: false };
  const filled = await locked(engine, request, call, async () => {
    if (await completeOrGone(engine, request)) return false;
    await fill(engine, request, call);
    return true;
  });
  // Only now: a volume that is remembered is not looked at again, and nobody would find a lock that was left on it.
  await remember(engine, request);
  return { filled };
};

/** Removes a volume that nothing uses. `in use`: by now something does, and it stays. */
export const removeFilled = async (engine: Engine, request: VolumeCheck, call: LongCall): Promise<Removal | 'in use'> =>
  await locked(engine, request, call, async () => {
    try {
      return await engine.removeVolume(request.volume);
    } catch (error) {
      if (isConflict(error)) return 'in use';
      throw error;
    }
  });
