import { lstat, rename, rm } from 'node:fs/promises';
import type { Paths } from '../config/paths.ts';
import type { RoleFacts } from '../plan/facts.ts';
import type { RoleFreshness } from '../plan/request.ts';
import { asDiskError, unlessMissing } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import type { Report } from '../shared/progress.ts';
import { type Env, GitError } from './git.ts';
import { openRepository, type Repository } from './repository.ts';
import {
  type CommitFault, dropCache, dropOldCheckouts, emptyCache, faultIn, makeCheckout, openCheckout, type ReadFolder, readCache, repositoryDir, roleDir, type RoleCache, withRoleLock, writeCache,
  writeFault,
} from './role-cache.ts';
import { isSameSource, type RoleSource } from './source.ts';

/** What bringing a role here needs of the world. */
export interface RoleWorld {
  paths: Paths;
  env: Env;
  signal: AbortSignal;
  now: () => Date;
  report: Report;
  /** Of jackin. */
  version: string;
}

export interface GitRoleRequest {
  key: string;
  source: RoleSource;
  branch: string | undefined;
  freshness: RoleFreshness;
}

/** A role's repository as it is cached. */
export interface OpenedRole {
  url: string;
  /** Newest commit that was fetched, of the branch that was asked for. */
  head: string;
  fetchedAt: Date;
  /** Why nothing newer was fetched although it was asked for. */
  stale?: string;
  repository: () => Promise<Repository>;
  /** The role of a commit, as `read` finds it in the folder with its files. Files that were changed are written anew. */
  checkout: (commit: string, read: ReadFolder) => Promise<RoleFacts>;
  /** Whether a commit can be checked out. */
  holds: (commit: string) => Promise<boolean>;
  /** Why a commit cannot be used, where this was found out before and nothing was looked for since. */
  knownFault: (commit: string) => CommitFault | undefined;
  /** Remembers why a commit cannot be used; undefined when it can. */
  rememberFault: (commit: string, fault: CommitFault | undefined) => Promise<void>;
  /** Forgets checkouts that are neither the newest nor among these. */
  tidy: (keep: readonly string[]) => Promise<void>;
}

const entryOf = (cache: RoleCache | undefined, branch: string | undefined) => {
  if (cache === undefined || branch === undefined) return cache?.head ?? undefined;
  // A branch may be called as something that every object has.
  return Object.hasOwn(cache.branches, branch) ? cache.branches[branch] : undefined;
};

const sourceMoved = (key: string, cached: string, { url }: RoleSource): JackinError =>
  new JackinError('conflict', `role ${key} now comes from ${url}, and what is cached is from ${cached}`, {
    hint: `if that is right, \`jackin role update ${key} --replace\` fetches it from there and asks for your trust`,
  });

const rewritten = (key: string, from: string, to: string): JackinError =>
  new JackinError('conflict', `the history of role ${key} was rewritten: ${from.slice(0, 12)}, which is cached, is no part of ${to.slice(0, 12)}, which its source has now`, {
    hint: `what is cached goes on being used. If the new history is right, \`jackin role update ${key} --replace\` takes it and asks for your trust`,
  });

const notFetched = ({ key, source: { url, configured }, branch }: GitRoleRequest, isCached: boolean, error: GitError): JackinError => {
  const what = branch === undefined ? `role ${key}` : `branch ${branch} of role ${key}`;
  if (isCached) {
    return new JackinError('download.failed', `${what} cannot be fetched from ${url}: ${error.complaint}`, {
      hint: 'what is cached stays in use; check the network, your access, and whether the repository is in order',
      cause: error,
    });
  }
  if (configured) return new JackinError('download.failed', `${what} cannot be fetched from ${url}: ${error.complaint}`, { hint: 'check the address in [roles] of config.toml, the network and your access', cause: error });
  return new JackinError('not-found', `there is no role "${key}" here, and by convention ${what} would be ${url}, which cannot be fetched: ${error.complaint}`, {
    hint: `set its address as git in [roles."${key}"] of config.toml, or name a folder, as in \`jackin load ./my-role\``,
    cause: error,
  });
};

/** A repository that is not small takes a while: that is told in quarters. */
const MANY_OBJECTS = 1000;

/** git counts objects while it fetches: `Receiving objects:  16% (1/6)`. */
const reportCount = (step: string, line: string, report: Report): void => {
  const [, done, total] = /^Receiving objects:.*\((\d+)\/(\d+)\)/.exec(line) ?? [];
  if (Number(total) >= MANY_OBJECTS) report({ step, message: `receiving objects: ${Math.floor((4 * Number(done)) / Number(total)) * 25}% of ${total}` });
};

