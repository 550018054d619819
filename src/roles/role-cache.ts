import { mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../config/paths.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { asDiskError, ensurePrivateDir, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { type ErrorCode, EXIT_CODES, isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { isCommit, type Repository } from './repository.ts';

/*
 * $JACKIN_HOME_DIR/roles/<role>/
 *   repository.git/      what was fetched; bare
 *   checkouts/<commit>/  files of a commit, never changed once they are there
 *   cache.json           which commit is which
 *   jackin.lock          when the role is pinned
 */

const commit = z.string().refine(isCommit);
const fetched = z.object({ commit, at: z.iso.datetime() });

const fault = z.object({
  /** One line for a person. */
  why: z.string(),
  code: z.enum(Object.keys(EXIT_CODES) as [ErrorCode]),
  /** Version of jackin that has found it: another one may have other rules. */
  by: z.string(),
});

const CacheSchema = z.object({
  version: z.literal(1),
  url: z.string(),
  /** Newest commit of the source's default branch that was fetched. */
  head: fetched.nullable(),
  branches: z.record(z.string(), fetched),
  /** Digest of the files of each checkout: whoever changes one is noticed. */
  contents: z.record(commit, z.string()),
  /** Commits that were fetched and cannot be used. */
  faults: z.record(commit, fault).default({}),
});

export type RoleCache = z.infer<typeof CacheSchema>;

/** Why a commit of a role cannot be used, and the code of the error that says so. */
export type CommitFault = Omit<z.infer<typeof fault>, 'by'>;

/** The fault of a commit, when this version of jackin has found it. */
export const faultIn = ({ faults }: RoleCache, at: string, version: string): CommitFault | undefined => {
  const found = faults[at];
  return found?.by === version ? { why: found.why, code: found.code } : undefined;
};

/** Where one role's cache is. No two keys share a folder: a key holds no dot. */
export const roleDir = (paths: Paths, key: string): string => path.join(paths.rolesDir, key.replace('/', '.'));

/** The role whose cache is in a folder. */
export const keyOf = (dir: string): string => path.basename(dir).replace('.', '/');

export const repositoryDir = (dir: string): string => path.join(dir, 'repository.git');

const cacheFile = (dir: string): string => path.join(dir, 'cache.json');

const checkoutDir = (dir: string, at: string): string => path.join(dir, 'checkouts', at);

/** What is cached of a role; undefined when nothing is, or when it cannot be read: then it is fetched again. */
export const readCache = async (dir: string): Promise<RoleCache | undefined> => {
  let text: string;
  try {
    text = await readFile(cacheFile(dir), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new JackinError('failed', `cannot read ${cacheFile(dir)}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return CacheSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
};

export const emptyCache = (url: string): RoleCache => ({ version: 1, url, head: null, branches: {}, contents: {}, faults: {} });

export const writeCache = async (dir: string, cache: RoleCache): Promise<void> => {
  await ensurePrivateDir(dir);
  await writeFileAtomic(cacheFile(dir), `${JSON.stringify(cache, null, 2)}\n`);
};

/** What a jackin that was killed has left half done. Under the lock of the role: nobody else is at work here. */
const removeLeftovers = async (dir: string): Promise<void> => {
  const checkouts = path.join(dir, 'checkouts');
  const clones = (await readdir(dir)).filter((name) => name.startsWith('repository.git-')).map((name) => path.join(dir, name));
  const drafts = ((await unlessMissing(readdir(checkouts))) ?? []).filter((name) => name.endsWith('.draft')).map((name) => path.join(checkouts, name));
  for (const place of [...clones, ...drafts]) await rm(place, { recursive: true, force: true });
};

const isGone = (error: unknown): boolean => error instanceof JackinError && isErrno(error.cause, 'ENOENT');

/** One at a time for each role: whoever comes second waits until the first has cloned. A folder in which nothing came about is gone afterwards. */
export const withRoleLock = async <T>(dir: string, signal: AbortSignal, onWait: (owner: string) => void, work: () => Promise<T>): Promise<T> => {
  let isHeld = false;
  const clean = async (): Promise<T> => {
    isHeld = true;
    await removeLeftovers(dir);
    return work();
  };
  for (;;) {
    await ensurePrivateDir(dir).catch((error: unknown) => {
      throw asDiskError(error, `making ${dir}`);
    });
    try {
      return await withFileLock(path.join(dir, 'lock'), { doing: 'fetches the role', patience: { signal, onWait } }, clean);
    } catch (error) {
      // Whoever had the lock before has failed, and has taken the empty folder away.
      if (!isHeld && isGone(error)) continue;
      await rmdir(dir).catch(() => undefined);
      throw error;
    }
  }
};

/** Deletes everything that was fetched, for a source that is another one now. What was pinned stays. */
export const dropCache = async (dir: string): Promise<void> => {
  await rm(cacheFile(dir), { force: true });
  await rm(path.join(dir, 'checkouts'), { recursive: true, force: true });
  await rm(repositoryDir(dir), { recursive: true, force: true });
};

const repositoryChanged = (dir: string, at: string): JackinError =>
  new JackinError('conflict', `${repositoryDir(dir)} was changed: it holds other files for ${at.slice(0, 12)} than were fetched`, {
    hint: `\`jackin role update ${keyOf(dir)} --replace\` fetches it anew`,
  });

/** Reads the role in a folder. */
export type ReadFolder = (folder: string) => Promise<RoleFacts>;

/** True for errors of reading that a change of the files can cause. An interrupt and a lack of memory or descriptors are none. */
const isDamage = (error: unknown): boolean =>
  error instanceof JackinError ? error.code !== 'interrupted' : isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EACCES', 'EPERM');

/** The role of a commit that was checked out, its content proven unchanged; undefined when there is no such checkout, or when its files were changed. */
export const openCheckout = async (dir: string, cache: RoleCache, at: string, read: ReadFolder): Promise<RoleFacts | undefined> => {
  const content = cache.contents[at];
  if (content === undefined) return undefined;
  try {
    const role = await read(checkoutDir(dir, at));
    return role.contentHash === content ? role : undefined;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
};

/**
 * Checks a commit out, beside those that are there or in the place of a checkout that
 * was changed. The files must be those of the first time. Of a commit that cannot be
 * read no file stays. Under the lock of the role.
 */
export const makeCheckout = async (dir: string, repository: Repository, cache: RoleCache, at: string, read: ReadFolder): Promise<RoleFacts> => {
  const folder = checkoutDir(dir, at);
  const draft = `${folder}.draft`;
  try {
    await ensurePrivateDir(path.dirname(folder));
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft);
    await repository.extract(at, draft);
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
    const role = await read(folder);
    if ((cache.contents[at] ?? role.contentHash) !== role.contentHash) throw repositoryChanged(dir, at);
    // Without this entry a folder counts as not there.
    cache.contents[at] = role.contentHash;
    await writeCache(dir, cache);
    return role;
  } catch (error) {
    for (const place of [draft, folder]) await rm(place, { recursive: true, force: true }).catch(() => undefined);
    throw asDiskError(error, `checking out into ${folder}`);
  }
};

/** Writes down why a commit cannot be used, or that it can. Under the lock of the role. */
export const writeFault = async (dir: string, cache: RoleCache, at: string, found: (CommitFault & { by: string }) | undefined): Promise<void> => {
  if (found === undefined) delete cache.faults[at];
  else cache.faults[at] = found;
  await writeCache(dir, cache);
};

/** Removes the checkouts that nobody asks for any more. Under the lock of the role. */
export const dropOldCheckouts = async (dir: string, cache: RoleCache, keep: readonly string[]): Promise<void> => {
  const wanted = new Set([...keep, ...(cache.head === null ? [] : [cache.head.commit]), ...Object.values(cache.branches).map((branch) => branch.commit)]);
  const places = (await unlessMissing(readdir(path.join(dir, 'checkouts')))) ?? [];
  for (const old of places.filter((one) => !wanted.has(one))) await rm(checkoutDir(dir, old), { recursive: true, force: true });
  for (const known of [cache.contents, cache.faults]) for (const old of Object.keys(known).filter((one) => !wanted.has(one))) delete known[old];
  await writeCache(dir, cache);
};
