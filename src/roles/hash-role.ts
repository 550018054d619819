import { createHash } from 'node:crypto';
import { contextFiles } from '../shared/context-files.ts';
import { readFileBelow } from '../shared/open-below.ts';

/** What of a role's folder counts beside what its image is made of. */
interface Named {
  dockerfile: string;
  /** Sent and counted whatever a `.dockerignore` says: the manifest and the hooks. */
  always: readonly string[];
}

/**
 * SHA-256 over names, modes and contents of the files that make a role what it is:
 * its image is built again when one of them changes. Throws as `contextFiles` does.
 */
export const hashRole = async (root: string, { dockerfile, always }: Named): Promise<string> => {
  const hash = createHash('sha256');
  for (const { path: name, executable, size } of await contextFiles(root, dockerfile, always)) {
    hash.update(JSON.stringify([name, executable, size])).update(readFileBelow(root, name));
  }
  return hash.digest('hex');
};
