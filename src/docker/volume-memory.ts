import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureDir, writeFileAtomic } from '../shared/atomic-files.ts';
import type { VolumeInfo } from './engine.ts';

/**
 * Which volumes are known to be complete, by name and time of creation, so that a
 * warm launch need not look into them. Only ever a shortcut: an entry that is
 * missing costs a look, and an unreadable file counts as an empty one.
 */
export interface VolumeMemory {
  knows(volume: VolumeInfo): Promise<boolean>;
  remember(volume: VolumeInfo): Promise<void>;
}

const FILE = 'complete-volumes.json';
/** More names than any machine has in use; the oldest entries go first. */
const MAX_ENTRIES = 200;

export const volumeMemory = (cacheDirectory: string): VolumeMemory => {
  const file = path.join(cacheDirectory, FILE);
  const read = async (): Promise<Record<string, unknown>> => {
    try {
      const value: unknown = JSON.parse(await readFile(file, 'utf8'));
      return value !== null && typeof value === 'object' ? { ...value } : {};
    } catch {
      return {};
    }
  };
  return {
    knows: async (volume) => volume.createdAt !== '' && (await read())[volume.name] === volume.createdAt,
    remember: async (volume) => {
      const { [volume.name]: _old, ...others } = await read();
      const entries = [...Object.entries(others), [volume.name, volume.createdAt]].slice(-MAX_ENTRIES);
      await ensureDir(cacheDirectory);
      await writeFileAtomic(file, `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
    },
  };
};
