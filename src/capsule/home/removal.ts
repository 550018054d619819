import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Place } from './place.ts';
import { NOTHING_SEEDED, readRecord, type SeedRecord, writeRecord } from './record.ts';
import { workDir } from './swap.ts';

/**
 * Takes the forwarded login out of the home: the files that jackin placed and
 * their backups, nothing else. `files` is what the home holds of logins, by path
 * below it; `isForwarded` tells for a placed file that has changed since whether
 * it still is the forwarded login. True when there was something to take out.
 */
export const forgetLogin = async (
  place: Place,
  files: ReadonlyMap<string, Buffer>,
  isForwarded: (file: string, bytes: Buffer, record: SeedRecord) => boolean,
): Promise<boolean> => {
  const record = await readRecord(place);
  if (Object.keys(record.files).length === 0) return false;
  for (const [file, bytes] of files) {
    if (record.files[file] !== undefined && isForwarded(file, bytes, record)) await rm(path.join(place.home, file), { force: true });
  }
  await rm(path.join(place.home, workDir(place)), { recursive: true, force: true });
  // Last: after a crash before this, the next start does it all again.
  await writeRecord(place, { ...NOTHING_SEEDED, ...(record.provider !== undefined && { provider: record.provider }) });
  return true;
};
