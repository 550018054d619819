import { lstat, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  createPrivateDir,
  createPrivateFile,
  ensurePrivateDir,
  isTemporaryName,
  syncDirectory,
  unlessMissing,
  writeFileAtomic,
} from '../../shared/atomic-files.ts';
import { readTree } from '../../shared/safe-read.ts';
import { type SeedRecord, writeRecord } from './record.ts';

/**
 * Exchange of a whole set of files in the home. The directories are mount
 * points that cannot be renamed, so the new set is staged beside the old one,
 * committed by one rename, and then put in place file by file: a crash before
 * the commit changes nothing, one after it is made good at the next start.
 */

/** Where jackin keeps what Kimi does not need to see; on the same mount as Kimi's home. */
export const WORK_DIR = '.kimi-code/.jackin';

const KEPT_BACKUPS = 3;

export interface HomeChange {
  /** New content by path below the home. */
  write: ReadonlyMap<string, Buffer>;
  /** Paths below the home. */
  remove: readonly string[];
  /** Written to the state directory when all is in place. */
  record: SeedRecord;
}

const places = (home: string): { work: string; staging: string; next: string; backups: string } => {
  const work = path.join(home, WORK_DIR);
  return { work, staging: path.join(work, 'staging'), next: path.join(work, 'next'), backups: path.join(work, 'backups') };
};

/** Makes a directory below the home, 0700; links and files that are in the way go. */
export const makeHomeDir = async (home: string, relative: string): Promise<void> => {
  let dir = home;
  for (const part of relative.split('/')) {
    dir = path.join(dir, part);
    const found = await unlessMissing(lstat(dir));
    if (found !== undefined && !found.isDirectory()) await rm(dir);
    await ensurePrivateDir(dir);
  }
};

/** Writes a file below the home in one step, 0600; a directory that is in the way goes. */
export const writeHomeFile = async (home: string, relative: string, content: Buffer | string): Promise<void> => {
  const file = path.join(home, relative);
  await makeHomeDir(home, path.dirname(relative));
  const found = await unlessMissing(lstat(file));
  if (found?.isDirectory()) await rm(file, { recursive: true });
  await writeFileAtomic(file, content);
};

/** Applies a change as a whole. */
export const changeHome = async (home: string, state: string, change: HomeChange): Promise<void> => {
  const { work, staging, next } = places(home);
  await makeHomeDir(home, WORK_DIR);
  await rm(staging, { recursive: true, force: true });
  await writeTree(staging, new Map([...change.write].map(([file, bytes]) => [`files/${file}`, bytes])));
  await createPrivateFile(path.join(staging, 'plan.json'), JSON.stringify({ remove: change.remove, record: change.record }));
  await syncDirectory(staging);
  await rename(staging, next);
  await syncDirectory(work);
  await applyChange(home, state);
};

const writeTree = async (root: string, files: ReadonlyMap<string, Buffer>): Promise<void> => {
  await createPrivateDir(root);
  for (const [file, bytes] of files) {
    await ensurePrivateDir(path.dirname(path.join(root, file)));
    await createPrivateFile(path.join(root, file), bytes);
  }
};

/**
 * Makes good what an interrupted start left: completes a change that was
 * committed, drops one that was not, and clears half-written files away.
 */
export const finishChange = async (home: string, state: string): Promise<void> => {
  const { staging, next } = places(home);
  for (const dir of ['.kimi-code', '.kimi-code/workspace-trust', '.kimi']) await removeTemporaries(path.join(home, dir));
  for (const dir of ['.kimi-code/credentials', '.kimi/credentials']) await removeTemporaries(path.join(home, dir), true);
  for (const dir of [state, path.join(state, 'auth')]) await removeTemporaries(dir);
  await rm(staging, { recursive: true, force: true });
  if ((await unlessMissing(lstat(next))) !== undefined) await applyChange(home, state);
};

const applyChange = async (home: string, state: string): Promise<void> => {
  const { staging, next } = places(home);
  const plan = JSON.parse(await readFile(path.join(next, 'plan.json'), 'utf8')) as { remove: string[]; record: SeedRecord };
  for (const file of plan.remove) await rm(path.join(home, file), { force: true });
  for (const [file, bytes] of await stagedFiles(path.join(next, 'files'))) await writeHomeFile(home, file, bytes);
  await writeRecord(state, plan.record);
  // Out of the committed place in one step, so that a half deleted set is never applied.
  await rename(next, staging);
  await rm(staging, { recursive: true });
};

const removeTemporaries = async (dir: string, below = false): Promise<void> => {
  if (!(await unlessMissing(lstat(dir)))?.isDirectory()) return;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const file = path.join(dir, entry.name);
    if (isTemporaryName(entry.name)) await rm(file, { force: true });
    else if (below && entry.isDirectory()) await removeTemporaries(file, below);
  }
};

const stagedFiles = async (dir: string): Promise<Map<string, Buffer>> => {
  const files = new Map<string, Buffer>();
  for (const home of (await unlessMissing(readdir(dir))) ?? []) {
    const tree = await readTree(path.join(dir, home), { wanted: () => true, owner: 'anyone' });
    for (const [file, bytes] of tree.files) files.set(`${home}/${file}`, bytes);
  }
  return files;
};

/** Keeps files of Kimi's home that are about to be replaced; the oldest of several backups goes. */
export const backUp = async (home: string, files: ReadonlyMap<string, Buffer>, now: Date): Promise<void> => {
  const { backups } = places(home);
  await makeHomeDir(home, path.relative(home, backups));
  const names = (await readdir(backups)).sort();
  const stamp = now.toISOString().replaceAll(':', '-');
  // Sorts behind an earlier one of the same instant.
  const sameInstant = names.filter((name) => name.startsWith(stamp)).length;
  await writeTree(path.join(backups, `${stamp}-${sameInstant}`), files);
  for (const name of names.slice(0, Math.max(0, names.length + 1 - KEPT_BACKUPS))) {
    await rm(path.join(backups, name), { recursive: true });
  }
};
