import { createHash } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensurePrivateDir, unlessMissing } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import { type GitCall, GitError, operatorSsh, runGit } from './git.ts';

/** Far above what any role needs; a checkout is written to disk before it is trusted. */
const MAX_BYTES = 1024 * 1024 * 1024;
const MAX_FILES = 50_000;

/** A bare repository of ours, into which a role's source is fetched. Nothing in it is ever run. */
export interface Repository {
  readonly directory: string;
  /** Brings a ref here and tells its commit. `HEAD` is the default branch of the source. */
  fetch(url: string, ref: string): Promise<string>;
  has(commit: string): Promise<boolean>;
  isAncestor(older: string, newer: string): Promise<boolean>;
  changedFiles(older: string, newer: string): Promise<string[]>;
  /** Unified diff of some files, without colours; nothing of either side is run to make it. */
  diff(older: string, newer: string, files: readonly string[]): Promise<string>;
  readFile(commit: string, file: string): Promise<string | undefined>;
  describe(commit: string): Promise<CommitInfo>;
  /** Number of commits between the two. */
  distance(older: string, newer: string): Promise<number>;
  /** Writes the files of a commit into an empty directory. Throws `usage` for more than a role may hold; until then nothing of the commit may be compared. */
  extract(commit: string, directory: string): Promise<void>;
}

export interface CommitInfo {
  subject: string;
  author: string;
  /** ISO 8601. */
  date: string;
}

/** Where a ref of the source is kept here. By a digest: `a` and `a/b` cannot be refs at the same time, but one after the other. */
const localRef = (ref: string): string =>
  ref === 'HEAD' ? 'refs/jackin/default' : `refs/jackin/branches/${createHash('sha256').update(ref).digest('hex').slice(0, 32)}`;

const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

export const isCommit = (text: string): boolean => COMMIT.test(text);

interface TreeEntry {
  mode: string;
  size: number;
  file: string;
}

const parseTree = (listing: string): TreeEntry[] =>
  listing.split('\0').filter(Boolean).map((line) => {
    const [, mode = '', , size = '', file = ''] = /^(\d+) (\w+) \w+ +(\S+)\t([\s\S]*)$/.exec(line) ?? [];
    return { mode, size: Number(size) || 0, file };
  });

const assertBounded = (entries: TreeEntry[]): void => {
  const odd = entries.find(({ file }) => file.includes('\ufffd'));
  if (odd !== undefined) throw new JackinError('usage', `the repository has a file whose name is no UTF-8: ${odd.file}`);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (entries.length <= MAX_FILES && bytes <= MAX_BYTES) return;
  const [biggest] = [...entries].sort((a, b) => b.size - a.size);
  const megabytes = (size: number): string => `${Math.round(size / 1024 / 1024)} MiB`;
  throw new JackinError('usage', `the repository holds ${entries.length} files with ${megabytes(bytes)}: a role has at most ${MAX_FILES} files and ${megabytes(MAX_BYTES)}. The biggest is ${biggest?.file} (${megabytes(biggest?.size ?? 0)})`);
};

/** What a git that was killed leaves behind would stop every later one, or fill the disk. Only for whoever holds the lock of the role: nobody else is at work here. */
const removeLocks = async (directory: string): Promise<void> => {
  for (const place of ['', 'refs/jackin', 'refs/jackin/branches', 'objects/info']) {
    const names = (await unlessMissing(readdir(path.join(directory, place)))) ?? [];
    for (const name of names.filter((one) => one.endsWith('.lock'))) await rm(path.join(directory, place, name), { force: true });
  }
  const packs = path.join(directory, 'objects', 'pack');
  const halves = ((await unlessMissing(readdir(packs))) ?? []).filter((name) => name.startsWith('tmp_'));
  for (const name of halves) await rm(path.join(packs, name), { force: true });
};

/**
 * Fetches, and removes what came of a fetch that failed. git checks some files only
 * when it has kept their pack: the next fetch would find the objects here and check
 * nothing. Only for whoever holds the lock of the role.
 */
