import path from 'node:path';
import * as z from 'zod';
import type { Paths } from '../config/paths.ts';
import { asDiskError, ensureDir, writeFileAtomic } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { readBounded } from '../shared/read-bounded.ts';
import { isCommit } from './repository.ts';

/** Thousands of roles; more would be read again before every launch. */
const MAX_BYTES = 1024 * 1024;

const RecordSchema = z.object({
  url: z.string(),
  commit: z.string().refine(isCommit),
  at: z.iso.datetime(),
  /** How it came about, for people. */
  by: z.enum(['asked', 'granted', 'named on the command line', 'nothing that runs has changed']),
});

const StoreSchema = z.object({ version: z.literal(1), roles: z.record(z.string(), RecordSchema) });

/** The source and the commit of a role that the operator trusts. */
export type TrustRecord = z.infer<typeof RecordSchema>;

/** Everything that is trusted, by role. A file that cannot be understood is an error: whom to trust is not guessed. */
export const readTrust = async ({ trustFile }: Paths): Promise<ReadonlyMap<string, TrustRecord>> => {
  let text: string;
  try {
    text = (await readBounded(trustFile, MAX_BYTES)) ?? '';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return new Map();
    throw new JackinError('failed', `cannot read ${trustFile}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return new Map(Object.entries(StoreSchema.parse(JSON.parse(text)).roles));
  } catch (error) {
    throw new JackinError('failed', `${trustFile} cannot be understood: no role but the built-in ones is trusted`, {
      hint: 'remove the file: then every role is asked about again',
      cause: error,
    });
  }
};

/** Changes what is trusted of one role; `undefined` takes the trust away. Two at once lose nothing. */
export const writeTrust = async (paths: Paths, role: string, record: TrustRecord | undefined): Promise<void> => {
  try {
    await ensureDir(path.dirname(paths.trustFile));
    await withFileLock(`${paths.trustFile}.lock`, { doing: 'changes what is trusted' }, async () => {
      const roles = new Map(await readTrust(paths));
      if (record === undefined) roles.delete(role);
      else roles.set(role, record);
      const sorted = [...roles].sort(([a], [b]) => (a < b ? -1 : 1));
      await writeFileAtomic(paths.trustFile, `${JSON.stringify({ version: 1, roles: Object.fromEntries(sorted) }, null, 2)}\n`);
    });
  } catch (error) {
    throw asDiskError(error, `writing ${paths.trustFile}`);
  }
};
