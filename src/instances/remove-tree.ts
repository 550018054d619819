import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { lstat, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { unlessMissing } from '../shared/atomic-files.ts';
import { closeDirectory, type Directory, openBelow, openDirectory, rawEntryOf, selfOf } from '../shared/directory.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { adviceOn } from '../shared/system-error.ts';

/**
 * Removal of a tree that an agent has written to. Directories are held by their
 * descriptors: when one is exchanged for a link meanwhile, nothing elsewhere is removed
 * and no mode elsewhere is changed.
 */

/** An agent can nest directories without end; deeper ones are moved up before they are removed. */
const MAX_LEVELS = 64;
/** Another removal of the same tree may move directories up meanwhile. */
const MAX_TRIES = 20;

const unlessGone = (work: () => void): void => {
  try {
    work();
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
};

/** Gives the owner back what an agent may have taken from its own directory. */
const unlock = (directory: Directory): void => {
  if ((fs.statSync(selfOf(directory)).mode & 0o700) === 0o700) return;
  try {
    fs.chmodSync(selfOf(directory), 0o700);
  } catch (error) {
    // It is another user's: the removal says so if it matters.
    if (!isErrno(error, 'EPERM')) throw error;
  }
};

interface Removal {
  /** The directory that is removed; undefined before it is opened. */
  root?: Directory;
  /** Directories that were moved up into the root, where they wait for the next pass. */
  moved: number;
}

/** Removes what is in a directory. */
const empty = (directory: Directory, level: number, removal: Removal): void => {
  unlock(directory);
  for (const name of fs.readdirSync(selfOf(directory), { encoding: 'buffer' })) unlessGone(() => removeEntry(directory, name, level, removal));
};

const moveUp = (entry: Buffer, directory: Directory, removal: Removal): void => {
  // Its own permission to be changed is needed, too: it gets another parent.
  unlock(directory);
  fs.renameSync(entry, rawEntryOf(removal.root!, Buffer.from(`.deep-${randomBytes(6).toString('hex')}`)));
  removal.moved += 1;
};

const removeEntry = (parent: Directory, name: Buffer, level: number, removal: Removal): void => {
  const entry = rawEntryOf(parent, name);
  const below = openBelow(parent, name);
  if (below === undefined) return fs.unlinkSync(entry);
  try {
    removal.root ??= below;
    if (level > MAX_LEVELS) return moveUp(entry, below, removal);
    empty(below, level + 1, removal);
  } finally {
    closeDirectory(below);
  }
  try {
    fs.rmdirSync(entry);
  } catch (error) {
    if (!isErrno(error, 'ENOTDIR')) throw error;
    // It was exchanged meanwhile: what has its name now goes, and not what that leads to.
    fs.unlinkSync(entry);
  }
};

const destroyIn = (parent: Directory, name: Buffer): void => {
  for (let tries = 1; ; tries += 1) {
    const removal: Removal = { moved: 0 };
    try {
      return unlessGone(() => removeEntry(parent, name, 0, removal));
    } catch (error) {
      if (!isErrno(error, 'ENOTEMPTY') || tries === MAX_TRIES) throw error;
      if (removal.moved > 0) tries = 0;
    }
  }
};

const cannotRemove = (target: string, error: unknown): JackinError =>
  new JackinError('failed', `cannot remove ${target}: ${messageOf(error)}`, { hint: adviceOn(error)?.hint ?? 'run the command again', cause: error });

const destroy = (target: string): void => {
  try {
    const parent = openDirectory(path.dirname(target));
    try {
      destroyIn(parent, Buffer.from(path.basename(target)));
    } finally {
      closeDirectory(parent);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw cannotRemove(target, error);
  }
};

const exists = async (file: string): Promise<boolean> => {
  const found = await unlessMissing(lstat(file)).catch((error: unknown) => {
    throw cannotRemove(file, error);
  });
  return found !== undefined;
};

const DOOMED = '.removing-';

/**
 * Removes a directory with everything below it. It is renamed first, so that what
 * a crash leaves behind is not taken for an instance; {@link finishRemovals}
 * removes that. Absent is fine.
 */
export const removeTree = async (directory: string): Promise<void> => {
  const doomed = path.join(path.dirname(directory), `${DOOMED}${path.basename(directory)}`);
  destroy(doomed);
  try {
    await rename(directory, doomed);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw cannotRemove(directory, error);
  }
  destroy((await exists(doomed)) ? doomed : directory);
};

/** Removes what a killed removal left below `parent`: nothing lists it any more, and it may hold logins. */
export const finishRemovals = async (parent: string): Promise<void> => {
  const names = await readdir(parent).catch((): string[] => []);
  for (const name of names) if (name.startsWith(DOOMED)) destroy(path.join(parent, name));
};
