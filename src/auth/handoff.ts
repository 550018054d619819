import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  asDiskError,
  createPrivateDir,
  createPrivateFile,
  ensurePrivateDir,
  type FileOwner,
  type FsLayer,
  isTemporaryName,
  linkAtomic,
  nodeFs,
  syncDirectory,
  unlessMissing,
  writeFileAtomic,
} from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import { readTree } from '../shared/safe-read.ts';

/**
 * The handoff: a directory that the container sees read-only. Each complete set
 * of logins is a generation, `gen-N/<name>/…`, and `current` is a link to the
 * newest. A generation never changes once the link points to it, and the one
 * before it is kept, so a reader that resolves the link once per set never sees
 * a mixed or a missing one.
 */

export type HandoffChange =
  /** The set as the host has it now: what is gone there is gone. */
  | { name: string; action: 'replace'; files: readonly { path: string; bytes: Buffer }[] }
  /** The host has no login: what was handed over stays. */
  | { name: string; action: 'keep' }
  /** Nothing of it is handed over any more. */
  | { name: string; action: 'remove' };

export interface HandoffResult {
  /** Name of the generation that `current` points to. */
  generation: string;
  /** False when everything was there already. */
  changed: boolean;
}

/** Content by path below a generation, `<name>/<file>`. */
type Content = Map<string, Buffer>;

const CURRENT = 'current';
const GENERATION = /^gen-([1-9]\d{0,8})$/;

/**
 * Brings the handoff directory up to date in one step. After an error or a
 * crash at any point `current` shows the old content or the new, whole; the
 * next call clears what was left over. Names without a change are kept.
 */
export const provisionHandoff = async (
  dir: string,
  changes: readonly HandoffChange[],
  owner: FileOwner,
  fs: FsLayer = nodeFs,
): Promise<HandoffResult> => {
  const options = { owner, fs };
  try {
    await ensurePrivateDir(dir, { ...options, inside: true });
    const current = await currentGeneration(dir, fs);
    await removeLeftovers(dir, current, fs);

    const old = current === undefined ? undefined : await readGeneration(path.join(dir, generationName(current)), fs);
    const wanted = applyChanges(old ?? new Map(), changes);
    if (current !== undefined && old !== undefined && isSame(old, wanted)) {
      await tighten(path.join(dir, generationName(current)), old, fs);
      return { generation: generationName(current), changed: false };
    }
    const next = (current ?? 0) + 1;
    await writeGeneration(dir, generationName(next), wanted, options);
    await linkAtomic(generationName(next), path.join(dir, CURRENT), options);
    await removeLeftovers(dir, next, fs);
    return { generation: generationName(next), changed: true };
  } catch (error) {
    throw asDiskError(error, `preparing the login for the container in ${dir}`);
  }
};

const generationName = (generation: number): string => `gen-${generation}`;

