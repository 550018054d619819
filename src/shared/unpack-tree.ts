import { randomBytes } from 'node:crypto';
import fs, { constants, type Stats } from 'node:fs';
import { extract, type Extract, type Header } from 'tar-stream';
import { asDiskError } from './atomic-files.ts';
import { type Copied, MAX_ENTRIES, staysInside } from './copied.ts';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { untilDrained } from './until-drained.ts';

/**
 * Writing of a tree out of a tar that may be hostile. Only what `packTree` makes is
 * taken: the root first, as `.`, every directory before what is in it, and links that
 * stay inside. All else is refused, and nothing is ever written through a link: the
 * directories that are written to were made or looked at here, and none is replaced.
 * The calls are synchronous for the reason that `packTree` gives.
 */

const MAX_NAME_BYTES = 4096;
/** The library allows headers of 4 MiB; more bytes than this with no file among them are no tree. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;
/** Whether a larger file fits is asked before it is written. */
const LARGE_BYTES = 64 * 1024 * 1024;
const MAX_SECONDS = 2 ** 40;
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** Where a tree goes: into `target` under `name` when that is a directory, else in the place of `target`. */
export interface Place {
  /** Absolute. */
  target: string;
  /** Never from the stream. Without it the content of a directory goes into `target` itself. */
  name: string | undefined;
}

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

interface OpenDirectory {
  /** Below the root; empty for the root itself. */
  name: string;
  path: string;
  /** For one that was not there before: what it gets when everything is in it. */
  becomes: { mode: number; seconds: number | undefined } | undefined;
}

interface Unpacking {
  place: Place;
  copied: Copied;
  root: string | undefined;
  /** From the root down to the directory that is written to. */
  open: OpenDirectory[];
  entries: number;
}

const quoted = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);

const refuse = (name: string, why: string): JackinError => new JackinError('failed', `refused: the stream holds ${quoted(name)}, ${why}; what came after it was not written`);

const found = (look: (place: string) => Stats, place: string): Stats | undefined => {
  try {
    return look(place);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (isErrno(error, 'ENOTDIR')) throw new JackinError('conflict', `${place} cannot be there: a part of the path is not a directory`, { cause: error });
    throw error;
  }
};

const kindOf = (stats: Stats): string => {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isSymbolicLink()) return 'a link, and links are not followed';
  return stats.isFile() ? 'a file' : 'neither a file nor a directory';
};

/** Where the root of the tree goes. Everything that stands in its way is found here, before anything is written. */
const locate = ({ target, name }: Place, isDirectory: boolean): string => {
  const there = found(fs.statSync, target);
  if (there?.isDirectory() && name === undefined && isDirectory) return target;
  let root = target.replace(/(?<=.)\/+$/, '');
  if (there?.isDirectory() && name !== undefined) root = `${root === '/' ? '' : root}/${name}`;
  else if (there === undefined) {
    if (!isDirectory && target.endsWith('/')) throw new JackinError('not-found', `the directory ${target} does not exist`);
    const parent = root.replace(/(^|\/)[^/]*$/, '') || '/';
    if (found(fs.statSync, parent)?.isDirectory() !== true) throw new JackinError('not-found', `the directory ${parent} does not exist`);
  }
  const old = found(fs.lstatSync, root);
  const fits = old === undefined || (isDirectory ? old.isDirectory() : old.isFile() || old.isSymbolicLink());
  if (!fits) throw new JackinError('conflict', `${root} is ${kindOf(old)}: ${isDirectory ? 'a directory' : 'a file'} cannot be put in its place`);
  return root;
};

/** Path below the root, without `.`; empty for the root itself. */
const nameOf = (header: Header): string => {
  const name = header.name.replace(/(?<=[^/])\/$/, '');
  if (name === '.') return '';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw refuse(name, `whose name is longer than ${MAX_NAME_BYTES} bytes`);
  if (name.includes('\0')) throw refuse(name, 'which is no name');
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..')) throw refuse(name, 'which leads out of the target');
  return name;
};

