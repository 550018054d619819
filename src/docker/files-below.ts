import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';

export interface FileBelow {
  /** Relative to the root, with forward slashes. */
  path: string;
  /** Bytes. */
  size: number;
  kind: 'file' | 'link' | 'other';
  executable: boolean;
}

/** Every file below a directory, sorted by path. Follows no link; `skip` leaves out names directly below the root. */
export const filesBelow = async (root: string, skip: readonly string[] = []): Promise<FileBelow[]> => {
  const walk = async (below: string): Promise<FileBelow[]> => {
    const names = (await readdir(path.join(root, below))).filter((name) => below !== '' || !skip.includes(name));
    const found: FileBelow[] = [];
    for (const name of names) {
      const relative = below === '' ? name : `${below}/${name}`;
      const stats = await lstat(path.join(root, relative));
      if (stats.isDirectory()) {
        found.push(...(await walk(relative)));
      } else {
        const kind = stats.isFile() ? 'file' : stats.isSymbolicLink() ? 'link' : 'other';
        found.push({ path: relative, size: stats.size, kind, executable: (stats.mode & 0o111) !== 0 });
      }
    }
    return found;
  };
  // By code unit, not by locale: the order is part of content keys.
  return (await walk('')).sort((a, b) => (a.path < b.path ? -1 : 1));
};
