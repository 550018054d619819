/** Stream, three bytes of nothing, length. */
const HEADER_BYTES = 8;

/** Takes the engine's two streams in one apart: the pieces in their order, each with where it was written. */
export async function* takeApart(source: AsyncIterable<unknown>): AsyncGenerator<{ isError: boolean; bytes: Buffer }> {
  let header = Buffer.alloc(0);
  let left = 0;
  let isError = false;
  for await (const data of source) {
    let chunk = data as Buffer;
    while (chunk.length > 0) {
      if (left === 0) {
        const missing = HEADER_BYTES - header.length;
        header = Buffer.concat([header, chunk.subarray(0, missing)]);
        chunk = chunk.subarray(missing);
        if (header.length < HEADER_BYTES) break;
        isError = header[0] === 2;
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const bytes = chunk.subarray(0, left);
      chunk = chunk.subarray(bytes.length);
      left -= bytes.length;
      yield { isError, bytes };
    }
  }
}
