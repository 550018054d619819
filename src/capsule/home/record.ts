import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { isTable } from '../../agents/kimi-config.ts';
import { ensurePrivateDir, unlessMissing, writeFileAtomic } from '../../shared/atomic-files.ts';

/** What jackin has put into the home for Kimi. Digests and paths only, never content. */
export interface SeedRecord {
  /** Digest of the credential that was seeded last. */
  credential?: string;
  /** SHA-256 of every file as it was placed, by path below the home. */
  files: Record<string, string>;
  /** Digests of keys that stood in the configuration that was placed. */
  keys: string[];
  /** There while the provider for a key from the environment is set up. */
  provider?: { previousDefault?: string; createdConfig: boolean };
}

export const NOTHING_SEEDED: SeedRecord = { files: {}, keys: [] };

const fileOf = (state: string): string => path.join(state, 'auth', 'kimi.json');

/** The record, or an empty one when there is none that can be read. */
export const readRecord = async (state: string): Promise<SeedRecord> => {
  const text = await unlessMissing(readFile(fileOf(state), 'utf8'));
  return text === undefined ? NOTHING_SEEDED : parseRecord(text);
};

/** Without a usable record every login counts as changed, which is always safe. */
const parseRecord = (text: string): SeedRecord => {
  try {
    const value: unknown = JSON.parse(text);
    const { files, keys } = value as Partial<SeedRecord>;
    return isTable(files) && Array.isArray(keys) ? (value as SeedRecord) : NOTHING_SEEDED;
  } catch {
    return NOTHING_SEEDED;
  }
};

export const writeRecord = async (state: string, record: SeedRecord): Promise<void> => {
  await ensurePrivateDir(path.dirname(fileOf(state)));
  await writeFileAtomic(fileOf(state), JSON.stringify(record));
};