const secondsOf = (header: Header): number | undefined => {
  const { pax } = header as { pax?: Record<string, string> | null };
  const seconds = pax?.['mtime'] === undefined ? header.mtime.getTime() / 1000 : Number(pax['mtime']);
  return Math.abs(seconds) <= MAX_SECONDS ? seconds : undefined;
};

const leaveDirectory = ({ open }: Unpacking): void => {
  const left = open.pop();
  if (left?.becomes === undefined) return;
  fs.chmodSync(left.path, left.becomes.mode);
  if (left.becomes.seconds !== undefined) fs.utimesSync(left.path, left.becomes.seconds, left.becomes.seconds);
};

/** After a failure, whose words count: what is whole stays, in directories with the modes that they were to have. */
const leaveAll = (unpacking: Unpacking): void => {
  try {
    while (unpacking.open.length > 0) leaveDirectory(unpacking);
  } catch {
    // The disk is broken or full; it has been said.
  }
};

/** Leaves the directories that an entry is not in. Its own must have come right before what is in it. */
const goTo = (unpacking: Unpacking, name: string): string => {
  const at = name.lastIndexOf('/');
  const parent = at === -1 ? '' : name.slice(0, at);
  const { open } = unpacking;
  const isIn = (directory: OpenDirectory): boolean => directory.name === '' || `${parent}/`.startsWith(`${directory.name}/`);
  while (open.length > 0 && !isIn(open.at(-1)!)) leaveDirectory(unpacking);
  if (open.at(-1)?.name !== parent) throw refuse(name, 'which is in no directory of the tree');
  return `${open.at(-1)!.path}/${name.slice(at + 1)}`;
};

const enterDirectory = (unpacking: Unpacking, name: string, place: string, header: Header): void => {
  const old = found(name === '' && place === unpacking.place.target ? fs.statSync : fs.lstatSync, place);
  if (old !== undefined && !old.isDirectory()) throw new JackinError('conflict', `${place} is ${kindOf(old)}: a directory cannot be put in its place`);
  // Until everything is in it, nobody else is; and one without write permission can be filled.
  if (old === undefined) fs.mkdirSync(place, 0o700);
  unpacking.open.push({ name, path: place, becomes: old === undefined ? { mode: header.mode & 0o777, seconds: secondsOf(header) } : undefined });
  unpacking.copied.directories += 1;
};

