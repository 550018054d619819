import { execFile } from 'node:child_process';
import { isBranchName } from '../../roles/source.ts';
import { isErrno, JackinError, messageOf } from '../../shared/errors.ts';
import { readTree } from '../../shared/safe-read.ts';
import type { Deps } from '../deps.ts';

/** The branch that a repository has checked out, and what it follows. Every word of it may be an agent's. */
export interface FollowedBranch {
  branch: string;
  /** Name of the remote in the repository, such as `origin`. */
  remote: string;
  /** Name of the branch there. */
  remoteBranch: string;
  /** As git's configuration has it; an operator's own `insteadOf` may lead it elsewhere. */
  address: string;
}

/** A repository, or one clause about why it cannot be pulled. */
export type Followed = FollowedBranch | { why: string };

const WANTED = ['HEAD', 'config'];
const TIMEOUT_MS = 2000;
const MAX_ADDRESS = 2000;
const OVER_NETWORK = /^(https?|ssh):\/\/[^/\s]+\/\S*$/;
/** `host:path`, as ssh has it. A second colon would name a program (`ext::`). */
const SSH_SHORT = /^([A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!:)[^\s:][^\s]*$/;

/** Why an address is not fetched from; undefined when it may be. */
export const whyNotFetched = (address: string): string | undefined => {
  if (address.length > MAX_ADDRESS || /[\p{Cc}\p{Cf}]/u.test(address)) return 'its remote has an address that is none';
  if (/^[a-z]+:\/\/[^/\s@]*:[^/\s]*@/i.test(address)) {
    return 'the address of its remote holds a password; a credential helper of git keeps it elsewhere';
  }
  if (OVER_NETWORK.test(address) || (!address.includes('://') && SSH_SHORT.test(address))) return undefined;
  return 'its remote is neither an https nor an ssh address; one on this machine may be written by an agent as well';
};

/** The settings of a configuration, as git reads it: of its text alone, in no repository, with no includes. */
const parseConfig = (text: Buffer, { env }: Pick<Deps, 'env'>): Promise<Map<string, string>> =>
  new Promise((resolve, reject) => {
    const nowhere = { PATH: env.PATH, GIT_DIR: '/dev/null', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
    const args = ['config', '--file', '-', '--no-includes', '--null', '--list'];
    const child = execFile('git', args, { cwd: '/', env: nowhere, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      if (error !== null) return reject(error);
      const settings = new Map<string, string>();
      for (const entry of stdout.split('\0').filter((one) => one.includes('\n'))) {
        const key = entry.slice(0, entry.indexOf('\n'));
        // Of several addresses git fetches from the first; of everything else the last one counts.
        if (!key.endsWith('.url') || !settings.has(key)) settings.set(key, entry.slice(entry.indexOf('\n') + 1));
      }
      resolve(settings);
    });
    child.stdin?.on('error', () => undefined).end(text);
  });

const followed = (head: string, settings: ReadonlyMap<string, string>): Followed => {
  const branch = /^ref: refs\/heads\/(.+)\n?$/.exec(head)?.[1];
  if (branch === undefined) return { why: 'no branch is checked out' };
  if (!isBranchName(branch)) return { why: 'the name of its branch is an odd one' };
  const remote = settings.get(`branch.${branch}.remote`);
  const merge = /^refs\/heads\/(.+)$/.exec(settings.get(`branch.${branch}.merge`) ?? '')?.[1];
  if (remote === undefined || merge === undefined || !isBranchName(remote)) return { why: `its branch ${branch} follows no branch of a remote` };
  if (!isBranchName(merge)) return { why: `its branch ${branch} follows one with an odd name` };
  const address = settings.get(`remote.${remote}.url`);
  if (address === undefined) return { why: `its remote ${remote} has no address` };
  const why = whyNotFetched(address);
  return why === undefined ? { branch, remote, remoteBranch: merge, address } : { why };
};

/**
 * Reads which branch a repository has checked out and where it comes from; undefined
 * where there is no repository. The directory may be an agent's, so git is not run in
 * it: two files are read without following a link.
 */
export const readFollowedBranch = async (repository: string, deps: Pick<Deps, 'env'>): Promise<Followed | undefined> => {
  try {
    const { files } = await readTree(`${repository}/.git`, { wanted: (file) => WANTED.includes(file), owner: 'anyone' });
    const [head, config] = WANTED.map((file) => files.get(file));
    if (head === undefined || config === undefined) return { why: 'its .git has no HEAD or no config that is a file' };
    return followed(head.toString(), await parseConfig(config, deps));
  } catch (error) {
    if (isErrno(error, 'ENOENT') && 'path' in error && error.path === `${repository}/.git`) return undefined;
    if (isErrno(error, 'ENOENT') && 'path' in error && error.path === 'git') return { why: 'there is no git on this machine' };
    // A `.git` file or link points somewhere else, and its writer chose where.
    if (isErrno(error, 'ENOTDIR', 'ELOOP')) return { why: 'its .git is not a directory' };
    if (error instanceof JackinError) return { why: error.message };
    return { why: `its .git/config cannot be read: ${messageOf(error).split('\n')[0]!.slice(0, 200)}` };
  }
};
