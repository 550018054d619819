import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { filesBelow } from './files-below.ts';

/** How much of a key stands in a tag or a name. */
const KEY_LENGTH = 12;

/** Twelve hex characters that change when any of the parts does. */
export const keyOf = (...parts: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`);
  return hash.digest('hex').slice(0, KEY_LENGTH);
};

/**
 * Key of a directory's content: names, executable bits and bytes of its files, not
 * their times or owners. `wanted` chooses among the paths; links count by name only.
 */
export const directoryKey = async (root: string, wanted: (file: string) => boolean = () => true): Promise<string> => {
  const hash = createHash('sha256');
  for (const file of await filesBelow(root, ['.git'])) {
    if (!wanted(file.path)) continue;
    hash.update(`${file.path}\0${file.kind}\0${file.executable}\0${file.size}\0`);
    if (file.kind !== 'file') continue;
    for await (const chunk of createReadStream(path.join(root, file.path))) hash.update(chunk as Buffer);
  }
  return hash.digest('hex').slice(0, KEY_LENGTH);
};
