import { constants } from 'node:fs';
import * as fsPromises from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { isErrno, JackinError, messageOf } from './errors.ts';
import { currentOwner, isSameProcess } from './owner.ts';
import { adviceOn, inFile } from './system-error.ts';

/**
 * Writing of files that may hold secrets: 0600 in 0700 whatever the umask, no
 * link followed, never half a file under the final name.
 */

/** The file system calls that writing needs, so that tests can break each one. */
export type FsLayer = Pick<
  typeof fsPromises,
  'chmod' | 'lchown' | 'lstat' | 'mkdir' | 'open' | 'readdir' | 'readlink' | 'rename' | 'rm' | 'stat' | 'symlink' | 'unlink'
>;

export const nodeFs: FsLayer = fsPromises;

/** Unix identity that files are made for. */
export interface FileOwner {
  uid: number;
  gid: number;
}

interface WriteOptions {
  /** Set on what is written when we are root; nobody else can give files away. */
  owner?: FileOwner;
  fs?: FsLayer;
}

const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** The owner to set, if there is one to set and we may: only root can give files away. */
const giveTo = (owner: FileOwner | undefined): FileOwner | undefined =>
  process.geteuid?.() === 0 ? owner : undefined;

/** Flushes a directory, so that names made or renamed in it outlive a power cut. */
export const syncDirectory = async (dir: string, fs: FsLayer = nodeFs): Promise<void> => {
  const handle = await fs.open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** Makes a file that must not be there yet, mode 0600, flushed. */
export const createPrivateFile = async (
  file: string,
  content: Buffer | string,
  { owner, fs = nodeFs }: WriteOptions = {},
): Promise<void> => {
  const handle = await fs.open(file, NEW_FILE, 0o600);
  const recipient = giveTo(owner);
  try {
    // A umask can only take bits away at creation, and may have taken ours.
    await handle.chmod(0o600);
    if (recipient) await handle.chown(recipient.uid, recipient.gid);
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    throw inFile(error, file);
  } finally {
    await handle.close();
  }
};

/** Makes a directory that must not be there yet, mode 0700. */
export const createPrivateDir = async (dir: string, { owner, fs = nodeFs }: WriteOptions = {}): Promise<void> => {
  await fs.mkdir(dir, { mode: 0o700 });
  await fs.chmod(dir, 0o700);
  const recipient = giveTo(owner);
  if (recipient) await fs.lchown(dir, recipient.uid, recipient.gid);
};

interface DirOptions extends WriteOptions {
  /** Its parent must be there: what somebody removes meanwhile does not come back, and the call fails with `ENOENT`. */
  inside?: boolean;
}

/**
 * Makes a directory and missing parents, each new one 0700, and tightens the
 * directory itself when it was there with a wider mode. Anything else under
 * that name, a link above all, is a `conflict`.
 */
export const ensurePrivateDir = async (dir: string, options: DirOptions = {}): Promise<void> => {
  const { fs = nodeFs, owner, inside = false } = options;
  const found = await unlessMissing(fs.lstat(dir));
  if (found === undefined) {
    const parent = path.dirname(dir);
    // Parents may be links, such as /tmp on macOS: only the directory itself may not.
    if (!inside && (await unlessMissing(fs.stat(parent))) === undefined) await ensurePrivateDir(parent, options);
    try {
      await createPrivateDir(dir, options);
    } catch (error) {
      // Somebody else has made it in between: then it is judged as any that was there.
      if (!isErrno(error, 'EEXIST')) throw error;
      await ensurePrivateDir(dir, options);
    }
    return;
  }
  if (!found.isDirectory()) {
    throw new JackinError('conflict', `${dir} is not a directory, and jackin follows no links there`);
  }
  if ((found.mode & 0o777) !== 0o700) await fs.chmod(dir, 0o700);
  const recipient = giveTo(owner);
  if (recipient && (found.uid !== recipient.uid || found.gid !== recipient.gid)) {
    await fs.lchown(dir, recipient.uid, recipient.gid);
  }
};

/** Makes a directory and missing parents, each new one 0700 whatever the umask. What is there is left as it is, and may be a link. */
export const ensureDir = async (dir: string): Promise<void> => {
  if ((await unlessMissing(nodeFs.stat(dir))) !== undefined) return;
  await ensureDir(path.dirname(dir));
  await createPrivateDir(dir).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
};

/** The answer of a file system call, or undefined when there is nothing under that name. */
export const unlessMissing = async <T>(call: Promise<T>): Promise<T | undefined> => {
  try {
    return await call;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
};

/**
 * Puts a whole new file in the place of an old one, or of a link: a reader sees
 * the old content or the new, and a crash leaves one of them. Mode 0600.
 * The directory must exist. After an error nothing has changed.
 */
export const writeFileAtomic = async (
  file: string,
  content: Buffer | string,
  options: WriteOptions = {},
): Promise<void> => {
  const { fs = nodeFs } = options;
  await sweepTemporaries(path.dirname(file), path.basename(file), fs);
  const temporary = temporaryName(file);
  try {
    await createPrivateFile(temporary, content, options);
    await fs.rename(temporary, file);
  } catch (error) {
    await fs.unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDirectory(path.dirname(file), fs);
};

/** Puts a symbolic link in the place of an old one, in one step. After an error nothing has changed. */
export const linkAtomic = async (target: string, link: string, options: WriteOptions = {}): Promise<void> => {
  const { fs = nodeFs, owner } = options;
  await sweepTemporaries(path.dirname(link), path.basename(link), fs);
  const temporary = temporaryName(link);
  try {
    await fs.symlink(target, temporary);
    const recipient = giveTo(owner);
    if (recipient) await fs.lchown(temporary, recipient.uid, recipient.gid);
    await fs.rename(temporary, link);
  } catch (error) {
    await fs.unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDirectory(path.dirname(link), fs);
};

let own: string | undefined;

/** Names this process, so that a later one can tell whether it lives. */
const ownMark = (): string => {
  const { pid, started } = currentOwner();
  return `${pid}-${started}`;
};

/** A name beside a file for its new content: `.<file>.<pid>-<start of that process>.<random>.tmp`. */
export const temporaryName = (file: string): string =>
  path.join(path.dirname(file), `.${path.basename(file)}.${(own ??= ownMark())}.${randomBytes(6).toString('hex')}.tmp`);

const TEMPORARY = /^\.(.+?)(?:\.(\d+)-(\d*))?\.[0-9a-f]{12}\.tmp$/;

/** True for names that a crash in the middle of an atomic write can leave behind. */
export const isTemporaryName = (name: string): boolean => TEMPORARY.test(name);

/** Older versions named no process. Nothing takes so long to write. */
const FORGOTTEN_MS = 60 * 60 * 1000;

const isForgotten = async (file: string, fs: FsLayer): Promise<boolean> => {
  const found = await unlessMissing(fs.lstat(file));
  return found !== undefined && Date.now() - found.mtimeMs > FORGOTTEN_MS;
};

/**
 * Removes the temporary files of dead processes in a directory: those for `base`, or
 * all. A file of a living process stays. Never fails: the next writer tries again.
 */
export const sweepTemporaries = async (dir: string, base?: string, fs: FsLayer = nodeFs): Promise<void> => {
  const names = await fs.readdir(dir).catch((): string[] => []);
  for (const name of names) {
    const [matched, of, pid, started = ''] = TEMPORARY.exec(name) ?? [];
    if (matched === undefined || (base !== undefined && of !== base)) continue;
    const file = path.join(dir, name);
    const isLeft = pid === undefined ? isForgotten(file, fs) : !isSameProcess({ pid: Number(pid), started });
    if (await Promise.resolve(isLeft).catch(() => false)) await fs.rm(file, { recursive: true, force: true }).catch(() => undefined);
  }
};

/** An error of the file system in words: the action that failed, why, and what to do next. */
export const asDiskError = (error: unknown, action: string): unknown => {
  const advice = error instanceof JackinError ? undefined : adviceOn(error);
  if (advice === undefined) return error;
  const { code, hint } = advice;
  if (code === 'disk.full') return new JackinError(code, `${action} failed: there is no space left`, { hint, cause: error });
  return new JackinError('failed', `${action} failed: ${messageOf(error)}`, { hint, cause: error });
};
