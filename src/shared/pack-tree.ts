import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats, statSync } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import type { Header, Pack } from 'tar-stream';
import { type Copied, MAX_ENTRIES, MAX_NAME_BYTES, type Skipped, type SkipReason, staysInside, tooDeep } from './copied.ts';
import { closeDirectory, type Directory, entryOf, identityIn, openBelow, selfOf, shownOf } from './directory.ts';
import { isErrno, JackinError } from './errors.ts';
import { type Exposure, findPlace, type Found } from './find-place.ts';
import { untilDrained } from './until-drained.ts';

/**
 * Reading of a tree into a tar: names are relative to its root, which comes first as
 * `.`, and a directory comes before what is in it. Directories are held by their
 * descriptors, so that nothing outside is read whatever is exchanged meanwhile. The calls
 * are synchronous because the program does nothing else meanwhile, and ten thousand small
 * files are three times as fast that way.
 */

const PIECE_BYTES = 256 * 1024;
const MAX_NAMED = 1000;
const MAX_NAMED_LENGTH = 64 * 1024;
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** A file or directory that is to be copied. */
export interface Source {
  /** Absolute. */
  source: string;
  exposure: Exposure;
}

interface Packing {
  tar: Pack;
  root: string;
  copied: Copied;
  skipped: Skipped;
  entries: number;
  namedLength: number;
}

const failure = (error: unknown, place: string): unknown => {
  if (isErrno(error, 'EACCES', 'EPERM')) return new JackinError('failed', `${place} cannot be read: permission denied`, { cause: error });
  if (isErrno(error, 'ENOENT', 'ENOTDIR')) return new JackinError('not-found', `${place} does not exist`, { cause: error });
  return error instanceof Error && 'syscall' in error ? new JackinError('failed', `reading ${place} failed: ${error.message}`, { cause: error }) : error;
};

const skip = (packing: Packing, path: string, why: SkipReason): void => {
  packing.skipped.total += 1;
  if (packing.skipped.named.length >= MAX_NAMED || packing.namedLength + path.length > MAX_NAMED_LENGTH) return;
  packing.skipped.named.push({ path, why });
  packing.namedLength += path.length;
};

/** Bits of the kind are set because the library takes a mode of 0 for none; owners are nobody's business. */
const headerOf = (name: string, stats: Stats, type: 'file' | 'directory' | 'symlink'): Partial<Header> & { name: string } => ({
  name,
  type,
  mode: (stats.mode & 0o777) | 0o100000,
  uid: 0,
  gid: 0,
  mtime: new Date(0),
  // The field of the header has whole seconds, and ends in 2038 as the library writes it.
  pax: { mtime: (stats.mtimeMs / 1000).toFixed(6) },
});

const count = (packing: Packing): void => {
  packing.entries += 1;
  if (packing.entries > MAX_ENTRIES) throw new JackinError('failed', `${packing.root} holds more than ${MAX_ENTRIES} files and directories`);
};

const add = async (packing: Packing, header: Partial<Header> & { name: string }, content?: Buffer): Promise<void> => {
  count(packing);
  await new Promise<void>((resolve, reject) => {
    const done = (error?: Error | null): void => (error ? reject(error) : resolve());
    const entry = content === undefined ? packing.tar.entry(header, done) : packing.tar.entry(header, content, done);
    entry.once('error', reject);
  });
};

/** Reads up to `length` bytes; fewer only at the end of the file. */
const readPiece = (file: number, length: number): Buffer => {
  const piece = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const got = readSync(file, piece, filled, length - filled, null);
    if (got === 0) break;
    filled += got;
  }
  return piece.subarray(0, filled);
};

const addLarge = async (packing: Packing, file: number, header: Partial<Header> & { name: string }, size: number, place: string): Promise<void> => {
  count(packing);
  await new Promise<void>((resolve, reject) => {
    const entry = packing.tar.entry({ ...header, size }, (error) => (error ? reject(error) : resolve()));
    // An entry that is open when the tar is given up says so as an event, too, and one that nobody hears ends the process.
    entry.once('error', reject);
    const send = async (): Promise<void> => {
      let left = size;
      while (left > 0) {
        const piece = readPiece(file, Math.min(left, PIECE_BYTES));
        // Its size has been sent: what is missing cannot be told in the stream.
        if (piece.length === 0) throw new JackinError('failed', `${place} became shorter while it was read`);
        left -= piece.length;
        if (!entry.write(piece)) await untilDrained(entry);
        if (entry.destroyed) return;
      }
      entry.end(undefined);
    };
    send().catch(reject);
  });
};

const addFile = async (packing: Packing, name: string, directory: Directory, base: string): Promise<void> => {
  const file = openSync(entryOf(directory, base), OPEN);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) return skip(packing, name, 'special');
    const header = headerOf(name, stats, 'file');
    // A small one is sent as long as it turns out to be: logs grow and shrink while they are read.
    const isLarge = stats.size > PIECE_BYTES;
    const content = isLarge ? undefined : readPiece(file, stats.size);
    if (isLarge) await addLarge(packing, file, header, stats.size, shownOf(directory, base));
    else await add(packing, header, content);
    packing.copied.files += 1;
    packing.copied.bytes += content?.length ?? stats.size;
  } finally {
    closeSync(file);
  }
};

