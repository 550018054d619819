import type { Stats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Finder } from '../auth/secret-scan.ts';
import { isErrno } from '../shared/errors.ts';
import { type TreeEntry, type Unread, walkTree } from './verify-tree.ts';

/** The places of an instance where credential files belong: who may read them is what counts there. */
export const CREDENTIAL_PLACES = ['handoff', 'home', '.config/gh'] as const;

export interface ModeReport {
  files: number;
  directories: number;
  problems: { path: string; problem: string }[];
}

const modeProblem = (stat: Stats, wanted: number): string[] => {
  const mode = stat.mode & 0o7777;
  return mode === wanted ? [] : [`mode ${mode.toString(8).padStart(4, '0')} instead of ${wanted.toString(8).padStart(4, '0')}`];
};

/** The user of the container, as the launch has written it down; undefined when that is gone. */
const ownerOf = async (directory: string): Promise<number | undefined> => {
  try {
    const uid = /^agent:x:(\d+):/.exec(await readFile(path.join(directory, '.jackin', 'passwd'), 'utf8'))?.[1];
    return uid === undefined ? undefined : Number(uid);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
};

/** Every directory on the way from the root of a place to a file in it. */
const waysTo = (file: string): string[] => {
  const parts = file.split('/').slice(0, -1);
  return ['', ...parts.map((_part, index) => parts.slice(0, index + 1).join('/'))];
};

const holdsSecret = async (entry: TreeEntry, finder: Finder, signal: AbortSignal): Promise<boolean> => {
  const scan = finder.start();
  for await (const chunk of entry.read()) {
    signal.throwIfAborted();
    scan.push(chunk);
  }
  return scan.hits().length > 0;
};

/**
 * Whether nobody but the user of the container can read the credentials of an instance: in
 * the handoff every file is 0600 and every directory 0700; elsewhere agents write more than
 * credentials, and so every file counts that holds a secret, with the directories above it.
 */
export const checkModes = async (directory: string, finder: Finder, signal: AbortSignal): Promise<ModeReport> => {
  const uid = await ownerOf(directory);
  const report: ModeReport = { files: 0, directories: 0, problems: [] };
  const note = (place: string, problems: string[]): void =>
    void report.problems.push(...problems.map((problem) => ({ path: finder.mask(place.replace(/\/$/, '')), problem })));
  const ownerProblem = (stat: Stats): string[] => (uid === undefined || stat.uid === uid ? [] : [`belongs to uid ${stat.uid} instead of ${uid}`]);
  const check = (where: string, stat: Stats): void => {
    const isDirectory = stat.isDirectory();
    report[isDirectory ? 'directories' : 'files'] += 1;
    note(where, [...modeProblem(stat, isDirectory ? 0o700 : 0o600), ...ownerProblem(stat)]);
  };
  for (const place of CREDENTIAL_PLACES) {
    const unread: Unread[] = [];
    const directories = new Map<string, Stats>();
    const guarded = new Set(['']);
    for await (const entry of walkTree(path.join(directory, place), unread)) {
      const where = `${place}/${entry.path}`;
      if (entry.kind === 'directory') directories.set(entry.path, entry.stat);
      if (place === 'handoff' && entry.kind === 'directory') guarded.add(entry.path);
      if (place === 'handoff' && entry.kind !== 'directory' && entry.kind !== 'file' && entry.path !== 'current') note(where, ['is neither a file nor a directory']);
      if (entry.path === '' && entry.kind !== 'directory') note(where, ['is not a directory']);
      if (entry.kind !== 'file') continue;
      if (place !== 'handoff' && !(await holdsSecret(entry, finder, signal))) continue;
      check(where, entry.stat);
      for (const way of waysTo(entry.path)) guarded.add(way);
    }
    for (const [name, stat] of directories) if (guarded.has(name)) check(`${place}/${name}`, stat);
    note(place, unread.map(({ path: file, why }) => `${file === '' ? 'it' : finder.mask(file)} ${why}`));
  }
  return report;
};
