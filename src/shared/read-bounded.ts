import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const readUpTo = async (handle: FileHandle, limit: number): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < limit) {
    const buffer = Buffer.alloc(Math.min(64 * 1024, limit - length));
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
    if (!(await handle.stat()).isFile()) return undefined;
    return (await readUpTo(handle, limit + 1)).toString('utf8');
  } finally {
    await handle.close();
  }
};
