import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { endGroupWith } from '../shared/process-group.ts';
import type { Deps } from './deps.ts';

const TIMEOUT_MS = 60_000;

/**
 * Settings of a repository that name a program, or lead to one. The container has
 * written into this repository before: what an agent left in `.git/config` would
 * run here, on the host, as the operator. So only what is known to be harmless passes.
 */
const HARMLESS = [
  /^core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|autocrlf|eol|symlinks)$/,
  /^remote\..+\.(url|fetch|pushurl|tagopt|prune)$/,
  /^branch\..+\.(remote|merge|rebase)$/,
  /^(user\.(name|email|signingkey)|pull\.(rebase|ff)|push\.default|init\.defaultbranch|commit\.gpgsign|lfs\.repositoryformatversion)$/,
  /^submodule\..+\.(url|active)$/,
];

/** Overrides that beat the repository's own settings, whatever it says. */
const SAFE_SETTINGS = ['core.hooksPath=/dev/null', 'core.fsmonitor=false', 'protocol.ext.allow=never', 'submodule.recurse=false'];

export interface PullOutcome {
  repository: string;
  /** One clause for a person. */
  said: string;
}

const runGit = async (repository: string, args: string[], { env, signal }: Deps): Promise<string> => {
  const { execa } = await import('execa');
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const child = execa('git', [...SAFE_SETTINGS.flatMap((setting) => ['-c', setting]), '-C', repository, ...args], {
    env: { ...env, GIT_TERMINAL_PROMPT: '0', GIT_SSH_COMMAND: 'ssh -oBatchMode=yes' },
    extendEnv: false,
    stdin: 'ignore',
    // git starts helpers, which would go on without it.
    detached: true,
  });
  endGroupWith(child, AbortSignal.any([signal, limit]));
  try {
    return (await child).stdout;
  } catch (error) {
    throw limit.aborted ? new Error(`git did not answer within ${TIMEOUT_MS / 1000} seconds`, { cause: error }) : error;
  }
};

const firstLine = (error: unknown): string => {
  const { stderr, shortMessage, message } = error as { stderr?: string; shortMessage?: string; message?: string };
  return (stderr || shortMessage || message || 'git failed').split('\n')[0]!.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 200);
};

const pull = async (repository: string, deps: Deps): Promise<PullOutcome | undefined> => {
  const gitDir = await lstat(path.join(repository, '.git')).catch(() => undefined);
  if (gitDir === undefined) return undefined;
  // A `.git` file or link points somewhere else, and whoever wrote it chose where.
  if (!gitDir.isDirectory()) return { repository, said: 'not pulled: its .git is not a directory' };
  try {
    const names = (await runGit(repository, ['config', '--local', '--no-includes', '--list', '--name-only'], deps)).split('\n').filter(Boolean);
    const suspicious = names.find((name) => !HARMLESS.some((pattern) => pattern.test(name)));
    if (suspicious !== undefined) return { repository, said: `not pulled: its .git/config sets ${suspicious}, which may run a program on this machine` };
    await runGit(repository, ['pull', '--ff-only', '--no-recurse-submodules', '--quiet'], deps);
    return { repository, said: 'pulled' };
  } catch (error) {
    return { repository, said: `not pulled: ${firstLine(error)}` };
  }
};

/** Pulls every git repository among the directories. Nothing that goes wrong here stops a launch. */
export const pullRepositories = async (directories: string[], deps: Deps): Promise<PullOutcome[]> => {
  const outcomes = await Promise.all(directories.map((directory) => pull(directory, deps)));
  deps.signal.throwIfAborted();
  return outcomes.filter((outcome) => outcome !== undefined);
};
