import { Readable } from 'node:stream';

/** The tar libraries bring streams of their own kind; Node's helpers want Node's. */
export const nodeReadable = (stream: AsyncIterable<unknown>): Readable =>
  stream instanceof Readable ? stream : Readable.from(stream, { objectMode: false });
