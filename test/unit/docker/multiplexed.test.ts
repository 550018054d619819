import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { takeApart } from '../../../src/docker/multiplexed.ts';

const piece = (stream: number, text: string): Buffer => {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

const WHOLE = Buffer.concat([piece(1, 'out'), piece(2, 'err'), piece(1, ''), piece(1, 'more of it')]);

const parts = async (chunks: Buffer[]): Promise<{ out: string; err: string }> => {
  const found = { out: '', err: '' };
  for await (const { isError, bytes } of takeApart(Readable.from(chunks))) found[isError ? 'err' : 'out'] += bytes.toString();
  return found;
};

it.each([1, 2, 3, 7, 8, 9, 11, 1000])('two streams in one are told apart, however they are cut: every %i bytes', async (size) => {
  const chunks = Array.from({ length: Math.ceil(WHOLE.length / size) }, (_, index) => WHOLE.subarray(index * size, (index + 1) * size));
  expect(await parts(chunks)).toEqual({ out: 'outmore of it', err: 'err' });
});

it('one that breaks off in a header or in a piece gives what has come', async () => {
  expect(await parts([WHOLE.subarray(0, 13)])).toEqual({ out: 'out', err: '' });
  expect(await parts([WHOLE.subarray(0, 20)])).toEqual({ out: 'out', err: 'e' });
});
