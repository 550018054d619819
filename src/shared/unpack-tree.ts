import { extract, type Extract, type Header } from 'tar-stream';
import { asDiskError } from './atomic-files.ts';
import { type Copied, MAX_ENTRIES, MAX_NAME_BYTES, staysInside, tooDeep } from './copied.ts';
import { closeDirectory, type Directory, lookIn } from './directory.ts';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { type Exposure, findPlace } from './find-place.ts';
import { untilDrained } from './until-drained.ts';
import { type Entered, enterDirectory, kindOf, leaveDirectory, shownIn, type Spot, writeFile, writeLink } from './write-entry.ts';

/**
 * Writing of a tree out of a tar that may be hostile. Only what `packTree` makes is
 * taken: the root first, as `.`, every directory before what is in it, and links that
 * stay inside. All else is refused, and nothing is ever written through a link: the
 * directories that are written to were made or looked at here, are held by their
 * descriptors, and none is replaced. The calls are synchronous for the reason that
 * `packTree` gives.
 */

/** The library allows headers of 4 MiB; more bytes than this with no file among them are no tree. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** Where a tree goes: into `target` under `name` when that is a directory, else in the place of `target`. */
export interface Place {
  /** Absolute. */
  target: string;
  /** Never from the stream. Without it the content of a directory goes into `target` itself. */
  name: string | undefined;
  exposure: Exposure;
}

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

interface OpenDirectory extends Entered {
  /** Below the root; empty for the root itself. */
  name: string;
}

interface Unpacking {
  place: Place;
  copied: Copied;
  /** Path of the root, for messages. */
  root: string | undefined;
  /** From the root down to the directory that is written to. */
  open: OpenDirectory[];
  entries: number;
  isAlive: () => void;
}

const quoted = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);

const refuse = (name: string, why: string): JackinError => new JackinError('failed', `refused: the stream holds ${quoted(name)}, ${why}; what came after it was not written`);

const assertFree = (spot: Spot, isDirectory: boolean): void => {
  const old = lookIn(spot.directory, spot.name);
  const fits = old === undefined || (isDirectory ? old.isDirectory() : old.isFile() || old.isSymbolicLink());
  if (!fits) throw new JackinError('conflict', `${shownIn(spot)} is ${kindOf(old)}: ${isDirectory ? 'a directory' : 'a file'} cannot be put in its place`);
};

/**
 * Finds where the root of the tree goes: to a spot, or into a directory that is there. Everything that
 * stands in its way is found here, before anything is written. The directory is the caller's to close.
 */
