import { realpath, stat } from 'node:fs/promises';
import type { LoginFacts } from '../agents/login-facts.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readTree, type Tree, type TreeRules } from '../shared/safe-read.ts';

export interface SourceOptions {
  /** The agent's directory to use instead of its own. */
  sourceDir?: string | undefined;
  home: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The operator's user id. */
  uid: number;
  now: Date;
  /** Password store of the operating system: the secret of a service, undefined when there is none. Left out where there is no such store. */
  keychain?: ((service: string) => Promise<string | undefined>) | undefined;
}

export interface LoginSet {
  facts: LoginFacts;
  /** What to hand over; undefined when there is no login that could work. Holds secrets. */
  set: { name: string; files: { path: string; bytes: Buffer }[] } | undefined;
}

export interface Source {
  /** As it is to be named to a person: links in it are not resolved yet. */
  dir: string;
  from: LoginFacts['from'];
}

/** How messages call a source. */
export const nameOf = ({ dir, from }: Source): string => (from === 'sync_source_dir' ? `sync_source_dir ${dir}` : dir);

/**
 * Opens a directory of the host that holds a login and reads what is wanted of it,
 * as one state of the tree; or says why there is none. `expected` names what
 * should be inside. One that is there but cannot be read is an error.
 */
export const openSource = async (
  source: Source,
  agent: string,
  expected: string,
  uid: number,
  rules: Omit<TreeRules, 'owner'>,
): Promise<{ dir: string; tree: Tree } | { why: string }> => {
  const name = nameOf(source);
  try {
    // The directory itself may be a link, as in many dotfile set-ups: followed here, once.
    const dir = await realpath(source.dir);
    if (!(await stat(dir)).isDirectory()) {
      return { why: `${name} is not a directory: a directory with ${expected} is expected.` };
    }
    // root may forward anyone's login, but never files of several owners as one login.
    const owner = uid === 0 ? 'directory' : uid;
    return { dir, tree: await readTree(dir, { ...rules, owner }) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return { why: `${name} does not exist: a directory with ${expected} is expected.` };
    }
    if (error instanceof JackinError) throw error;
    throw new JackinError('auth.missing', `the ${agent} login in ${source.dir} cannot be read: ${messageOf(error)}`, {
      hint: 'make the directory readable for you, or name another one with sync_source_dir',
      cause: error,
    });
  }
};

/** Facts of a place without any login. */
export const noLogin = (agent: LoginFacts['agent'], { from }: Source, dir: string, why: string): LoginSet => ({
  facts: { agent, dir, from, generation: null, state: 'absent', refreshable: false, files: [], skipped: [], aliases: [], why },
  set: undefined,
});

/** Unix time in seconds as facts hold it. Beyond what a date can hold (a broken clock, or "never"), it is left out. */
export const isoTime = (seconds: number | undefined): { expiresAt?: string } => {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? {} : { expiresAt: date.toISOString() };
};
