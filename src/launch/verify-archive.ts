import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Header } from 'tar-stream';
import type { Look } from './verify-place.ts';

/** How many files and archives inside of it an archive had. */
export interface ArchiveCount {
  files: number;
  layers: number;
}

type Chunks = AsyncIterable<Buffer>;

/** Name of an entry as it counts for a search: all that its header can carry. */
const headerText = ({ name, linkname, uname, gname, pax }: Header & { linkname?: string | null }): string =>
  JSON.stringify([name, linkname, uname, gname, ...Object.entries(pax ?? {}).flat()]);

/** Enough to tell what a file is: the sign of a tar stands at byte 257. */
const PEEK_BYTES = 512;

/** The beginning of a stream, and the whole of it. */
const peek = async (content: Chunks): Promise<{ head: Buffer; whole: Chunks }> => {
  const iterator = content[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  let length = 0;
  while (length < PEEK_BYTES) {
    const { value, done } = await iterator.next();
    if (done) break;
    first.push(value);
    length += value.length;
  }
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield* first;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  return { head: Buffer.concat(first), whole: whole() };
};

const isTar = (head: Buffer): boolean => head.subarray(257, 262).toString('latin1') === 'ustar';
const isGzip = (head: Buffer): boolean => head[0] === 0x1f && head[1] === 0x8b;
const isZstd = (head: Buffer): boolean => head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528;

/** What goes through an archive, entry by entry; whichever side breaks, both end. */
const eachEntry = async (tar: Chunks | Readable, signal: AbortSignal, visit: (header: Header, content: Chunks) => Promise<void>): Promise<void> => {
  // A bundled CommonJS module, imported when it is needed, has only its default export.
  const { default: tarStream } = await import('tar-stream');
  const entries = tarStream.extract();
  const fed = pipeline(tar, entries as unknown as NodeJS.WritableStream, { signal });
  let broken: unknown;
  fed.catch((error: unknown) => (broken = error));
  try {
    for await (const entry of entries) {
      await visit(entry.header, entry as unknown as Chunks);
      entry.resume();
    }
  } catch (error) {
    entries.destroy();
    // The first failure is the cause; what it breaks further down is not.
    await fed.catch(() => undefined);
    throw broken ?? error;
  }
  await fed;
};

const gunzipped = (content: Chunks): Readable => {
  const gunzip = createGunzip();
  // Whoever reads it hears of the failure.
  pipeline(content, gunzip).catch(() => undefined);
  return gunzip;
};

const scanFiles = async (look: Look, prefix: string, tar: Chunks | Readable, count: ArchiveCount): Promise<void> => {
  await eachEntry(tar, look.signal, async (header, content) => {
    const where = `${prefix}/${header.name.replace(/^(\.?\/)+/, '')}`;
    look.text(`name ${where}`, headerText(header));
    if (header.type !== 'directory') count.files += 1;
    await look.stream(where, content);
  });
};

/** Short name of a layer: the directory that its tar stands in, or the digest that is its name. */
const layerName = (name: string): string => {
  const parts = name.split('/');
  return `layer ${(parts.at(-1) === 'layer.tar' ? (parts.at(-2) ?? '') : (parts.at(-1) ?? '')).slice(0, 12)}`;
};

/** Looks through a file system as the engine exports it. */
export const scanFileSystem = async (look: Look, tar: Readable): Promise<ArchiveCount> => {
  const count = { files: 0, layers: 0 };
  await scanFiles(look, '', tar, count);
  return count;
};

/** Looks through an image as the engine saves it: every layer, file by file, and everything that is said of them. */
export const scanImage = async (look: Look, tar: Readable): Promise<ArchiveCount> => {
  const count = { files: 0, layers: 0 };
  await eachEntry(tar, look.signal, async (header, content) => {
    look.text(`name ${header.name}`, headerText(header));
    const { head, whole } = await peek(content);
    if (isZstd(head)) {
      look.miss(header.name, 'is compressed with zstd, which jackin cannot read');
      for await (const _chunk of whole) continue;
      return;
    }
    if (!isGzip(head) && !isTar(head)) return await look.stream(header.name, whole);
    count.layers += 1;
    await scanFiles(look, layerName(header.name), isGzip(head) ? gunzipped(whole) : whole, count);
  });
  return count;
};

