import { lstat, readdir, readFile, rm } from 'node:fs/promises';
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
import type { Place } from './place.ts';
import { type SeedRecord, writeRecord } from './record.ts';

/**
 * Exchange of a whole set of files in the home. The directories are mount
 * points that cannot be renamed, so the new set is staged beside the old one,
 * committed by writing down what is to be done, and then put in place file by
 * file: a crash before the commit changes nothing, one after it is made good at
 * the next start.
 */

/** Where jackin keeps what the agent does not need to see, below the home; on the same mount as the agent's files. */
export const workDir = ({ dir }: Place): string => `${dir}/.jackin`;

const KEPT_BACKUPS = 3;

export interface HomeChange {
  /** New content by path below the home. */
  write: ReadonlyMap<string, Buffer>;
  /** Paths below the home. */
  remove: readonly string[];
  /** Written to the state directory when all is in place. */
  record: SeedRecord;
}

const placesIn = (place: Place): { staging: string; plan: string; backups: string } => {
  const work = path.join(place.home, workDir(place));
  return { staging: path.join(work, 'next'), plan: path.join(work, 'next/plan.json'), backups: path.join(work, 'backups') };
};

/** Makes a directory below the home, 0700; links and files that are in the way go. What is the image's, above the mounts, stays as it is. */
export const makeHomeDir = async (home: string, relative: string): Promise<void> => {
  let dir = home;
  for (const part of relative.split('/')) {
    dir = path.join(dir, part);
    const found = await unlessMissing(lstat(dir));
    // Only its owner may change it, and whoever the container runs as need not be the image's user.
    if (found?.isDirectory() && found.uid !== process.geteuid?.()) continue;
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
export const changeHome = async (place: Place, { write, remove, record }: HomeChange): Promise<void> => {
  const { staging, plan } = placesIn(place);
  await makeHomeDir(place.home, workDir(place));
  await rm(staging, { recursive: true, force: true });
  await writeTree(staging, new Map([...write].map(([file, bytes]) => [`files/${file}`, bytes])));
  await writeFileAtomic(plan, JSON.stringify({ remove, record }));
  await applyChange(place);
};

const writeTree = async (root: string, files: ReadonlyMap<string, Buffer>): Promise<void> => {
  await createPrivateDir(root);
  for (const [file, bytes] of files) {
    const dir = path.dirname(path.join(root, file));
    await ensurePrivateDir(dir);
    await createPrivateFile(path.join(root, file), bytes);
    await syncDirectory(dir);
  }
};

/**
 * Makes good what an interrupted start left: completes a change that was
 * committed, drops one that was not, and clears half-written files away.
 */
export const finishChange = async (place: Place): Promise<void> => {
  const { state } = place;
  const { staging, plan } = placesIn(place);
  for (const { dir, deep } of place.written) await removeTemporaries(path.join(place.home, dir), deep);
  for (const dir of [state, path.join(state, 'auth')]) await removeTemporaries(dir);
  if ((await unlessMissing(lstat(plan))) === undefined) await rm(staging, { recursive: true, force: true });
  else await applyChange(place);
};

const applyChange = async (place: Place): Promise<void> => {
  const { home } = place;
  const { staging, plan } = placesIn(place);
  const { remove, record } = JSON.parse(await readFile(plan, 'utf8')) as { remove: string[]; record: SeedRecord };
  for (const file of remove) await rm(path.join(home, file), { force: true });
  for (const [file, bytes] of await stagedFiles(path.join(staging, 'files'))) await writeHomeFile(home, file, bytes);
  await writeRecord(place, record);
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

/** Keeps files of an agent's home that are about to be replaced; the oldest of several backups goes. */
export const backUp = async (place: Place, files: ReadonlyMap<string, Buffer>, now: Date): Promise<void> => {
  const { backups } = placesIn(place);
  await makeHomeDir(place.home, path.relative(place.home, backups));
  const names = (await readdir(backups)).sort();
  const stamp = now.toISOString().replaceAll(':', '-');
  // Sorts behind an earlier one of the same instant.
  const sameInstant = names.filter((name) => name.startsWith(stamp)).length;
  await writeTree(path.join(backups, `${stamp}-${sameInstant}`), files);
  for (const name of names.slice(0, Math.max(0, names.length + 1 - KEPT_BACKUPS))) {
    await rm(path.join(backups, name), { recursive: true });
  }
};