/** Adds a directory that is held, with all that is in it. */
const addDirectory = async (packing: Packing, name: string, directory: Directory, stats: Stats): Promise<void> => {
  const entries = readdirSync(selfOf(directory), { encoding: 'buffer' });
  await add(packing, headerOf(name === '' ? '.' : name, stats, 'directory'));
  packing.copied.directories += 1;
  for (const bytes of entries) {
    const inside = bytes.toString();
    const below = name === '' ? inside : `${name}/${inside}`;
    if (isUtf8(bytes)) await addEntry(packing, below, directory, inside);
    else skip(packing, below, 'name');
  }
};

const exchanged = (place: string): JackinError => new JackinError('failed', `${place} was exchanged for something else while it was read`);

const enter = async (packing: Packing, name: string, parent: Directory, base: string): Promise<void> => {
  const seen = lstatSync(entryOf(parent, base));
  const directory = openBelow(parent, base);
  if (directory === undefined) throw exchanged(shownOf(parent, base));
  try {
    if (directory.identity !== identityIn(seen)) throw exchanged(shownOf(parent, base));
    await addDirectory(packing, name, directory, seen);
  } finally {
    closeDirectory(directory);
  }
};

const addLink = async (packing: Packing, name: string, place: string, stats: Stats): Promise<void> => {
  const target = readlinkSync(place, { encoding: 'buffer' });
  if (!isUtf8(target)) return skip(packing, name, 'name');
  const linkname = target.toString();
  if (!staysInside(name, linkname)) return skip(packing, name, 'link');
  await add(packing, { ...headerOf(name, stats, 'symlink'), linkname });
  packing.copied.links += 1;
};

const addEntry = async (packing: Packing, name: string, directory: Directory, base: string): Promise<void> => {
  const shown = shownOf(directory, base);
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new JackinError('failed', `the path of ${shown.slice(0, 200)}… is longer than ${MAX_NAME_BYTES} bytes`);
  try {
    const stats = lstatSync(entryOf(directory, base));
    if (stats.isDirectory()) return await enter(packing, name, directory, base);
    // Opening a device can do things; only what looks harmless is opened at all.
    if (stats.isFile()) return await addFile(packing, name, directory, base);
    if (!stats.isSymbolicLink()) return skip(packing, name, 'special');
    return await addLink(packing, name, entryOf(directory, base), stats);
  } catch (error) {
    if (isErrno(error, 'ELOOP', 'EINVAL')) throw exchanged(shown);
    if (isErrno(error, 'EMFILE', 'ENFILE')) throw tooDeep(packing.root, name.split('/').length, error);
    // Gone since its directory was listed, as if the copy had begun a moment later.
    if (!isErrno(error, 'ENOENT')) throw failure(error, shown);
  }
};

/** Finds what is to be copied; a link that is named itself is followed. The directory is the caller's to close. */
const findSource = ({ source, exposure }: Source): Found => {
  try {
    const found = findPlace(source, exposure, (end) => end.isFile() || end.isDirectory());
    if ('directory' in found || found.end?.isFile()) return found;
    closeDirectory(found.parent);
    if (found.end !== undefined) throw new JackinError('conflict', `${source} is neither a file nor a directory`);
    throw new JackinError('not-found', `${source} does not exist`);
  } catch (error) {
    throw failure(error, source);
  }
};

/**
 * Looks at what is to be copied, before anything is started for it.
 * Throws `not-found`, and `conflict` for what is neither a file nor a directory, or must not be reached that way.
 */
export const lookAt = (source: Source): void => {
  const found = findSource(source);
  closeDirectory('directory' in found ? found.directory : found.parent);
};

const addRoot = async (packing: Packing, found: Found): Promise<void> => {
  if ('parent' in found) return await addFile(packing, '.', found.parent, found.name);
  return await addDirectory(packing, '', found.directory, statSync(selfOf(found.directory)));
};

/**
 * Writes a file or a directory with all that is in it into `tar` and finishes it.
 * What cannot be copied is left out and named. The counts in `into` are true at every
 * moment. Gives the tar up when something cannot be read.
 */
export const packTree = async (source: Source, tar: Pack, into: { copied: Copied; skipped: Skipped }): Promise<void> => {
  const packing: Packing = { ...into, tar, root: source.source, entries: 0, namedLength: 0 };
  try {
    const found = findSource(source);
    try {
      await addRoot(packing, found);
    } finally {
      closeDirectory('directory' in found ? found.directory : found.parent);
    }
    tar.finalize();
  } catch (error) {
    const told = failure(error, source.source);
    tar.destroy(told instanceof Error ? told : undefined);
    throw told;
  }
};
