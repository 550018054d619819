import { lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../../config/paths.ts';
import type { PlannedPull } from '../../plan/pulls.ts';
import { type GitCall, GitError, operatorSsh, runGit } from '../../roles/git.ts';
import { isCommit } from '../../roles/repository.ts';
import { ensurePrivateDir, unlessMissing } from '../../shared/atomic-files.ts';
import { JackinError, messageOf } from '../../shared/errors.ts';
import { withFileLock } from '../../shared/lock.ts';
import { fetchedDir } from './agreed-remotes.ts';

/** For a fetch of what is new. The first one brings the whole branch, and may take as long as it goes on. */
const FETCH_MS = 60_000;

/** A repository of the operator's may hold old commits that git complains about today; they are not ours to judge. */
const FETCH_SETTINGS = ['-c', 'fetch.fsckObjects=false', '-c', 'protocol.http.allow=always'];
/** No paths: git would run in what an agent may have written. */
const PROTOCOLS = ['https', 'http', 'ssh'];
const FETCHED = 'refs/jackin/fetched';

/** New commits, in a bare repository that no container ever sees. */
export interface Fetched {
  commit: string;
  /** Writes what leads from any of these commits to the new one into a file, as git bundles it. */
  bundle: (haves: readonly string[], file: string) => Promise<void>;
  directory: string;
}

export interface FetchWorld {
  paths: Pick<Paths, 'jackinHome'>;
  env: GitCall['env'];
  signal: AbortSignal;
  /** Tells a person about something that takes long. */
  say: (line: string) => void;
}

/** Removes what a git that was killed leaves, which would stop every later one. The caller holds the lock. */
const removeLeftovers = async (directory: string): Promise<void> => {
  for (const place of ['', 'refs/jackin', 'objects/pack']) {
    const names = (await unlessMissing(readdir(path.join(directory, place)))) ?? [];
    for (const name of names.filter((one) => one.endsWith('.lock') || one.startsWith('tmp_'))) await rm(path.join(directory, place, name), { force: true });
  }
};

type From = NonNullable<PlannedPull['from']>;

const fetchInto = async (directory: string, { address, remote_branch: branch }: From, world: FetchWorld, repository: string): Promise<Fetched> => {
  const limit = new AbortController();
  const call: GitCall = { env: world.env, signal: AbortSignal.any([world.signal, limit.signal]) };
  const git = (args: readonly string[], more: Partial<GitCall> = {}): Promise<string> => runGit(directory, args, { ...call, ...more });
  const isFirst = (await unlessMissing(lstat(path.join(directory, FETCHED)))) === undefined;
  if ((await unlessMissing(lstat(path.join(directory, 'HEAD')))) === undefined) {
    await ensurePrivateDir(directory);
    await git(['init', '--bare', '--quiet', '--template=']);
  }
  await removeLeftovers(directory);
  if (isFirst) world.say(`git        ${repository}: fetching ${branch} for the first time, with its whole history`);
  const timer = isFirst ? undefined : setTimeout(() => limit.abort(), FETCH_MS);
  try {
    const ssh = await operatorSsh(directory, call);
    const refs = `+refs/heads/${branch}:${FETCHED}`;
    await git([...FETCH_SETTINGS, 'fetch', '--progress', '--no-tags', '--no-recurse-submodules', '--', address, refs], { network: true, protocols: PROTOCOLS, ...ssh });
  } catch (error) {
    if (limit.signal.aborted && !world.signal.aborted) throw new JackinError('failed', `git did not answer within ${FETCH_MS / 1000} seconds`, { cause: error });
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const commit = (await git(['rev-parse', '--verify', '--quiet', `${FETCHED}^{commit}`])).trim();
  const knows = (id: string): Promise<boolean> => git(['cat-file', '-e', `${id}^{commit}`]).then(() => true, () => false);
  return {
    commit,
    directory,
    bundle: async (haves, file) => {
      const known = [];
      for (const id of haves) if (isCommit(id) && (await knows(id))) known.push(`^${id}`);
      await git(['bundle', 'create', '--quiet', file, FETCHED, ...known]);
    },
  };
};

/** One clause about why nothing was fetched. */
const whyNot = (error: unknown): string => {
  if (error instanceof JackinError && error.code === 'disk.full') return 'there is no space left on the disk of the jackin home';
  return error instanceof GitError ? error.complaint : messageOf(error);
};

/**
 * Fetches the branch that a repository follows, from the address that was agreed to,
 * into a bare repository of jackin's own. Git never runs in the repository itself.
 * Result: the commits, or one clause about why there are none. Throws when interrupted.
 */
export const fetchBranch = async ({ directory: repository, from }: { directory: string; from: From }, world: FetchWorld): Promise<Fetched | { why: string }> => {
  const directory = fetchedDir(world.paths, repository);
  try {
    await ensurePrivateDir(path.dirname(directory));
    const onWait = (owner: string): void => world.say(`git        ${repository}: waiting for ${owner}, which fetches for it`);
    const wait = { doing: `fetches for ${repository}`, patience: { signal: world.signal, onWait } };
    return await withFileLock(`${directory}.lock`, wait, () => fetchInto(directory, from, world, repository));
  } catch (error) {
    world.signal.throwIfAborted();
    return { why: whyNot(error) };
  }
};
