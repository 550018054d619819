import { execFile } from 'node:child_process';
import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Deps } from './deps.ts';

/** Git answers in milliseconds, or something is wrong with it. */
const TIMEOUT_MS = 2000;

export interface Identity {
  name?: string;
  email?: string;
}

/** Each entry is a key, a line break and its value; the last one of a key counts, as for git itself. */
const parse = (listed: string): Identity => {
  const found: Identity = {};
  for (const entry of listed.split('\0')) {
    const end = entry.indexOf('\n');
    const value = entry.slice(end + 1).trim();
    if (end === -1 || value === '') continue;
    if (entry.startsWith('user.name\n')) found.name = value;
    if (entry.startsWith('user.email\n')) found.email = value;
  }
  return found;
};

/** The `.git` directory that git would use from a directory; undefined where there is none, or where it is a link or a file. */
const gitDirOf = async (directory: string): Promise<string | undefined> => {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const found = await lstat(path.join(at, '.git')).catch(() => undefined);
    if (found !== undefined) return found.isDirectory() ? path.join(at, '.git') : undefined;
    if (at === path.dirname(at)) return undefined;
  }
};

/** Runs `work` with an empty repository, in whose settings there is nothing. */
const withEmptyRepository = async <T>(work: (repository: string) => Promise<T>): Promise<T> => {
  const repository = await mkdtemp(path.join(tmpdir(), 'jackin-git-'));
  try {
    await Promise.all(['objects', 'refs'].map((name) => mkdir(path.join(repository, name))));
    return await work(repository);
  } finally {
    await rm(repository, { recursive: true, force: true });
  }
};

const ask = (env: NodeJS.ProcessEnv): Promise<Identity> =>
  new Promise((resolve) => {
    const args = ['config', '--includes', '--null', '--get-regexp', String.raw`^user\.(name|email)$`];
    const options = { cwd: '/', env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' as const };
    // It ends with 1 when there is nothing to tell.
    execFile('git', args, options, (error, stdout) => resolve(error === null ? parse(stdout) : {}));
  });

/**
 * Returns who the operator is for git in a directory, so that an `includeIf "gitdir:…"`
 * for it counts. An agent may have written the directory's own settings, so git reads
 * none of them: it is told where the repository is, and that its settings are elsewhere,
 * in an empty one. In the container git reads them, with the agent's rights. Where git
 * fails, the identity is empty: that stops no launch.
 */
export const readIdentity = async (directory: string, { env }: Pick<Deps, 'env'>): Promise<Identity> => {
  // Started from a hook or by `git rebase --exec`: these name another repository than the directory's.
  const own = { ...env, GIT_WORK_TREE: undefined, GIT_INDEX_FILE: undefined, GIT_OBJECT_DIRECTORY: undefined, GIT_TERMINAL_PROMPT: '0' };
  const gitDir = await gitDirOf(directory);
  if (gitDir === undefined) return await ask({ ...own, GIT_DIR: '/dev/null', GIT_COMMON_DIR: undefined });
  return await withEmptyRepository((empty) => ask({ ...own, GIT_DIR: gitDir, GIT_COMMON_DIR: empty }));
};