/** Puts something whole in the place of a file or a link: what is under the final name is the old or the new one. */
const replace = async (place: string, write: (temporary: string) => Promise<void> | void): Promise<void> => {
  const temporary = `${place.slice(0, place.lastIndexOf('/'))}/.jackin.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await write(temporary);
    fs.renameSync(temporary, place);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    if (isErrno(error, 'EISDIR')) throw new JackinError('conflict', `${place} is a directory: nothing else can be put in its place`, { cause: error });
    throw error;
  }
};

const assertFits = (place: string, size: number): void => {
  if (size < LARGE_BYTES) return;
  const { bavail, bsize } = fs.statfsSync(place.slice(0, place.lastIndexOf('/')) || '/');
  if (size <= bavail * bsize) return;
  throw new JackinError('disk.full', `${place} does not fit: it has ${size} bytes, and ${bavail * bsize} are free`);
};

const writeFile = async (place: string, entry: Entry, isAlive: () => void): Promise<void> => {
  const { header } = entry;
  assertFits(place, header.size);
  const seconds = secondsOf(header);
  await replace(place, async (temporary) => {
    const file = fs.openSync(temporary, NEW_FILE, 0o600);
    try {
      for await (const data of entry) {
        isAlive();
        const piece = data as Buffer;
        for (let at = 0; at < piece.length; ) at += fs.writeSync(file, piece, at);
      }
      fs.fchmodSync(file, header.mode & 0o777);
      if (seconds !== undefined) fs.futimesSync(file, seconds, seconds);
    } finally {
      fs.closeSync(file);
    }
  });
};

const writeLink = async (place: string, name: string, header: Header): Promise<void> => {
  const target: string | null = header.linkname;
  if (!staysInside(name, target ?? '')) throw refuse(name, `a link to ${quoted(target ?? '')}, which leads out of the tree`);
  const seconds = secondsOf(header);
  await replace(place, (temporary) => {
    fs.symlinkSync(target, temporary);
    if (seconds !== undefined) fs.lutimesSync(temporary, seconds, seconds);
  });
};

const take = async (unpacking: Unpacking, entry: Entry, isAlive: () => void): Promise<void> => {
  const { header } = entry;
  unpacking.entries += 1;
  if (unpacking.entries > MAX_ENTRIES) throw new JackinError('failed', `refused: the stream holds more than ${MAX_ENTRIES} files and directories`);
  const name = nameOf(header);
  const isFirst = unpacking.root === undefined;
  if (isFirst !== (name === '')) throw refuse(header.name, isFirst ? 'which comes before the root of the tree' : 'a second root of the tree');
  const { type } = header;
  // The library has null for what it does not know, whatever its types say.
  const kind: string | null = type;
  if (isFirst && (type === 'file' || type === 'directory')) unpacking.root = locate(unpacking.place, type === 'directory');
  else if (isFirst) throw refuse(header.name, `a ${kind ?? 'thing of unknown kind'} as the root of the tree`);
  const place = isFirst ? unpacking.root! : goTo(unpacking, name);
  if (type === 'directory') enterDirectory(unpacking, name, place, header);
  else if (type === 'file') {
    await writeFile(place, entry, isAlive);
    unpacking.copied.files += 1;
    unpacking.copied.bytes += header.size;
  } else if (type === 'symlink') {
    await writeLink(place, name, header);
    unpacking.copied.links += 1;
  } else throw refuse(header.name, `a ${kind ?? 'thing of unknown kind'}`);
  entry.resume();
};

/** Hands the bytes over as they are taken, and notices when they are many and nothing comes of them. */
const feed = async (source: AsyncIterable<unknown>, entries: Extract): Promise<{ isAlive: () => void; done: Promise<void> }> => {
  let idle = 0;
  const run = async (): Promise<void> => {
    try {
      for await (const chunk of source) {
        idle += (chunk as Buffer).length;
        if (idle > MAX_IDLE_BYTES) throw new JackinError('failed', 'refused: the stream goes on and on, and holds no files');
        if (!entries.write(chunk)) await untilDrained(entries);
        if (entries.destroyed) return;
      }
      entries.end(undefined);
    } catch (error) {
      entries.destroy(error as Error);
    }
  };
  return { isAlive: () => void (idle = 0), done: run() };
};

/**
 * Writes the tree of a tar to its place and counts in `copied` what is whole, also
 * when it throws: `conflict` and `not-found` for a place that does not fit, `disk.full`,
 * `failed` for a stream that holds what it should not; anything but a `JackinError` for
 * one that was cut, whose cause the other side knows.
 */
export const unpackTree = async (source: AsyncIterable<unknown>, place: Place, copied: Copied): Promise<void> => {
  const unpacking: Unpacking = { place, copied, root: undefined, open: [], entries: 0 };
  const entries = extract();
  const { isAlive, done } = await feed(source, entries);
  try {
    for await (const entry of entries) {
      isAlive();
      await take(unpacking, entry, isAlive);
    }
    while (unpacking.open.length > 0) leaveDirectory(unpacking);
  } catch (error) {
    entries.destroy();
    leaveAll(unpacking);
    const told = asDiskError(error, `writing to ${unpacking.root ?? place.target}`);
    // What the library says of a stream that ends early or is no tar.
    throw told instanceof JackinError ? told : new Error(`the stream was cut off or is damaged (${messageOf(told)})`, { cause: error });
  }
  await done;
  if (unpacking.root === undefined) throw new Error('the stream is empty');
};
