import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { JackinError } from '../shared/errors.ts';
import type { Engine, LongCall } from './engine.ts';
import { INSIDE, locked, MARKER, mounted, type VolumeCheck } from './fill.ts';
import { nodeReadable } from './node-readable.ts';

export interface AgentCopy extends Omit<VolumeCheck, 'memory'> {
  memory: VolumeCheck['memory'];
  /** Where the agent goes: `/jackin/agents/<agent>` of this container. */
  container: string;
  agent: string;
}

const AGENTS_DIR = '/jackin/agents';

/**
 * Puts an agent's volume into a container that was made without it, since mounts
 * cannot be added: as files of the container, owned by root. The marker of
 * completeness comes last, so that half a copy is never started.
 */
export const copyAgentInto = async (engine: Engine, copy: AgentCopy, call: LongCall): Promise<void> => {
  call.onLine?.(`copying ${copy.agent} into the container`);
  const { default: tarStream } = await import('tar-stream');
  const put = async (write: (tar: ReturnType<typeof tarStream.pack>) => Promise<void>): Promise<void> => {
    const tar = tarStream.pack();
    const written = write(tar).then(
      () => tar.finalize(),
      (error: unknown) => {
        tar.destroy(error as Error);
      },
    );
    await engine.putArchive(copy.container, AGENTS_DIR, nodeReadable(tar));
    await written;
  };
  const whole = async (hand: string): Promise<Buffer> => {
    const source = await engine.getArchive(hand, INSIDE);
    if (source === undefined) throw new JackinError('failed', `volume ${copy.volume} is gone`);
    let marker: Buffer | undefined;
    await put(async (tar) => {
      const entries = tarStream.extract();
      source.once('error', (error) => entries.destroy(error));
      for await (const entry of source.pipe(entries)) {
        call.signal?.throwIfAborted();
        const { name, type, mode, size } = entry.header;
        // The engine names what it archives by its last segment.
        const inside = name.replace(/^[^/]*\/?/, '');
        if (inside === MARKER) {
          marker = await buffer(entry);
          continue;
        }
        const header = { name: `${copy.agent}/${inside}`, type, mode, uid: 0, gid: 0, mtime: new Date(0) };
        if (type !== 'file') {
          tar.entry(header);
          entry.resume();
          continue;
        }
        await new Promise<void>((resolve, reject) => {
          const target = tar.entry({ ...header, size }, (error) => (error ? reject(error) : resolve()));
          entry.once('error', reject).pipe(target).once('error', reject);
        });
      }
    });
    if (marker === undefined) throw new JackinError('failed', `volume ${copy.volume} is not complete`, { hint: 'try again: it is filled anew' });
    return marker;
  };
  await locked(engine, copy, call, async () => {
    const marker = await mounted(engine, copy, whole);
    await put(async (tar) => {
      await new Promise<void>((resolve, reject) => {
        const size = marker.length;
        const entry = tar.entry({ name: `${copy.agent}/${MARKER}`, size, mode: 0o644, uid: 0, gid: 0 }, (error) => (error ? reject(error) : resolve()));
        Readable.from([marker]).pipe(entry);
      });
    });
  });
};
