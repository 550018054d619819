import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** `size` is what the file seems to have; it may grow meanwhile. */
const readUpTo = async (handle: FileHandle, limit: number, size: number): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < limit) {
    // No more than is needed: the keeper reads small files all the time, and may have little memory.
    const wanted = length === 0 ? size + 1 : 64 * 1024;
    const buffer = Buffer.allocUnsafe(Math.min(wanted, 64 * 1024, limit - length));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length);
    if (bytesRead === 0) break;
    chunks.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
  return Buffer.concat(chunks);
};

/**
 * Reads the text of a file that should be small. Waits for no other end of a pipe: what
 * is not a plain file is undefined. Of a larger file it returns one byte more than the
 * limit, so that the parser can tell. `flags` are those of `open` beside reading.
 */
export const readBounded = async (file: string, limit: number, flags = 0): Promise<string | undefined> => {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | flags);
  try {
    const stat = await handle.stat();
    return stat.isFile() ? (await readUpTo(handle, limit + 1, stat.size)).toString('utf8') : undefined;
  } finally {
    await handle.close();
  }
};
