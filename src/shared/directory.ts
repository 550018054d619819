import fs, { constants, type Stats } from 'node:fs';
import { isErrno } from './errors.ts';

/**
 * Directories that are held by their descriptors. An agent may exchange a directory of
 * its mounts for a link at any moment; a path that is a string would then lead elsewhere.
 * A descriptor stays with the directory, whatever becomes of the names above it.
 */

/** Whether the system has paths that go through a descriptor. */
export const hasAnchors = (platform: NodeJS.Platform): boolean => platform === 'linux';

/** Returns the path by which entries of an open directory are reached: through its descriptor, or `name` where the system has no such paths. */
export const anchor = (fd: number, name: string, platform: NodeJS.Platform = process.platform): string =>
  hasAnchors(platform) ? `/proc/self/fd/${fd}` : name;

/** Linux alone has this flag: the directory is held, and need not be readable for that. */
const O_PATH = 0o10_000_000;
const HOLD = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export interface Directory {
  /** Undefined where the system has no paths through descriptors: there it is its path, and nothing is held. */
  readonly fd: number | undefined;
  /** Path of the directory for system calls; empty for the top where nothing is held. */
  readonly reach: string;
  /** The path that a person knows. */
  readonly path: string;
  /** Device and inode. */
  readonly identity: string;
}

/** Returns the path of an entry for system calls. */
export const entryOf = ({ reach }: Directory, name: string): string => `${reach}/${name}`;

/** The same for a name as the system has it, which need not be text. */
export const rawEntryOf = ({ reach }: Directory, name: Buffer): Buffer => Buffer.concat([Buffer.from(`${reach}/`), name]);

/** Returns the path of an entry for messages. */
export const shownOf = ({ path }: Directory, name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`);

/** Returns the path of the directory itself for system calls. */
export const selfOf = ({ reach }: Directory): string => (reach === '' ? '/' : reach);

export const identityIn = ({ dev, ino }: Stats): string => `${dev}:${ino}`;

const holding = (fd: number, path: string, platform: NodeJS.Platform): Directory => {
  try {
    return { fd, reach: anchor(fd, path, platform), path, identity: identityIn(fs.fstatSync(fd)) };
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
};

/** Opens the directory that all absolute paths begin at. */
export const openTop = (platform: NodeJS.Platform): Directory =>
  hasAnchors(platform) ? holding(fs.openSync('/', HOLD), '/', platform) : { fd: undefined, reach: '', path: '/', identity: identityIn(fs.statSync('/')) };

/** Opens a directory by its path; links are followed, so the path must be one that no agent can change. */
export const openDirectory = (path: string, platform: NodeJS.Platform = process.platform): Directory =>
  hasAnchors(platform)
    ? holding(fs.openSync(path, HOLD & ~constants.O_NOFOLLOW), path, platform)
    : { fd: undefined, reach: path, path, identity: identityIn(fs.statSync(path)) };

/** Opens a directory in a directory; undefined when something else has that name, a link above all. Throws `ENOENT` when nothing has. */
export const openBelow = (parent: Directory, name: string | Buffer): Directory | undefined => {
  const entry = typeof name === 'string' ? entryOf(parent, name) : rawEntryOf(parent, name);
  const path = shownOf(parent, name.toString());
  if (parent.fd === undefined) {
    const stats = fs.lstatSync(entry);
    return stats.isDirectory() ? { fd: undefined, reach: path, path, identity: identityIn(stats) } : undefined;
  }
  try {
    return holding(fs.openSync(entry, HOLD), path, 'linux');
  } catch (error) {
    if (isErrno(error, 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
};

/** Lets go of a directory. */
export const closeDirectory = ({ fd }: Directory): void => {
  if (fd !== undefined) fs.closeSync(fd);
};

/** Returns the entry of a name in a directory, no link followed; undefined when nothing has. */
export const lookIn = (directory: Directory, name: string): Stats | undefined => fs.lstatSync(entryOf(directory, name), { throwIfNoEntry: false });