const withoutRefused = async <T>(directory: string, fetching: () => Promise<T>): Promise<T> => {
  const packs = path.join(directory, 'objects', 'pack');
  const list = async (): Promise<string[]> => (await unlessMissing(readdir(packs))) ?? [];
  const before = await list();
  try {
    return await fetching();
  } catch (error) {
    for (const name of (await list()).filter((one) => !before.includes(one))) await rm(path.join(packs, name), { force: true });
    throw error;
  }
};

/**
 * A `.gitattributes` of the role could have git write other bytes than those that are
 * trusted and shown: another encoding, other line ends, `$Id$`. This goes before it.
 */
const NO_ATTRIBUTES = '* -text -ident -filter !eol !working-tree-encoding\n';

const overruleAttributes = async (directory: string): Promise<void> => {
  await mkdir(path.join(directory, 'info'), { recursive: true });
  await writeFile(path.join(directory, 'info', 'attributes'), NO_ATTRIBUTES);
};

/** What git says, or undefined when it says no. */
const orUndefined = (said: Promise<string>): Promise<string | undefined> =>
  said.catch((error: unknown) => {
    if (error instanceof GitError) return undefined;
    throw error;
  });

/** Opens the repository, and makes it when it is not there. */
export const openRepository = async (directory: string, call: GitCall): Promise<Repository> => {
  const git = (args: readonly string[], more: Partial<GitCall> = {}) => runGit(directory, args, { ...call, ...more });
  if ((await unlessMissing(lstat(path.join(directory, 'HEAD')))) === undefined) {
    await ensurePrivateDir(directory);
    await git(['init', '--bare', '--quiet', '--template=']);
  }
  const assertSmall = async (commit: string): Promise<void> => assertBounded(parseTree(await git(['ls-tree', '-r', '-l', '-z', '--full-tree', commit])));
  return {
    directory,
    fetch: async (url, ref) => {
      await removeLocks(directory);
      const target = localRef(ref);
      const source = ref === 'HEAD' ? 'HEAD' : `refs/heads/${ref}`;
      const more = { network: true, ...(await operatorSsh(directory, call)) };
      await withoutRefused(directory, () => git(['fetch', '--progress', '--no-tags', '--no-recurse-submodules', '--', url, `+${source}:${target}`], more));
      return (await git(['rev-parse', '--verify', '--quiet', `${target}^{commit}`])).trim();
    },
    has: async (commit) => (await orUndefined(git(['cat-file', '-e', `${commit}^{commit}`]))) !== undefined,
    isAncestor: async (older, newer) => (await orUndefined(git(['merge-base', '--is-ancestor', older, newer]))) !== undefined,
    changedFiles: async (older, newer) => (await git(['diff', '--name-only', '--no-renames', '-z', older, newer, '--'])).split('\0').filter(Boolean),
    diff: (older, newer, files) => git(['diff', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames', older, newer, '--', ...files.map((file) => `:(literal,top)${file}`)]),
    readFile: (commit, file) => orUndefined(git(['cat-file', 'blob', `${commit}:${file}`])),
    describe: async (commit) => {
      // Unlike `show`, which compares a commit with its parent even where no patch is wanted: that one may be endless.
      const told = await git(['rev-list', '--max-count=1', '--format=%an%x00%cI%x00%s', commit]);
      const [author = '', date = '', subject = ''] = told.slice(told.indexOf('\n') + 1).trimEnd().split('\0');
      return { author, date, subject };
    },
    distance: async (older, newer) => Number((await git(['rev-list', '--count', `${older}..${newer}`])).trim()),
    extract: async (commit, target) => {
      // A few trees that hold each other many times are small to fetch, and endless to compare.
      await assertSmall(commit);
      await overruleAttributes(directory);
      const scratch = await mkdtemp(`${directory}-index-`);
      try {
        const extraEnv = { GIT_INDEX_FILE: path.join(scratch, 'index'), GIT_WORK_TREE: target };
        await git(['read-tree', commit], { extraEnv });
        await git(['checkout-index', '--all', '--quiet'], { extraEnv });
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },
  };
};
