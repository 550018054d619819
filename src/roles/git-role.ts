import type { Paths } from '../config/paths.ts';
import type { RoleFreshness } from '../plan/request.ts';
import { asDiskError } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import type { Report } from '../shared/progress.ts';
import { type Env, GitError } from './git.ts';
import { openRepository, type Repository } from './repository.ts';
import { dropCache, dropOldCheckouts, emptyCache, makeCheckout, openCheckout, readCache, repositoryDir, roleDir, type RoleCache, withRoleLock, writeCache } from './role-cache.ts';
import { isSameSource, type RoleSource } from './source.ts';

/** What bringing a role here needs of the world. */
export interface RoleWorld {
  paths: Paths;
  env: Env;
  signal: AbortSignal;
  now: () => Date;
  report: Report;
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
  unreachable?: string;
  repository: () => Promise<Repository>;
  /** The files of a commit; `conflict` when somebody has changed them. */
  checkout: (commit: string) => Promise<{ path: string; content: string }>;
  /** Forgets checkouts that are neither the newest nor among these. */
  tidy: (keep: readonly string[]) => Promise<void>;
}

const entryOf = (cache: RoleCache | undefined, branch: string | undefined) => (branch === undefined ? cache?.head : cache?.branches[branch]) ?? undefined;

const sourceMoved = (key: string, cached: string, { url }: RoleSource): JackinError =>
  new JackinError('conflict', `role ${key} now comes from ${url}, and what is cached is from ${cached}`, {
    hint: `if that is right, \`jackin role update ${key} --replace\` fetches it from there and asks for your trust`,
  });

const rewritten = (key: string, from: string, to: string): JackinError =>
  new JackinError('conflict', `the history of role ${key} was rewritten: ${from.slice(0, 12)}, which is cached, is no part of ${to.slice(0, 12)}, which its source has now`, {
    hint: `what is cached goes on being used. If the new history is right, \`jackin role update ${key} --replace\` takes it and asks for your trust`,
  });

const notFetched = ({ key, source: { url, configured }, branch }: GitRoleRequest, error: GitError): JackinError => {
  const what = branch === undefined ? `role ${key}` : `branch ${branch} of role ${key}`;
  if (configured) return new JackinError('download.failed', `${what} cannot be fetched from ${url}: ${error.complaint}`, { hint: 'check the address in [roles] of config.toml, the network and your access', cause: error });
  return new JackinError('not-found', `there is no role "${key}" here, and by convention ${what} would be ${url}, which cannot be fetched: ${error.complaint}`, {
    hint: `set its address as git in [roles."${key}"] of config.toml, or name a folder, as in \`jackin load ./my-role\``,
    cause: error,
  });
};

/** git counts objects while it fetches: `Receiving objects:  16% (1/6)`. */
const reportCount = (step: string, line: string, report: Report): void => {
  const [, what, done, total] = /^(Receiving objects|Resolving deltas):.*\((\d+)\/(\d+)\)/.exec(line) ?? [];
  if (what !== undefined) report({ step, message: what.toLowerCase(), done: Number(done), total: Number(total) });
};

const fetchInto = async (dir: string, request: GitRoleRequest, world: RoleWorld): Promise<RoleCache> => {
  const { key, source, branch, freshness } = request;
  if (freshness === 'replace') await dropCache(dir);
  const cache = (await readCache(dir)) ?? emptyCache(source.url);
  if (!isSameSource(cache.url, source.url)) throw sourceMoved(key, cache.url, source);
  const before = entryOf(cache, branch);
  // Whoever waited for another one to clone has nothing more to do.
  if (before !== undefined && freshness === 'cached') return cache;
  const step = `role ${key}`;
  world.report({ step, message: `fetching ${source.url}${branch === undefined ? '' : ` (${branch})`}` });
  const repository = await openRepository(repositoryDir(dir), { env: world.env, signal: world.signal, onProgress: (line) => reportCount(step, line, world.report) });
  const commit = await repository.fetch(source.url, branch ?? 'HEAD');
  // A branch is asked about every time, and being rewritten is its nature.
  if (branch === undefined && before !== undefined && !(await repository.isAncestor(before.commit, commit))) throw rewritten(key, before.commit, commit);
  const entry = { commit, at: world.now().toISOString() };
  if (branch === undefined) cache.head = entry;
  else cache.branches[branch] = entry;
  await writeCache(dir, cache);
  return cache;
};

/** Opens a role that comes by git: from the cache where that is enough. Throws `conflict` for a source that moved or was rewritten. */
export const openGitRole = async (request: GitRoleRequest, world: RoleWorld): Promise<OpenedRole> => {
  const { key, source, branch, freshness } = request;
  const dir = roleDir(world.paths, key);
  const call = { env: world.env, signal: world.signal };
  const underLock = <T>(work: () => Promise<T>): Promise<T> =>
    withRoleLock(dir, world.signal, (owner) => world.report({ step: `role ${key}`, message: `another jackin (${owner}) fetches it: waiting` }), work);
  let cache = await readCache(dir);
  let unreachable: string | undefined;
  if (cache !== undefined && freshness !== 'replace' && !isSameSource(cache.url, source.url)) throw sourceMoved(key, cache.url, source);
  const cached = entryOf(cache, branch);
  if (cached === undefined || freshness !== 'cached') {
    try {
      cache = await underLock(() => fetchInto(dir, request, world));
    } catch (error) {
      if (!(error instanceof GitError)) throw asDiskError(error, `fetching role ${key}`);
      if (cached === undefined || freshness !== 'try') throw notFetched(request, error);
      unreachable = error.complaint;
    }
  }
  const current = cache!;
  const head = entryOf(current, branch)!;
  const repository = () => openRepository(repositoryDir(dir), call);
  return {
    url: current.url,
    head: head.commit,
    fetchedAt: new Date(head.at),
    ...(unreachable !== undefined && { unreachable }),
    repository,
    checkout: async (commit) => {
      const there = await openCheckout(dir, key, current, commit);
      if (there !== undefined) return there;
      return underLock(async () => {
        const now = (await readCache(dir)) ?? current;
        return (await openCheckout(dir, key, now, commit)) ?? makeCheckout(dir, await repository(), now, commit);
      });
    },
    tidy: (keep) => underLock(async () => dropOldCheckouts(dir, (await readCache(dir)) ?? current, keep)),
  };
};
