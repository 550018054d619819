import { mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../config/paths.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { asDiskError, ensurePrivateDir, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
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

const CacheSchema = z.object({
  version: z.literal(1),
  url: z.string(),
  /** Newest commit of the source's default branch that was fetched. */
  head: fetched.nullable(),
  branches: z.record(z.string(), fetched),
  /** Digest of the files of each checkout: whoever changes one is noticed. */
  contents: z.record(commit, z.string()),
});

export type RoleCache = z.infer<typeof CacheSchema>;

/** Where one role's cache is. No two keys share a folder: a key holds no dot. */
export const roleDir = (paths: Paths, key: string): string => path.join(paths.rolesDir, key.replace('/', '.'));

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

export const emptyCache = (url: string): RoleCache => ({ version: 1, url, head: null, branches: {}, contents: {} });

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

const changedByHand = (dir: string, key: string): JackinError =>
  new JackinError('conflict', `the cached files of role ${key} were changed: ${dir} is not what was fetched`, {
    hint: `what is cached must be what was trusted. Work on a copy of your own, as in \`jackin load ./my-role\`; \`jackin role update ${key} --replace\` fetches it anew`,
  });

/** Reads the role in a folder. */
export type ReadFolder = (folder: string) => Promise<RoleFacts>;

/** The role of a commit that was checked out, its content proven unchanged; undefined when there is no such checkout. */
export const openCheckout = async (dir: string, key: string, cache: RoleCache, at: string, read: ReadFolder): Promise<RoleFacts | undefined> => {
  const content = cache.contents[at];
  const folder = checkoutDir(dir, at);
  if (content === undefined || (await unlessMissing(readdir(folder))) === undefined) return undefined;
  const role = await read(folder).catch((error: unknown) => {
    // It could be read when it was checked out.
    throw error instanceof JackinError && error.code !== 'interrupted' ? changedByHand(folder, key) : error;
  });
  if (role.contentHash !== content) throw changedByHand(folder, key);
  return role;
};

/** Checks a commit out, beside those that are there. Under the lock of the role. */
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
    // Without this entry a folder counts as not there.
    cache.contents[at] = role.contentHash;
    await writeCache(dir, cache);
    return role;
  } catch (error) {
    await rm(draft, { recursive: true, force: true }).catch(() => undefined);
    throw asDiskError(error, `checking out into ${folder}`);
  }
};

/** Removes the checkouts that nobody asks for any more. Under the lock of the role. */
export const dropOldCheckouts = async (dir: string, cache: RoleCache, keep: readonly string[]): Promise<void> => {
  const wanted = new Set([...keep, ...(cache.head === null ? [] : [cache.head.commit]), ...Object.values(cache.branches).map((branch) => branch.commit)]);
  for (const old of Object.keys(cache.contents).filter((one) => !wanted.has(one))) {
    await rm(checkoutDir(dir, old), { recursive: true, force: true });
    delete cache.contents[old];
  }
  await writeCache(dir, cache);
};
