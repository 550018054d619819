import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import path from 'node:path';
import { anchor } from './directory.ts';
import { isErrno, JackinError } from './errors.ts';

/**
 * Reading of a small tree of files that somebody else may be changing, links
 * included. Nothing outside the tree is read, nothing can make it hang, and
 * what comes back is one state of the tree.
 */

export interface TreeRules {
  /** Whether a path below the root matters; nothing below a directory that does not is looked at. */
  wanted: (path: string) => boolean;
  /** Whose directory and files are read: a user id, whoever owns the directory, or anyone's. */
  owner: number | 'directory' | 'anyone';
  /** Larger files are left out; 1 MiB unless told. */
  maxBytes?: number;
  /** Nobody writes there any more, so one reading is enough. */
  still?: true;
}

export interface Tree {
  /** Content by path below the root, in the order of the paths. */
  files: Map<string, Buffer>;
  /** What matters but was left out, with the reason. */
  skipped: { path: string; why: string }[];
  /** Every name directly inside the root. */
  names: string[];
}

const MEBIBYTE = 1024 * 1024;
const MAX_FILES = 64;
const MAX_DEPTH = 4;
const MAX_TRIES = 5;

const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** A tree and, for comparing two readings, where each file was and when it was written. */
interface Reading extends Tree {
  stamps: Map<string, string>;
  /** Something was there and then gone, or another: this is no state of the tree. */
  isTorn: boolean;
}

/**
 * Reads the wanted files below `root`, which must be a directory and no link.
 * Links, special files, other people's files and files that are too large are left out
 * and named; so is what lies deeper than 4 levels or comes after 64 files.
 * A tree that never holds still for two readings is an error.
 */
export const readTree = async (root: string, rules: TreeRules): Promise<Tree> => {
  let last = await readOnce(root, rules);
  if (rules.still) return { files: last.files, skipped: last.skipped, names: last.names };
  for (let attempt = 1; attempt < MAX_TRIES; attempt += 1) {
    const next = await readOnce(root, rules);
    if (isSame(last, next)) return { files: next.files, skipped: next.skipped, names: next.names };
    last = next;
    await sleep(20 * attempt);
  }
  throw new JackinError('failed', `${root} changes while it is read, ${MAX_TRIES} times in a row`, {
    hint: 'wait until the agent on this machine has finished logging in, then start again',
  });
};

const isSame = (a: Reading, b: Reading): boolean =>
  !b.isTorn &&
  JSON.stringify([[...a.stamps], a.skipped]) === JSON.stringify([[...b.stamps], b.skipped]) &&
  [...a.files].every(([name, bytes]) => b.files.get(name)?.equals(bytes));

interface Walk {
  wanted: (path: string) => boolean;
  uid: bigint | undefined;
  maxBytes: number;
  reading: Reading;
}

const readOnce = async (root: string, { wanted, owner, maxBytes = MEBIBYTE }: TreeRules): Promise<Reading> => {
  const reading: Reading = { files: new Map(), skipped: [], names: [], stamps: new Map(), isTorn: false };
  const handle = await fs.open(root, OPEN | constants.O_DIRECTORY);
  try {
    const { uid } = await handle.stat({ bigint: true });
    if (typeof owner === 'number' && uid !== BigInt(owner)) {
      throw new JackinError('auth.missing', `${root} belongs to another user (uid ${uid}), so it is not read`);
    }
    await readDirectory(handle, root, '', { wanted, uid: owner === 'anyone' ? undefined : uid, maxBytes, reading });
  } finally {
    await handle.close();
  }
  return reading;
};

const readDirectory = async (dir: fs.FileHandle, dirPath: string, prefix: string, walk: Walk): Promise<void> => {
  const names = (await fs.readdir(anchor(dir.fd, dirPath))).sort();
  if (prefix === '') walk.reading.names = names;
  for (const name of names) {
    const relative = `${prefix}${name}`;
    if (walk.wanted(relative)) {
      await readEntry(path.join(anchor(dir.fd, dirPath), name), path.join(dirPath, name), relative, walk);
    }
  }
};

const readEntry = async (file: string, realPath: string, relative: string, walk: Walk): Promise<void> => {
  const { reading } = walk;
  const skip = (why: string): void => void reading.skipped.push({ path: relative, why });
  let isSeen = false;
  try {
    const seen = await fs.lstat(file, { bigint: true });
    isSeen = true;
    if (seen.isSymbolicLink()) return skip('is a link, and links inside the directory are not followed');
    // Opening a device can do things; only what looks harmless is opened at all.
    if (!seen.isFile() && !seen.isDirectory()) return skip('is neither a file nor a directory');
    const handle = await fs.open(file, OPEN);
    try {
      const stat = await handle.stat({ bigint: true });
      if (stat.ino !== seen.ino || stat.dev !== seen.dev) {
        reading.isTorn = true;
        return;
      }
      if (walk.uid !== undefined && stat.uid !== walk.uid) return skip('belongs to another user');
      if (stat.isDirectory()) {
        if (relative.split('/').length >= MAX_DEPTH) return skip(`lies deeper than ${MAX_DEPTH} levels`);
        return await readDirectory(handle, realPath, `${relative}/`, walk);
      }
      if (stat.size > walk.maxBytes) return skip(`is larger than ${walk.maxBytes / MEBIBYTE} MiB`);
      if (reading.files.size >= MAX_FILES) return skip(`comes after the first ${MAX_FILES} files`);
      reading.files.set(relative, await readBytes(handle, Number(stat.size)));
      reading.stamps.set(relative, [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' '));
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Gone or replaced since the directory was listed: the next reading shows what became of it.
    if (!isErrno(error, 'ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR')) throw error;
    reading.isTorn ||= isSeen;
  }
};

/** Content up to the size that the file had; one that grows meanwhile is found by the next reading. */
const readBytes = async (handle: fs.FileHandle, size: number): Promise<Buffer> => {
  const buffer = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await handle.read(buffer, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
};
