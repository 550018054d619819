import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { isTable } from '../../agents/judge.ts';
import { ensurePrivateDir, unlessMissing, writeFileAtomic } from '../../shared/atomic-files.ts';
import type { Place } from './place.ts';

/** What jackin has put into the home for an agent. Digests and paths only, never content. */
export interface SeedRecord {
  /** Digest of the credential that was seeded last. */
  credential?: string;
  /** SHA-256 of every file as it was placed, by path below the home. */
  files: Record<string, string>;
  /** Digests of keys that stood in the configuration that was placed. */
  keys: string[];
  /** Digest of the account that was written into a file of the agent's own. */
  account?: string;
  /** There while the provider for a key from the environment is set up (Kimi). */
  provider?: { previousDefault?: string; createdConfig: boolean };
}

export const NOTHING_SEEDED: SeedRecord = { files: {}, keys: [] };

const fileOf = ({ state, slug }: Place): string => path.join(state, 'auth', `${slug}.json`);

/** The record, or an empty one when there is none that can be read. */
export const readRecord = async (place: Place): Promise<SeedRecord> => {
  const text = await unlessMissing(readFile(fileOf(place), 'utf8'));
  return text === undefined ? NOTHING_SEEDED : parseRecord(text);
};

const isText = (value: unknown): boolean => typeof value === 'string';

/** Without a usable record every login counts as changed, which is always safe. */
const parseRecord = (text: string): SeedRecord => {
  try {
    const value: unknown = JSON.parse(text);
    const { files, keys } = value as Partial<SeedRecord>;
    return isTable(files) && Array.isArray(keys) && [...Object.values(files), ...keys].every(isText) ? (value as SeedRecord) : NOTHING_SEEDED;
  } catch {
    return NOTHING_SEEDED;
  }
};

export const writeRecord = async (place: Place, record: SeedRecord): Promise<void> => {
  await ensurePrivateDir(path.dirname(fileOf(place)));
  await writeFileAtomic(fileOf(place), JSON.stringify(record));
};
