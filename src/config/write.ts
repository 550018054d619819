import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import path from 'node:path';
import { createPrivateFile, ensurePrivateDir, type FsLayer, isTemporaryName, nodeFs, syncDirectory, unlessMissing } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';

/** Writing of configuration files: whole or not at all, through links, with the mode that they have. */

/** For other jackins that wait meanwhile. */
export const CHANGES = { doing: 'changes the configuration' } as const;

const MAX_LINKS = 40;

/** The file that a name leads to. Dotfile managers link configuration files: the link stays, what it names is replaced. */
const followLinks = async (file: string, fs: FsLayer): Promise<string> => {
  let current = file;
  for (let followed = 0; followed < MAX_LINKS; followed += 1) {
    try {
      const target = await fs.readlink(current);
      // Not normalised: the folder may be a link itself, and only the system knows its "..".
      current = path.isAbsolute(target) ? target : `${path.dirname(current)}/${target}`;
    } catch (error) {
      if (isErrno(error, 'EINVAL', 'ENOENT')) return current;
      throw error;
    }
  }
  throw new JackinError('conflict', `${file} is a link that leads in a circle`);
};

/** Removes what a killed writer left beside a file. Only for whoever holds the configuration lock. */
const removeLeftovers = async (file: string, fs: FsLayer): Promise<void> => {
  const dir = path.dirname(file);
  const names = await fs.readdir(dir);
  const leftovers = names.filter((name) => name.startsWith(`.${path.basename(file)}.`) && isTemporaryName(name));
  for (const name of leftovers) await fs.unlink(path.join(dir, name)).catch(() => undefined);
};

const replaceFile = async (file: string, text: string, fs: FsLayer): Promise<void> => {
  const old = await unlessMissing(fs.stat(file));
  if (old !== undefined && !old.isFile()) throw new JackinError('conflict', `${file} is not a regular file`);
  await removeLeftovers(file, fs);
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await fs.open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, old === undefined ? 0o644 : 0o600);
    try {
      if (old !== undefined) {
        if (process.geteuid?.() === 0) await handle.chown(old.uid, old.gid);
        await handle.chmod(old.mode & 0o7777);
      }
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, file);
  } catch (error) {
    await fs.unlink(temporary).catch(() => undefined);
    throw error;
  }
  // The file is in place: without this only a power cut could bring the old one back.
  await syncDirectory(path.dirname(file), fs).catch(() => undefined);
};

/** Why a file could not be written, for a person. What the file held is still there. */
const writeError = (file: string, error: unknown): unknown => {
  if (error instanceof JackinError) return error;
  const failed = (reason: string) => new JackinError('failed', `cannot write ${file}: ${reason}`, { hint: 'nothing was changed', cause: error });
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    return new JackinError('disk.full', `cannot write ${file}: there is no space left on its disk`, {
      hint: 'nothing was changed: free some space and run the command again',
      cause: error,
    });
  }
  if (isErrno(error, 'EROFS')) return failed('its file system is read-only');
  if (isErrno(error, 'EACCES', 'EPERM')) return failed(`this user may not write in ${path.dirname(file)}`);
  return failed(messageOf(error));
};

/** Gives a file this text, in one step: a reader sees the old or the new. For whoever holds the configuration lock. */
export const writeConfigFile = async (file: string, text: string, fs: FsLayer = nodeFs): Promise<void> => {
  try {
    await fs.mkdir(path.dirname(file), { recursive: true });
    await replaceFile(await followLinks(file, fs), text, fs);
  } catch (error) {
    throw writeError(file, error);
  }
};

/** Makes the folder of a file, for the lock that stands in it. */
export const makeFolderOf = async (file: string, fs: FsLayer = nodeFs): Promise<void> => {
  try {
    await fs.mkdir(path.dirname(file), { recursive: true });
  } catch (error) {
    throw writeError(file, error);
  }
};

/** Whether a name is taken, if only by a link that leads nowhere. */
export const isTaken = async (file: string, fs: FsLayer = nodeFs): Promise<boolean> => (await unlessMissing(fs.lstat(file))) !== undefined;

/** Removes a file, or the link that stands for it. */
export const removeFile = async (file: string, fs: FsLayer = nodeFs): Promise<void> => {
  try {
    await fs.unlink(file);
    await syncDirectory(path.dirname(file), fs);
  } catch (error) {
    throw writeError(file, error);
  }
};

/**
 * Keeps a text in the backups of the jackin home, 0600: not beside its file, where
 * a dotfile repository would pick it up. Returns the file.
 */
export const keepBackup = async (jackinHome: string, name: string, text: string, now: Date, fs: FsLayer = nodeFs): Promise<string> => {
  const dir = path.join(jackinHome, 'backups');
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const fileOf = (attempt: number) => path.join(dir, `${name}.${stamp}${attempt === 0 ? '' : `-${attempt}`}.toml`);
  try {
    await ensurePrivateDir(dir, { fs });
    for (let attempt = 0; ; attempt += 1) {
      try {
        await createPrivateFile(fileOf(attempt), text, { fs });
        await syncDirectory(dir, fs);
        return fileOf(attempt);
      } catch (error) {
        // A workspace may be called "config", and two migrations may fall into one second.
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    }
  } catch (error) {
    throw writeError(dir, error);
  }
};
