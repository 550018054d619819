import { spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PullOffer, PullReport } from './protocol.ts';

/** The world of one pull. */
export interface PullStreams {
  stdin: Readable;
  stdout: Writable;
  env: NodeJS.ProcessEnv;
}

/**
 * Hooks, background work and stashes stay off: a pull changes the branch and the files
 * of its commits, nothing else. Mounts may belong to another user than this one.
 */
const SETTINGS = [
  'core.hooksPath=/dev/null', 'core.fsmonitor=false', 'submodule.recurse=false', 'fetch.recurseSubmodules=false', 'fetch.fsckObjects=false',
  'merge.autoStash=false', 'gc.auto=0', 'maintenance.auto=false', 'protocol.file.allow=always', 'safe.directory=*',
]; // prettier-ignore

/** The host decides where commits come from. Git's own variables are left out: the image or the role may have set them. */
const environment = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith('GIT_'));
  return { ...Object.fromEntries(kept), LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', GIT_NO_LAZY_FETCH: '1' };
};

const MAX_OUTPUT = 16 * 1024 * 1024;

/** A git that said no; the message is one clause of it. */
class Refused extends Error {}

const complaintOf = (stderr: string): string => {
  const lines = stderr.split('\n').map((line) => line.trim()).filter(Boolean);
  return (lines.find((line) => /^(fatal|error):/.test(line)) ?? lines[0] ?? 'git failed').replace(/^(fatal|error):\s*/, '').slice(0, 300);
};

type Git = (...args: string[]) => string;

const gitIn = (directory: string, given: NodeJS.ProcessEnv): Git => {
  const env = environment(given);
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  return (...args) => {
    const whole = [...settings, '-C', directory, ...args];
    const { error, status, stdout, stderr } = spawnSync('git', whole, { env, encoding: 'utf8', maxBuffer: MAX_OUTPUT });
    if (error !== undefined) throw new Refused('code' in error && error.code === 'ENOENT' ? 'there is no git in the container' : error.message);
    if (status !== 0) throw new Refused(complaintOf(stderr));
    return stdout.trim();
  };
};

const orNothing = (ask: () => string): string => {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Refused) return '';
    throw error;
  }
};

/**
 * Filters, such as git LFS, turn what is committed into what is worked with, and may be
 * installed on the host only. Half a checkout would be the result.
 */
const assertNoFilters = (git: Git, commits: readonly string[]): void => {
  for (const commit of commits) {
    const found = orNothing(() => git('grep', '-l', '-E', '(^|[[:space:]])filter=', commit, '--', ':(glob)**/.gitattributes'));
    if (found !== '') throw new Refused('its .gitattributes names filters, such as git LFS, and these work where they are installed; pull it there');
  }
};

/** Moves the branch and its files on to the new commit. Work that is not committed stays as it is, or nothing happens. */
const forward = (git: Git, branch: string, from: string, to: string): PullReport => {
  if (orNothing(() => git('merge-base', '--is-ancestor', to, from) || 'yes') === 'yes') return { outcome: 'same', commits: 0 };
  if (orNothing(() => git('merge-base', '--is-ancestor', from, to) || 'yes') !== 'yes') throw new Refused(`${branch} has commits of its own; merge or rebase it yourself`);
  assertNoFilters(git, [from, to]);
  const commits = Number(git('rev-list', '--count', `${from}..${to}`));
  git('merge', '--ff-only', '--no-autostash', '--quiet', to);
  return { outcome: 'updated', commits };
};

interface Wanted {
  branch: string;
  /** Ref that remembers where the remote is. */
  tracking: string;
  commit: string;
}

const bring = async (git: Git, { branch, tracking, commit }: Wanted, { stdin, stdout }: Pick<PullStreams, 'stdin' | 'stdout'>): Promise<PullReport> => {
  if (orNothing(() => git('symbolic-ref', '--quiet', 'HEAD')) !== `refs/heads/${branch}`) throw new Refused('another branch is checked out by now');
  const head = git('rev-parse', '--verify', 'HEAD^{commit}');
  const known = orNothing(() => git('rev-parse', '--verify', '--quiet', `${tracking}^{commit}`));
  const base = known === '' ? '' : orNothing(() => git('merge-base', head, known));
  const offer: PullOffer = { haves: [...new Set([head, known, base])].filter(Boolean) };
  stdout.write(`${JSON.stringify(offer)}\n`);
  const scratch = await mkdtemp(path.join(tmpdir(), 'jackin-pull-'));
  try {
    const bundle = path.join(scratch, 'new.bundle');
    await pipeline(stdin, createWriteStream(bundle, { mode: 0o600 }));
    // Empty when the repository has the commit already: an earlier fetch may have brought it.
    if ((await stat(bundle)).size > 0) git('fetch', '--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head', bundle, `+refs/jackin/fetched:${tracking}`);
    return forward(git, branch, head, commit);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/**
 * One pull, inside: `DIRECTORY BRANCH TRACKING COMMIT`. Says which commits the repository has,
 * takes a bundle with the others from stdin, and moves the branch on where that loses
 * nothing. The last line of stdout is a {@link PullReport}; the result is the exit code.
 */
export const runPull = async ([directory = '', branch = '', tracking = '', commit = '']: readonly string[], streams: PullStreams): Promise<number> => {
  let report: PullReport;
  try {
    report = await bring(gitIn(directory, streams.env), { branch, tracking, commit }, streams);
  } catch (error) {
    report = { outcome: 'not', commits: 0, why: error instanceof Error ? error.message : String(error) };
  }
  await new Promise<void>((resolve) => void streams.stdout.write(`${JSON.stringify(report)}\n`, () => resolve()));
  return report.outcome === 'not' ? 1 : 0;
};
