import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract, type Header, type Pack } from 'tar-stream';
import { JackinError, messageOf } from '../shared/errors.ts';
import { DOWNLOAD_LIMITS, type DownloadLimits } from './download-limits.ts';

/** Where a file of a package goes in the volume; undefined leaves it out. */
export type Placement = (file: string) => string | undefined;

/** Equal content gives equal volumes, whenever it is unpacked. */
const NO_TIME = new Date(0);

const refuse = (what: string, entry: string, why: string): JackinError =>
  new JackinError('download.failed', `${what}: its file ${JSON.stringify(entry)} ${why}. Nothing of it is used.`);

/** Path inside the package: npm puts everything below one folder, by custom `package/`. */
const innerPath = (what: string, name: string): string => {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || name.includes('\\') || parts.includes('..')) throw refuse(what, name, 'leaves the package');
  // One who lists the volume in a terminal would run them.
  if (/\p{Cc}/u.test(name)) throw refuse(what, name, 'has control characters in its name');
  return parts.slice(1).join('/');
};

/** A file of a volume. Everybody may read `data` and `program`; a `sealed` program can be run and not be read. */
export type FileKind = 'data' | 'program' | 'sealed';

const MODES: Readonly<Record<FileKind, number>> = { data: 0o644, program: 0o755, sealed: 0o111 };

/** Puts tar entries into the volume's tar, every directory before what is in it and only once. */
export const volumeWriter = (pack: Pack) => {
  const made = new Set<string>();
  const directory = async (path: string): Promise<void> => {
    if (path === '' || made.has(path)) return;
    made.add(path);
    await directory(path.split('/').slice(0, -1).join('/'));
    await new Promise<void>((resolve, reject) => {
      pack.entry({ name: path, type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: NO_TIME }, (error) => (error ? reject(error) : resolve()));
    });
  };
  return {
    /** `size` in bytes must be exact. */
    file: async (path: string, size: number, kind: FileKind, content: AsyncIterable<unknown>): Promise<void> => {
      await directory(path.split('/').slice(0, -1).join('/'));
      await new Promise<void>((resolve, reject) => {
        const entry = pack.entry({ name: path, size, mode: MODES[kind], uid: 0, gid: 0, mtime: NO_TIME }, (error) => (error ? reject(error) : resolve()));
        // An entry that is open when the tar is given up says so as an event, too, and one that nobody hears ends the process.
        entry.once('error', reject);
        const copy = async (): Promise<void> => {
          for await (const chunk of content) {
            if (!entry.write(chunk)) await new Promise<void>((go) => entry.once('drain', () => go()));
          }
          entry.end(undefined);
        };
        copy().catch(reject);
      });
    },
  };
};

export type VolumeWriter = ReturnType<typeof volumeWriter>;

const keep = (what: string, header: Header): boolean => {
  if (header.type === 'directory') return false;
  if (header.type !== 'file' && header.type !== 'contiguous-file') throw refuse(what, header.name, `is a ${header.type}`);
  return true;
};

/** Passes on the places of a package's files, and refuses a package with two files for one place, or with too many. */
const onlyOnce = (what: string, place: Placement, most: number): Placement => {
  const taken = new Set<string>();
  let seen = 0;
  return (file) => {
    seen += 1;
    if (seen > most) throw new JackinError('download.failed', `${what}: it has more than ${most} files. Nothing of it is used.`);
    const target = place(file);
    // Which of two is run would depend on who unpacks them.
    if (target !== undefined && taken.has(target)) throw refuse(what, file, 'is in it twice');
    if (target !== undefined) taken.add(target);
    return target;
  };
};

/** The content of a gzip file, which breaks off when it is bigger than anything that is meant well. */
const unzipped = (what: string, most: number) => {
  const gunzip = createGunzip();
  let size = 0;
  gunzip.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > most) gunzip.destroy(new JackinError('download.failed', `${what}: unpacked it has more than ${most} bytes. Nothing of it is used.`));
  });
  return gunzip;
};

/**
 * Copies a package's files, one entry after the other, to their places in the
 * volume: plain files only, owned by root, readable by everybody. Throws
 * `download.failed` for entries that would leave the package, for links and for
 * devices, for two files of one name, for what would fill a disk, and for a tar
 * that is cut short.
 */
export const repackTarball = async (what: string, tarball: Readable, place: Placement, volume: VolumeWriter, limits: DownloadLimits = DOWNLOAD_LIMITS): Promise<void> => {
  // It may have broken before anybody listened.
  if (tarball.errored) throw tarball.errored;
  const gunzip = unzipped(what, limits.unpackedBytes);
  const entries = extract();
  const placeOf = onlyOnce(what, place, limits.entries);
  // The first failure is the cause; what it breaks further down is not.
  let broken: unknown;
  tarball.once('error', (error) => gunzip.destroy((broken ??= error) as Error));
  gunzip.once('error', (error) => entries.destroy((broken ??= error) as Error));
  tarball.pipe(gunzip).pipe(entries);
  try {
    for await (const entry of entries) {
      const { header } = entry;
      const target = keep(what, header) ? placeOf(innerPath(what, header.name)) : undefined;
      if (target === undefined) {
        entry.resume();
        continue;
      }
      await volume.file(target, header.size, (header.mode & 0o111) === 0 ? 'data' : 'program', entry);
    }
    // The tar may end before the stream does; only the end of the stream proves the digest.
    await drained(tarball);
  } catch (error) {
    const cause = broken ?? error;
    if (cause instanceof JackinError) throw cause;
    throw new JackinError('download.failed', `${what}: it is not a whole package (${messageOf(cause)}). Nothing of it is used.`, { cause });
  } finally {
    tarball.destroy();
    gunzip.destroy();
    entries.destroy();
  }
};

const drained = async (stream: Readable): Promise<void> => {
  if (stream.readableEnded) return;
  await new Promise<void>((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('error', reject);
    stream.once('close', () => (stream.readableEnded ? resolve() : reject(new Error('it ended early'))));
    stream.resume();
  });
};