const locate = ({ target, name, exposure }: Place, isDirectory: boolean): Spot | { directory: Directory } => {
  const found = findPlace(target, exposure, (end) => end.isDirectory());
  if ('directory' in found && name === undefined && isDirectory) return found;
  const directory = 'directory' in found ? found.directory : found.parent;
  try {
    if ('directory' in found && name === undefined) throw new JackinError('conflict', `${directory.path} is a directory: a file cannot be put in its place`);
    if ('parent' in found && found.stats === undefined && !isDirectory && target.endsWith('/')) throw new JackinError('not-found', `the directory ${target} does not exist`);
    const spot = { directory, name: 'directory' in found ? name! : found.name };
    assertFree(spot, isDirectory);
    return spot;
  } catch (error) {
    closeDirectory(directory);
    throw error;
  }
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

/** After a failure, whose words count: what is whole stays, in directories with the modes that they were to have. */
const leaveAll = ({ open }: Unpacking): void => {
  while (open.length > 0) {
    try {
      leaveDirectory(open.pop()!);
    } catch {
      // The disk is broken or full; it has been said.
    }
  }
};

/** Leaves the directories that an entry is not in. Its own must have come right before what is in it. */
const goTo = ({ open }: Unpacking, name: string): Spot => {
  const at = name.lastIndexOf('/');
  const parent = at === -1 ? '' : name.slice(0, at);
  const isIn = (directory: OpenDirectory): boolean => directory.name === '' || `${parent}/`.startsWith(`${directory.name}/`);
  while (open.length > 0 && !isIn(open.at(-1)!)) leaveDirectory(open.pop()!);
  const last = open.at(-1);
  if (last?.name !== parent) throw refuse(name, 'which is in no directory of the tree');
  return { directory: last.directory, name: name.slice(at + 1) };
};

/** The content of a file, as long as it comes. */
async function* contentOf(entry: Entry, isAlive: () => void): AsyncGenerator {
  for await (const piece of entry) {
    isAlive();
    yield piece;
  }
}

/** Puts one entry of the stream in its place. */
const put = async (unpacking: Unpacking, name: string, spot: Spot, entry: Entry): Promise<void> => {
  const { copied, open, isAlive } = unpacking;
  const { header } = entry;
  const { type, size, linkname } = header;
  if (type === 'directory') {
    open.push({ name, ...enterDirectory(spot, header) });
    copied.directories += 1;
  } else if (type === 'file') {
    await writeFile(spot, header, contentOf(entry, isAlive));
    copied.files += 1;
    copied.bytes += size;
  } else if (type === 'symlink') {
    const target: string | null = linkname;
    if (!staysInside(name, target ?? '')) throw refuse(name, `a link to ${quoted(target ?? '')}, which leads out of the tree`);
    await writeLink(spot, header, target);
    copied.links += 1;
  } else throw refuse(header.name, `a ${(type as string | null) ?? 'thing of unknown kind'}`);
};

const takeRoot = async (unpacking: Unpacking, entry: Entry): Promise<void> => {
  const { type } = entry.header;
  // The library has null for what it does not know, whatever its types say.
  const kind: string | null = type;
  if (type !== 'file' && type !== 'directory') throw refuse(entry.header.name, `a ${kind ?? 'thing of unknown kind'} as the root of the tree`);
  const at = locate(unpacking.place, type === 'directory');
  unpacking.root = 'name' in at ? shownIn(at) : at.directory.path;
  if (!('name' in at)) {
    unpacking.open.push({ name: '', directory: at.directory, becomes: undefined });
    unpacking.copied.directories += 1;
    return;
  }
  try {
    await put(unpacking, '', at, entry);
  } finally {
    closeDirectory(at.directory);
  }
};

const take = async (unpacking: Unpacking, entry: Entry): Promise<void> => {
  const { header } = entry;
  unpacking.entries += 1;
  if (unpacking.entries > MAX_ENTRIES) throw new JackinError('failed', `refused: the stream holds more than ${MAX_ENTRIES} files and directories`);
  const name = nameOf(header);
  const isFirst = unpacking.root === undefined;
  if (isFirst !== (name === '')) throw refuse(header.name, isFirst ? 'which comes before the root of the tree' : 'a second root of the tree');
  if (isFirst) await takeRoot(unpacking, entry);
  else await put(unpacking, name, goTo(unpacking, name), entry);
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

const toldOf = (error: unknown, { root, place, open }: Unpacking): unknown => {
  const where = root ?? place.target;
  return isErrno(error, 'EMFILE', 'ENFILE') ? tooDeep(where, open.length, error) : asDiskError(error, `writing to ${where}`);
};

/**
 * Writes the tree of a tar to its place and counts in `copied` what is whole, also
 * when it throws: `conflict` and `not-found` for a place that does not fit, `disk.full`,
 * `failed` for a stream that holds what it should not; anything but a `JackinError` for
 * one that was cut, whose cause the other side knows.
 */
export const unpackTree = async (source: AsyncIterable<unknown>, place: Place, copied: Copied): Promise<void> => {
  const entries = extract();
  const { isAlive, done } = await feed(source, entries);
  const unpacking: Unpacking = { place, copied, root: undefined, open: [], entries: 0, isAlive };
  try {
    for await (const entry of entries) {
      isAlive();
      await take(unpacking, entry);
    }
    while (unpacking.open.length > 0) leaveDirectory(unpacking.open.pop()!);
  } catch (error) {
    entries.destroy();
    const told = toldOf(error, unpacking);
    leaveAll(unpacking);
    // What the library says of a stream that ends early or is no tar.
    throw told instanceof JackinError ? told : new Error(`the stream was cut off or is damaged (${messageOf(told)})`, { cause: error });
  }
  await done;
  if (unpacking.root === undefined) throw new Error('the stream is empty');
};
