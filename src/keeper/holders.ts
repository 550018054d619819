import { constants } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { isTable, textOf } from '../agents/judge.ts';
import { ensurePrivateDir, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno } from '../shared/errors.ts';
import { readBounded } from '../shared/read-bounded.ts';

/** Which instances hold a lease of which login: written in the state of each, beside its record. */

const MAX_BYTES = 64 * 1024;

const leaseFile = (instanceDir: string): string => path.join(instanceDir, '.jackin', 'lease.json');

/** Says that an instance holds a lease of a login; undefined: of none. */
export const writeLease = async (instanceDir: string, account: string | undefined): Promise<void> => {
  const file = leaseFile(instanceDir);
  if (account === undefined && (await unlessMissing(readFile(file))) === undefined) return;
  await ensurePrivateDir(path.dirname(file), { inside: true });
  await writeFileAtomic(file, `${JSON.stringify({ agent: 'kimi', login: account ?? null })}\n`);
};

/** The login that an instance holds a lease of; undefined when it holds none. */
export const readLease = async (instanceDir: string): Promise<string | undefined> => {
  try {
    // Whatever stands there in its place: nothing is followed, and nothing is waited for.
    const value: unknown = JSON.parse((await readBounded(leaseFile(instanceDir), MAX_BYTES, constants.O_NOFOLLOW)) ?? '');
    return isTable(value) && value['agent'] === 'kimi' ? textOf(value, 'login') : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR', 'ELOOP') || error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/** Every container with state here that holds a lease, and of which account; running or not. */
export const listLeases = async ({ dataDir }: Pick<Paths, 'dataDir'>): Promise<Map<string, string>> => {
  const names = (await unlessMissing(readdir(dataDir))) ?? [];
  const leases = new Map<string, string>();
  for (const container of names.filter((name) => name.startsWith('jk-')).sort()) {
    const account = await readLease(path.join(dataDir, container));
    if (account !== undefined) leases.set(container, account);
  }
  return leases;
};

/** The containers that hold a lease of a login, running or not. */
export const holdersOf = async (paths: Pick<Paths, 'dataDir'>, account: string): Promise<string[]> =>
  [...(await listLeases(paths))].filter(([, held]) => held === account).map(([container]) => container);

/** Containers that get the tokens of an account: all that count as holders, and those of them with a state to hand it to. */
export interface Holders {
  all: Set<string>;
  ready: Set<string>;
}

/**
 * The holders of each account: containers that are expected, whose launch hands them
 * the first token itself, and those with a lease that run. Without an answer of the
 * engine (`running` undefined) every one with a lease is taken to run.
 */
export const groupHolders = (
  leases: ReadonlyMap<string, string>,
  expected: Iterable<{ account: string; container: string }>,
  running: ReadonlySet<string> | undefined,
): Map<string, Holders> => {
  const held = new Map<string, Holders>();
  const of = (account: string): Holders => {
    const found = held.get(account) ?? { all: new Set<string>(), ready: new Set<string>() };
    held.set(account, found);
    return found;
  };
  for (const { account, container } of expected) of(account).all.add(container);
  for (const [container, account] of leases) {
    if (running?.has(container) === false && !held.get(account)?.all.has(container)) continue;
    const { all, ready } = of(account);
    all.add(container);
    ready.add(container);
  }
  return held;
};
