import { cacheFile } from './cache-file.ts';
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

/** More names than any machine has in use; the oldest entries go first. */
const MAX_ENTRIES = 200;

export const volumeMemory = (cacheDirectory: string): VolumeMemory => {
  const { read, write } = cacheFile(cacheDirectory, 'complete-volumes.json');
  return {
    knows: async (volume) => volume.createdAt !== '' && (await read())[volume.name] === volume.createdAt,
    remember: async (volume) => {
      const { [volume.name]: _old, ...others } = await read();
      const entries = [...Object.entries(others), [volume.name, volume.createdAt]].slice(-MAX_ENTRIES);
      await write(Object.fromEntries(entries));
    },
  };
};