const fetchInto = async (dir: string, request: GitRoleRequest, world: RoleWorld): Promise<RoleCache> => {
  const { key, source, branch, freshness } = request;
  const isAnew = freshness === 'replace';
  const cache = (isAnew ? undefined : await readCache(dir)) ?? emptyCache(source.url);
  if (!isSameSource(cache.url, source.url)) throw sourceMoved(key, cache.url, source);
  const before = entryOf(cache, branch);
  // Whoever waited for another one to clone has nothing more to do.
  if (before !== undefined && freshness === 'cached') return cache;
  const step = `role ${key}`;
  world.report({ step, message: `fetching ${source.url}${branch === undefined ? '' : ` (${branch})`}` });
  // What is cached stays until what replaces it is here.
  const place = isAnew ? `${repositoryDir(dir)}-new` : repositoryDir(dir);
  const isNew = (await unlessMissing(lstat(place))) === undefined;
  const repository = await openRepository(place, { env: world.env, signal: world.signal, onProgress: (line) => reportCount(step, line, world.report) });
  const commit = await repository.fetch(source.url, branch ?? 'HEAD').catch(async (error: unknown) => {
    // Half a clone would only be in the way; half an update is what git throws away itself.
    if (isNew) await rm(place, { recursive: true, force: true });
    throw error;
  });
  // A branch is asked about every time, and being rewritten is its nature.
  if (branch === undefined && before !== undefined && !(await repository.isAncestor(before.commit, commit))) throw rewritten(key, before.commit, commit);
  const entry = { commit, at: world.now().toISOString() };
  if (branch === undefined) cache.head = entry;
  else cache.branches = { ...cache.branches, [branch]: entry };
  if (isAnew) {
    await dropCache(dir);
    await rename(place, repositoryDir(dir));
  }
  await writeCache(dir, cache);
  return cache;
};

/** Errors that say nothing of the source. */
const isOurOwn = (error: JackinError): boolean => error.code === 'interrupted' || error.code === 'disk.full';

/** Fetches. Where that fails although something is cached, and only newer was wanted, tells why nothing came. */
const fetchOrKeep = async (request: GitRoleRequest, isCached: boolean, fetching: () => Promise<RoleCache>): Promise<{ cache: RoleCache } | { stale: string }> => {
  try {
    return { cache: await fetching() };
  } catch (error) {
    const known = asDiskError(error, `fetching role ${request.key}`);
    const mayKeep = isCached && request.freshness === 'try';
    if (known instanceof GitError) {
      if (mayKeep) return { stale: known.complaint };
      throw notFetched(request, isCached, known);
    }
    if (mayKeep && known instanceof JackinError && !isOurOwn(known)) return { stale: known.hint === undefined ? known.message : `${known.message}. ${known.hint}` };
    throw known;
  }
};

/** Opens a role that comes by git: from the cache where that is enough. Throws `conflict` for a source that moved or was rewritten. */
export const openGitRole = async (request: GitRoleRequest, world: RoleWorld): Promise<OpenedRole> => {
  const { key, source, branch, freshness } = request;
  const dir = roleDir(world.paths, key);
  const underLock = <T>(work: () => Promise<T>): Promise<T> =>
    withRoleLock(dir, world.signal, (owner) => world.report({ step: `role ${key}`, message: `another jackin (${owner}) fetches it: waiting` }), work);
  const cache = await readCache(dir);
  if (cache !== undefined && freshness !== 'replace' && !isSameSource(cache.url, source.url)) throw sourceMoved(key, cache.url, source);
  const cached = entryOf(cache, branch);
  if (cached !== undefined && freshness === 'cached') return opened({ dir, key, world, underLock, current: cache!, head: cached, isNew: false });
  const fetched = await fetchOrKeep(request, cached !== undefined, () => underLock(() => fetchInto(dir, request, world)));
  const current = 'cache' in fetched ? fetched.cache : cache!;
  const role = opened({ dir, key, world, underLock, current, head: entryOf(current, branch)!, isNew: true });
  return 'stale' in fetched ? { ...role, stale: fetched.stale } : role;
};

interface Opening {
  dir: string;
  key: string;
  world: RoleWorld;
  underLock: <T>(work: () => Promise<T>) => Promise<T>;
  current: RoleCache;
  head: { commit: string; at: string };
  /** Something newer was looked for. */
  isNew: boolean;
}

const opened = ({ dir, key, world, underLock, current, head, isNew }: Opening): OpenedRole => {
  const repository = () => openRepository(repositoryDir(dir), { env: world.env, signal: world.signal });
  /** Another jackin may have written it meanwhile. Under the lock. */
  const cacheNow = async (): Promise<RoleCache> => (await readCache(dir)) ?? current;
  const checkout = async (commit: string, read: ReadFolder): Promise<RoleFacts> => {
    const cache = await cacheNow();
    const there = await openCheckout(dir, cache, commit, read);
    if (there !== undefined) return there;
    const wasThere = cache.contents[commit] !== undefined;
    const role = await makeCheckout(dir, await repository(), cache, commit, read);
    return wasThere ? { ...role, notes: [...role.notes, `the cached files of role ${key} at ${commit.slice(0, 12)} were changed: they were written anew`] } : role;
  };
  return {
    url: current.url,
    head: head.commit,
    fetchedAt: new Date(head.at),
    repository,
    checkout: async (commit, read) => (await openCheckout(dir, current, commit, read)) ?? underLock(() => checkout(commit, read)),
    holds: async (commit) => current.contents[commit] !== undefined || (await repository()).has(commit),
    knownFault: (commit) => (isNew ? undefined : faultIn(current, commit, world.version)),
    rememberFault: async (commit, fault) => {
      if (fault === undefined && current.faults[commit] === undefined) return;
      await underLock(async () => writeFault(dir, await cacheNow(), commit, fault && { ...fault, by: world.version }));
    },
    tidy: (keep) => underLock(async () => dropOldCheckouts(dir, await cacheNow(), keep)),
  };
};