const numberOf = (name: string): number | undefined => {
  const digits = GENERATION.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

const currentGeneration = async (dir: string, fs: FsLayer): Promise<number | undefined> => {
  const target = await unlessMissing(fs.readlink(path.join(dir, CURRENT)));
  const current = target === undefined ? undefined : numberOf(target);
  if (target !== undefined && current === undefined) {
    throw new JackinError('conflict', `${path.join(dir, CURRENT)} points to ${target}, which jackin did not make`);
  }
  return current;
};

/** Everything of ours but the current generation and the one before it. */
const removeLeftovers = async (dir: string, current: number | undefined, fs: FsLayer): Promise<void> => {
  const names = await fs.readdir(dir);
  const older = names.map(numberOf).filter((n): n is number => n !== undefined && n < (current ?? 0));
  const kept = new Set([current, Math.max(...older)]);
  for (const name of names) {
    const generation = numberOf(name);
    const isLeftover = generation === undefined ? isTemporaryName(name) : !kept.has(generation);
    if (isLeftover) await fs.rm(path.join(dir, name), { recursive: true, force: true });
  }
};

/** Undefined when there is no such generation any more, so that it is replaced. */
const readGeneration = async (dir: string, fs: FsLayer): Promise<Content | undefined> => {
  const names = await unlessMissing(fs.readdir(dir));
  if (names === undefined) return undefined;
  const trees = await Promise.all(names.map((name) => readTree(path.join(dir, name), { wanted: () => true, owner: 'anyone', still: true })));
  return new Map(names.flatMap((name, index) => [...trees[index]!.files].map(([file, bytes]): [string, Buffer] => [`${name}/${file}`, bytes])));
};

const applyChanges = (old: Content, changes: readonly HandoffChange[]): Content => {
  const replaced = new Set(changes.filter(({ action }) => action !== 'keep').map(({ name }) => name));
  const wanted: Content = new Map([...old].filter(([file]) => !replaced.has(file.split('/')[0] ?? '')));
  for (const change of changes) {
    if (change.action !== 'replace') continue;
    for (const { path: file, bytes } of change.files) wanted.set(safePath(change.name, file), bytes);
  }
  return wanted;
};

const safePath = (name: string, file: string): string => {
  const parts = [name, ...file.split('/')];
  if (name.includes('/') || parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
    throw new Error('a file of a login may not leave its directory');
  }
  return parts.join('/');
};

const isSame = (a: Content, b: Content): boolean =>
  a.size === b.size && [...a].every(([file, bytes]) => b.get(file)?.equals(bytes));

interface Options {
  owner: FileOwner;
  fs: FsLayer;
}

/** Takes back rights that somebody may have given to others since. */
const tighten = async (root: string, content: Content, fs: FsLayer): Promise<void> => {
  for (const dir of ['', ...directoriesOf(content)]) await fs.chmod(path.join(root, dir), 0o700);
  for (const file of content.keys()) await fs.chmod(path.join(root, file), 0o600);
};

/** Waits to the end of each, so that nothing is still being written when an error is dealt with. */
const allOf = async (calls: readonly Promise<void>[]): Promise<void> => {
  const failed = (await Promise.allSettled(calls)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
};

/** Writes a generation that nothing points to yet; an error takes it away again. */
const writeGeneration = async (dir: string, generation: string, content: Content, options: Options): Promise<void> => {
  const root = path.join(dir, generation);
  try {
    const dirs = directoriesOf(content);
    await createPrivateDir(root, options);
    for (const level of byDepth(dirs)) await allOf(level.map((sub) => createPrivateDir(path.join(root, sub), options)));
    // Nothing points here yet, so the order is free; a disk flushes many at once in the time of one.
    await allOf([...content].map(([file, bytes]) => createPrivateFile(path.join(root, file), bytes, options)));
    await allOf(['', ...dirs].map((sub) => syncDirectory(path.join(root, sub), options.fs)));
    await syncDirectory(dir, options.fs);
  } catch (error) {
    await options.fs.rm(root, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
};

/** Directories that the content needs, parents first. */
const directoriesOf = (content: Content): string[] => [...new Set([...content.keys()].flatMap(parentsOf))].sort();

/** Directories of one depth together, the topmost first. */
const byDepth = (dirs: readonly string[]): string[][] => {
  const levels: string[][] = [];
  for (const dir of dirs) (levels[dir.split('/').length - 1] ??= []).push(dir);
  return levels;
};

/** `a/b/c` → `a`, `a/b`. */
const parentsOf = (file: string): string[] => {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
};

/**
 * Gives each name its path beside the handoff directory: `<instanceDir>/<name>`
 * becomes a relative link to `handoff/current/<name>`. A stand-in goes; something
 * else under that name is a `conflict`.
 */
export const linkHandoffNames = async (instanceDir: string, names: readonly string[], fs: FsLayer = nodeFs): Promise<void> => {
  for (const name of names) {
    const link = path.join(instanceDir, name);
    const target = path.join('handoff', CURRENT, name);
    let found = await unlessMissing(fs.lstat(link));
    if (found?.isDirectory() && (await isStandIn(link))) {
      await fs.rm(link, { recursive: true, force: true });
      found = undefined;
    }
    if (found !== undefined && !found.isSymbolicLink()) {
      throw new JackinError('conflict', `${link} is in the way: a link to the handed-over login belongs there`);
    }
    if (found === undefined || (await fs.readlink(link)) !== target) {
      await linkAtomic(target, link, { fs }).catch((error: unknown) => {
        throw asDiskError(error, `making ${link}`);
      });
    }
  }
};

/** What a file without anything in it says. */
const EMPTY = '{}\n';

const isStandIn = async (dir: string): Promise<boolean> => {
  const contents = await Promise.all((await readdir(dir)).map((name) => readFile(path.join(dir, name), 'utf8')));
  return contents.every((text) => text === EMPTY);
};

/**
 * In the place of a link to the handoff, a directory with one empty JSON object:
 * who looks at the state of an instance finds the file in every mode. It is not
 * below the handoff, so nothing of it reaches the container.
 */
export const placeStandIn = async (instanceDir: string, name: string, file: string, fs: FsLayer = nodeFs): Promise<void> => {
  const dir = path.join(instanceDir, name);
  if ((await unlessMissing(fs.lstat(dir)))?.isSymbolicLink()) await fs.unlink(dir);
  await ensurePrivateDir(dir, { fs, inside: true });
  await writeFileAtomic(path.join(dir, file), EMPTY, { fs });
};
