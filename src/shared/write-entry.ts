import { randomBytes } from 'node:crypto';
import fs, { constants, type Stats } from 'node:fs';
import type { Header } from 'tar-stream';
import { closeDirectory, type Directory, entryOf, identityIn, lookIn, openBelow, selfOf, shownOf } from './directory.ts';
import { isErrno, JackinError } from './errors.ts';

/**
 * Writing of single things of a tree into a directory that is held. All names are looked
 * up in that very directory, and none of them through a link: wherever an agent puts the
 * directory, or whatever it puts in its place, nothing is written elsewhere.
 */

/** Whether a larger file fits is asked before it is written. */
const LARGE_BYTES = 64 * 1024 * 1024;
const MAX_SECONDS = 2 ** 40;
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** A name in a directory that is held. */
export interface Spot {
  directory: Directory;
  name: string;
}

export interface Entered {
  directory: Directory;
  /** For one that was not there before: what it gets when everything is in it. */
  becomes: { mode: number; seconds: number | undefined } | undefined;
}

/** Returns the path of a spot for messages. */
export const shownIn = ({ directory, name }: Spot): string => shownOf(directory, name);

export const kindOf = (stats: Stats): string => {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isSymbolicLink()) return 'a link, and links are not followed';
  return stats.isFile() ? 'a file' : 'neither a file nor a directory';
};

const secondsOf = (header: Header): number | undefined => {
  const { pax } = header as { pax?: Record<string, string> | null };
  const seconds = pax?.['mtime'] === undefined ? header.mtime.getTime() / 1000 : Number(pax['mtime']);
  return Math.abs(seconds) <= MAX_SECONDS ? seconds : undefined;
};

const isSame = (directory: Directory, seen: Stats | undefined): boolean => seen === undefined || directory.identity === identityIn(seen);

/** Enters a directory of the tree, and makes it when it is not there. The result is the caller's to leave. */
export const enterDirectory = (spot: Spot, header: Header): Entered => {
  const old = lookIn(spot.directory, spot.name);
  if (old !== undefined && !old.isDirectory()) throw new JackinError('conflict', `${shownIn(spot)} is ${kindOf(old)}: a directory cannot be put in its place`);
  // Until everything is in it, nobody else is; and one without write permission can be filled.
  if (old === undefined) fs.mkdirSync(entryOf(spot.directory, spot.name), 0o700);
  const directory = openBelow(spot.directory, spot.name);
  const becomes = old === undefined ? { mode: header.mode & 0o777, seconds: secondsOf(header) } : undefined;
  if (directory !== undefined && isSame(directory, old)) return { directory, becomes };
  if (directory !== undefined) closeDirectory(directory);
  throw new JackinError('conflict', `${shownIn(spot)} was exchanged for something else while the tree was written; what came after it was not written`);
};

/** Leaves a directory of the tree: one that was made gets its mode and time. */
export const leaveDirectory = ({ directory, becomes }: Entered): void => {
  try {
    if (becomes === undefined) return;
    fs.chmodSync(selfOf(directory), becomes.mode);
    if (becomes.seconds !== undefined) fs.utimesSync(selfOf(directory), becomes.seconds, becomes.seconds);
  } finally {
    closeDirectory(directory);
  }
};

const removeTemporary = (temporary: string): void => {
  try {
    fs.unlinkSync(temporary);
  } catch {
    // It was not made, or an agent has it: why the writing failed is what counts.
  }
};

/** Puts something whole in the place of a file or a link: what is under the final name is the old or the new one. */
const replace = async (spot: Spot, write: (temporary: string) => Promise<void> | void): Promise<void> => {
  const temporary = entryOf(spot.directory, `.jackin.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await write(temporary);
    fs.renameSync(temporary, entryOf(spot.directory, spot.name));
  } catch (error) {
    removeTemporary(temporary);
    if (isErrno(error, 'EISDIR')) throw new JackinError('conflict', `${shownIn(spot)} is a directory: nothing else can be put in its place`, { cause: error });
    throw error;
  }
};

const assertFits = (spot: Spot, size: number): void => {
  if (size < LARGE_BYTES) return;
  const { bavail, bsize } = fs.statfsSync(selfOf(spot.directory));
  if (size <= bavail * bsize) return;
  throw new JackinError('disk.full', `${shownIn(spot)} does not fit: it has ${size} bytes, and ${bavail * bsize} are free`);
};

/** Writes a file; its content is what `pieces` brings. */
export const writeFile = async (spot: Spot, header: Header, pieces: AsyncIterable<unknown>): Promise<void> => {
  assertFits(spot, header.size);
  const seconds = secondsOf(header);
  await replace(spot, async (temporary) => {
    const file = fs.openSync(temporary, NEW_FILE, 0o600);
    try {
      for await (const data of pieces) {
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

/** Makes a link to `target`, which must have been judged. */
export const writeLink = async (spot: Spot, header: Header, target: string): Promise<void> => {
  const seconds = secondsOf(header);
  await replace(spot, (temporary) => {
    fs.symlinkSync(target, temporary);
    if (seconds !== undefined) fs.lutimesSync(temporary, seconds, seconds);
  });
};
