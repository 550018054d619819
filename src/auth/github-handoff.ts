import path from 'node:path';
import { HOSTS_FILE, type HostsTable, parseHosts, printHosts, withLogin } from '../agents/github-login.ts';
import { asDiskError, ensurePrivateDir, type FileOwner, type FsLayer, isTemporaryName, nodeFs, syncDirectory, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import { readTree } from '../shared/safe-read.ts';
import type { GithubLogin } from './github-source.ts';

export type GithubChange =
  /** The host's login, put in the place of what the container had for github.com. */
  | { action: 'write'; login: GithubLogin }
  /** The host is logged out: what is there stays. */
  | { action: 'keep' }
  /** Nothing is handed over any more. */
  | { action: 'remove' };

/**
 * Logins that the container has beside ours. The agent can write there: what cannot be
 * read, or is not of gh's form, its gh could not use either, and it makes room.
 */
const readOthers = async (dir: string): Promise<HostsTable> => {
  const wanted = (name: string): boolean => name === HOSTS_FILE;
  const tree = await readTree(dir, { wanted, owner: 'anyone' }).catch((error: unknown) => {
    if (error instanceof JackinError || isErrno(error, 'EACCES', 'EPERM')) return undefined;
    throw error;
  });
  return parseHosts(tree?.files.get(HOSTS_FILE)?.toString('utf8') ?? '') ?? new Map();
};

/** A directory under the file's name goes aside, whole: nothing that the agent could change meanwhile is deleted below it. */
const makeRoom = async (file: string, fs: FsLayer): Promise<void> => {
  const found = await unlessMissing(fs.lstat(file));
  if (found?.isDirectory()) await fs.rename(file, `${file}.${found.ino}`);
};

const removeFile = async (file: string, fs: FsLayer): Promise<void> => {
  const found = await unlessMissing(fs.lstat(file));
  // A directory is nothing that jackin has placed.
  if (found !== undefined && !found.isDirectory()) await fs.unlink(file);
};

/**
 * Brings gh's directory of an instance in line with what is handed over. Only `hosts.yml`
 * is touched, and in it only the login for github.com is replaced. The directory is
 * 0700, the file 0600 and swapped in whole; links in it are never followed.
 */
export const provisionGithub = async (dir: string, owner: FileOwner, change: GithubChange, fs: FsLayer = nodeFs): Promise<void> => {
  const file = path.join(dir, HOSTS_FILE);
  try {
    await ensurePrivateDir(dir, { owner, fs, inside: true });
    for (const name of await fs.readdir(dir)) {
      // A crash in the middle of an earlier launch may have left a token in it.
      if (name.startsWith(`.${HOSTS_FILE}.`) && isTemporaryName(name)) await removeFile(path.join(dir, name), fs);
    }
    if (change.action === 'write') {
      const { user, token } = change.login;
      const text = printHosts(withLogin(await readOthers(dir), { user, token: token.reveal() }));
      await makeRoom(file, fs);
      await writeFileAtomic(file, text, { owner, fs });
    }
    if (change.action === 'remove') {
      await removeFile(file, fs);
      await syncDirectory(dir, fs);
    }
  } catch (error) {
    throw asDiskError(error, `preparing the GitHub login for the container in ${dir}`);
  }
};
