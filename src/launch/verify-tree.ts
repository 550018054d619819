import { constants, type Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { anchor } from '../shared/directory.ts';
import { isErrno } from '../shared/errors.ts';

/** Something below a directory that the agent may write to. */
export interface TreeEntry {
  /** Relative to the root; empty for the root itself. */
  path: string;
  kind: 'file' | 'directory' | 'link' | 'other';
  stat: Stats;
  /** Where a link leads. */
  target?: string;
  /** The content of a file, as it comes. Only until the next entry is asked for. */
  read: () => AsyncIterable<Buffer>;
}

/** What could not be looked at, and why. */
export interface Unread {
  path: string;
  why: string;
}

const MAX_DEPTH = 64;

// A pipe that somebody has put there must not hold us, and a link must not lead us out of the tree.
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

const kindOf = (stat: Stats): TreeEntry['kind'] => {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  return stat.isSymbolicLink() ? 'link' : 'other';
};

async function* contentOf(handle: fs.FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.alloc(256 * 1024);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

const nothing = async function* (): AsyncGenerator<Buffer> {
  yield* [];
};

interface Walk {
  unread: Unread[];
  wanted: (path: string) => boolean;
}

interface Position {
  /** Path by which it is reached now, and the one that a person knows. */
  reach: string;
  shown: string;
  relative: string;
}

/** What somebody may have put there; anything else that goes wrong is thrown. */
const whyUnread = (error: unknown): string => {
  if (isErrno(error, 'EACCES', 'EPERM')) return 'may not be read';
  if (isErrno(error, 'ELOOP', 'ENXIO', 'ENOTDIR', 'EIO', 'ENAMETOOLONG')) return `cannot be read (${error.code})`;
  throw error;
};

async function* walkDirectory(handle: fs.FileHandle, { shown, relative }: Position, walk: Walk): AsyncGenerator<TreeEntry> {
  if (relative.split('/').length > MAX_DEPTH) {
    walk.unread.push({ path: relative, why: `lies deeper than ${MAX_DEPTH} levels` });
    return;
  }
  for (const name of (await fs.readdir(anchor(handle.fd, shown))).sort()) {
    const inside = relative === '' ? name : `${relative}/${name}`;
    if (walk.wanted(inside)) yield* walkEntry({ reach: path.join(anchor(handle.fd, shown), name), shown: path.join(shown, name), relative: inside }, walk);
  }
}

async function* walkEntry(position: Position, walk: Walk): AsyncGenerator<TreeEntry> {
  const { reach, relative } = position;
  let handle: fs.FileHandle | undefined;
  try {
    const seen = await fs.lstat(reach);
    const kind = kindOf(seen);
    // Opening a device can do things; only what looks harmless is opened at all.
    if (kind === 'link' || kind === 'other') {
      yield { path: relative, kind, stat: seen, ...(kind === 'link' && { target: await fs.readlink(reach) }), read: nothing };
      return;
    }
    handle = await fs.open(reach, OPEN);
    const stat = await handle.stat();
    const file = handle;
    yield { path: relative, kind: kindOf(stat), stat, read: () => (stat.isFile() ? contentOf(file) : nothing()) };
    if (stat.isDirectory()) yield* walkDirectory(handle, position, walk);
  } catch (error) {
    // Gone since the directory was listed, which an agent's files may be at any moment.
    if (!isErrno(error, 'ENOENT')) walk.unread.push({ path: relative, why: whyUnread(error) });
  } finally {
    await handle?.close();
  }
}

/**
 * Everything below a directory, itself first, parents before what is in them; nothing below
 * what is not wanted. No link is followed and no device opened, whatever is swapped meanwhile.
 * Yields nothing when there is no such directory; what cannot be read is added to `unread`.
 */
export const walkTree = (root: string, unread: Unread[], wanted: (path: string) => boolean = () => true): AsyncGenerator<TreeEntry> =>
  walkEntry({ reach: root, shown: root, relative: '' }, { unread, wanted });
