import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, writeFileAtomic } from '../shared/atomic-files.ts';

/** A small file of what may be lost: one that cannot be read counts as an empty one, and one that cannot be written stays as it is. */
export const cacheFile = (directory: string, name: string) => {
  const file = path.join(directory, name);
  return {
    read: async (): Promise<Record<string, unknown>> => {
      try {
        const value: unknown = JSON.parse(await readFile(file, 'utf8'));
        return value !== null && typeof value === 'object' ? { ...value } : {};
      } catch {
        return {};
      }
    },
    write: async (entries: Record<string, unknown>): Promise<void> => {
      try {
        await ensureDir(directory);
        await writeFileAtomic(file, `${JSON.stringify(entries, null, 2)}\n`);
      } catch (error) {
        // A disk that is full, or that cannot be written, costs another look next time.
        if (!(error instanceof Error && 'syscall' in error)) throw error;
      }
    },
  };
};
