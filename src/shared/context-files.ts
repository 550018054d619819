import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { isErrno, JackinError } from './errors.ts';
import { type Ignored, parseIgnored } from './ignore-patterns.ts';

const MEBIBYTE = 1024 * 1024;
const MAX_BYTES = 256 * MEBIBYTE;
const MAX_FILES = 20_000;
const MAX_IGNORE_BYTES = MEBIBYTE;
const NAMED = 3;

/** Stands beside the files of a pinned role, and says what they are: it is none of them. */
export const LOCK_FILE = 'jackin.lock';

const NOTHING_IGNORED: Ignored = { ignores: () => false, hasExceptions: false };

const mebibytes = (bytes: number): string => `${(bytes / MEBIBYTE).toFixed(1)} MiB`;

const hint = 'leave out what the Dockerfile does not copy: name it in a .dockerignore';

/** Undefined when there is no such file. Follows no link. */
const readIgnoreFile = async (root: string, name: string): Promise<string | undefined> => {
  const file = path.join(root, name);
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new JackinError('build.failed', `${file} is not a plain file`);
      if (stats.size > MAX_IGNORE_BYTES) throw new JackinError('build.failed', `${file} is larger than ${mebibytes(MAX_IGNORE_BYTES)}`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (isErrno(error, 'ELOOP')) throw new JackinError('build.failed', `${file} is a link: a build context holds plain files only`);
    throw error;
  }
};

/** The file that stands beside a Dockerfile under its name comes before the common one. */
const readIgnored = async (root: string, dockerfile: string): Promise<Ignored> => {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await readIgnoreFile(root, name);
    if (text !== undefined) return parseIgnored(text, name);
  }
  return NOTHING_IGNORED;
};

export interface ContextFile {
  /** Relative to the root, with forward slashes. */
  path: string;
  /** Bytes. */
  size: number;
  executable: boolean;
}

const assertPlain = (kind: 'file' | 'link' | 'other', name: string, root: string): void => {
  if (kind === 'file') return;
  const what = kind === 'link' ? 'a link' : 'neither a file nor a directory';
  throw new JackinError('build.failed', `${name} in ${root} is ${what}: a build context holds plain files only`, {
    hint: 'put a copy of the file in its place, or name it in a .dockerignore',
  });
};

const assertSmall = (files: readonly ContextFile[], root: string): void => {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total <= MAX_BYTES) return;
  const biggest = [...files].sort((a, b) => b.size - a.size).slice(0, NAMED);
  const names = biggest.map((file) => `${file.path} (${mebibytes(file.size)})`).join(', ');
  const message = `the build context ${root} has ${mebibytes(total)}, more than ${mebibytes(MAX_BYTES)}. The biggest files: ${names}.`;
  throw new JackinError('build.failed', message, { hint });
};

/** Where most of too many files are, as far as they were counted. */
const tooMany = (files: readonly ContextFile[], root: string): JackinError => {
  const counts = new Map<string, number>();
  for (const { path: name } of files) {
    const top = name.includes('/') ? `${name.split('/')[0]}/` : name;
    counts.set(top, (counts.get(top) ?? 0) + 1);
  }
  const [most = '', count = 0] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  const message = `the build context ${root} has more than ${MAX_FILES} files, most of them (${count} so far) in ${most}`;
  return new JackinError('build.failed', message, { hint });
};

/**
 * The files of a role that its image is made of, sorted by path: what is sent to the
 * engine, and so what the image's key has to cover. A `.dockerignore` is honoured as
 * docker does it, but `always` (the Dockerfile, hooks) comes in any case and `.git`
 * never. Reads no content. Throws `build.failed` for links and special files by name,
 * and for what is larger than 256 MiB or 20,000 files.
 */
export const contextFiles = async (root: string, dockerfile: string, always: readonly string[] = []): Promise<ContextFile[]> => {
  const ignored = await readIgnored(root, dockerfile);
  const needed = new Set([dockerfile, ...always].map((name) => path.posix.normalize(name)));
  const isAboveNeeded = (directory: string): boolean => [...needed].some((name) => name.startsWith(`${directory}/`));
  const found: ContextFile[] = [];
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(path.join(root, below), { withFileTypes: true })) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.name === '.git' || name === LOCK_FILE) continue;
      const isIgnored = ignored.ignores(name);
      if (entry.isDirectory()) {
        if (!isIgnored || ignored.hasExceptions || isAboveNeeded(name)) await walk(name);
        continue;
      }
      if (isIgnored && !needed.has(name)) continue;
      const stats = await lstat(path.join(root, name));
      assertPlain(stats.isFile() ? 'file' : stats.isSymbolicLink() ? 'link' : 'other', name, root);
      found.push({ path: name, size: stats.size, executable: (stats.mode & 0o111) !== 0 });
      if (found.length > MAX_FILES) throw tooMany(found, root);
    }
  };
  await walk('');
  assertSmall(found, root);
  // By code unit, not by locale: the order is part of content keys.
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
};
