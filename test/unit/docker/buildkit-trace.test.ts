import { expect, test } from 'vitest';
import { traceReader } from '../../../src/docker/buildkit-trace.ts';

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]);
const sized = (number: number, bytes: number[]): number[] => [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
const text = (number: number, value: string): number[] => sized(number, [...Buffer.from(value)]);

const vertex = (digest: string, name: string, started = true): number[] =>
  sized(1, [...text(1, digest), ...text(2, 'input'), ...text(3, name), 4 * 8, 1, ...(started ? sized(5, [8, ...varint(1_700_000_000)]) : [])]);
const log = (message: number[]): number[] => sized(3, [...text(1, 'digest'), 3 * 8, ...varint(300), ...sized(4, message)]);

const read = (...events: number[][]): string[] => {
  const lines: string[] = [];
  const { take, end } = traceReader((line) => void lines.push(line));
  for (const event of events) take(Buffer.from(event).toString('base64'));
  end();
  return lines;
};

test('steps are told once, when they begin, and nothing of what BuildKit does for itself', () => {
  expect(
    read(
      [...vertex('a', '[internal] load build definition from Dockerfile'), ...vertex('b', '[1/3] FROM construct', false), ...vertex('c', '[stage-1 2/3] RUN one', false)],
      vertex('b', '[1/3] FROM construct'),
      vertex('b', '[1/3] FROM construct'),
      vertex('c', '[stage-1 2/3] RUN one\n  two'),
      vertex('d', 'exporting to image'),
    ),
  ).toEqual(['Step 1/3 : FROM construct', 'Step 2/3 : RUN one   two']);
});

test('output comes line by line, whole characters, and the last line although it does not end', () => {
  const bytes = [...Buffer.from('one\nzwö\nthree')];
  const cut = bytes.indexOf(0xc3) + 1;
  expect(read(log(bytes.slice(0, cut)), log(bytes.slice(cut)))).toEqual(['one', 'zwö', 'three']);
});

test('what is no trace at all is nothing', () => {
  expect(read([], [0xff, 0xff, 0xff], [7], sized(1, [0x0a, 0xff]), sized(3, []), [...Buffer.from('hello world')])).toEqual([]);
});
