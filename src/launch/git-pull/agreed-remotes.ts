import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../../config/paths.ts';
import { asDiskError, ensureDir, writeFileAtomic } from '../../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../../shared/errors.ts';
import { withFileLock } from '../../shared/lock.ts';

/*
 * $JACKIN_HOME_DIR/pulls/
 *   agreed.json       which address each repository may be pulled from
 *   <digest>.git/     what was fetched for one of them; bare, and jackin's alone
 */

const AgreedSchema = z.object({
  version: z.literal(1),
  /** Addresses by the real path of the repository. */
  repositories: z.record(z.string(), z.object({ address: z.string(), at: z.iso.datetime() })),
});

type PullPaths = Pick<Paths, 'jackinHome'>;

const pullsDir = ({ jackinHome }: PullPaths): string => path.join(jackinHome, 'pulls');

const agreedFile = (paths: PullPaths): string => path.join(pullsDir(paths), 'agreed.json');

/** Returns the bare repository for the commits of a repository on their way; `repository` is its real path. */
export const fetchedDir = (paths: PullPaths, repository: string): string =>
  path.join(pullsDir(paths), `${createHash('sha256').update(repository).digest('hex').slice(0, 32)}.git`);

/** Reads which address the operator has agreed to for each repository, by real path. */
export const readAgreedRemotes = async (paths: PullPaths): Promise<ReadonlyMap<string, string>> => {
  const file = agreedFile(paths);
  try {
    const { repositories } = AgreedSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return new Map(Object.entries(repositories).map(([repository, { address }]) => [repository, address]));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return new Map();
    const why = error instanceof Error && 'syscall' in error ? messageOf(error) : 'it cannot be understood';
    throw new JackinError('failed', `cannot read ${file}: ${why}`, {
      hint: 'remove the file: then the address of every repository is asked about again',
      cause: error,
    });
  }
};

const change = async (paths: PullPaths, apply: (repositories: z.infer<typeof AgreedSchema>['repositories']) => void): Promise<void> => {
  const file = agreedFile(paths);
  try {
    await ensureDir(pullsDir(paths));
    await withFileLock(`${file}.lock`, { doing: 'changes where repositories are pulled from' }, async () => {
      const text = await readFile(file, 'utf8').catch((error: unknown) => {
        if (isErrno(error, 'ENOENT')) return undefined;
        throw error;
      });
      const parsed = text === undefined ? undefined : AgreedSchema.safeParse(parseOr(text));
      // A file that nobody understands agrees to nothing; it is written anew.
      const repositories = parsed?.success ? parsed.data.repositories : {};
      apply(repositories);
      const sorted = Object.fromEntries(Object.entries(repositories).sort(([a], [b]) => (a < b ? -1 : 1)));
      await writeFileAtomic(file, `${JSON.stringify({ version: 1, repositories: sorted }, null, 2)}\n`);
    });
  } catch (error) {
    throw asDiskError(error, `writing ${file}`);
  }
};

const parseOr = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Records that a repository, by its real path, may be pulled from an address. Two at once lose nothing. */
export const agreeToRemote = (paths: PullPaths, repository: string, address: string, now: Date): Promise<void> =>
  change(paths, (repositories) => {
    repositories[repository] = { address, at: now.toISOString() };
  });

/** Forgets what was agreed to for these repositories, and removes what was fetched for them. */
export const forgetRemotes = async (paths: PullPaths, repositories: readonly string[]): Promise<void> => {
  const agreed = await readAgreedRemotes(paths).catch(() => new Map<string, string>());
  const known = repositories.filter((repository) => agreed.has(repository));
  if (known.length === 0) return;
  await change(paths, (all) => {
    for (const repository of known) delete all[repository];
  });
  for (const repository of known) await rm(fetchedDir(paths, repository), { recursive: true, force: true });
};
