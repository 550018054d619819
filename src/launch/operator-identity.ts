import { execFile } from 'node:child_process';
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

/**
 * Who the operator is for git in a directory, so that an `includeIf` for it counts.
 * Asking for settings runs nothing that a repository could name. Whatever goes
 * wrong, nobody is known: that stops no launch.
 */
export const readIdentity = (directory: string, { env }: Pick<Deps, 'env'>): Promise<Identity> =>
  new Promise((resolve) => {
    const args = ['-C', directory, 'config', '--includes', '--null', '--get-regexp', String.raw`^user\.(name|email)$`];
    // Started from a hook or by `git rebase --exec`: these name another repository than the directory's.
    const options = { env: { ...env, GIT_DIR: undefined, GIT_WORK_TREE: undefined, GIT_COMMON_DIR: undefined, GIT_TERMINAL_PROMPT: '0' } as NodeJS.ProcessEnv, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' as const };
    // It ends with 1 when there is nothing to tell.
    execFile('git', args, options, (error, stdout) => resolve(error === null ? parse(stdout) : {}));
  });
