import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJson, encodeData, encodeFrame, encodeJson, frameReader, type Frame } from '../../../src/capsule/frames.ts';
import { FrameType, MAX_FRAME_BYTES } from '../../../src/capsule/protocol.ts';

const readAll = (chunks: Iterable<Uint8Array>): Frame[] => {
  const frames: Frame[] = [];
  const read = frameReader((frame) => frames.push(frame));
  for (const chunk of chunks) read(Buffer.from(chunk));
  return frames;
};

/** Cuts bytes at these places, taken modulo the length. */
const cut = (bytes: Buffer, places: number[]): Buffer[] => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
};

const frame = fc.record({ type: fc.constantFrom(...Object.values(FrameType)), payload: fc.uint8Array({ maxLength: 3000 }) });

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 40 }), (frames, places) => {
        const bytes = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
        const got = readAll(cut(bytes, places));
        expect(got.map(({ type, payload }) => [type, [...payload]])).toEqual(frames.map(({ type, payload }) => [type, [...payload]]));
      }),
    );
  });

  it('carry any amount of data in pieces that are within the limit', () => {
    const bytes = Buffer.alloc(3 * MAX_FRAME_BYTES + 17, 'jackin');
    const got = readAll([encodeData(FrameType.output, bytes)]);
    expect(got.every(({ payload }) => payload.byteLength <= MAX_FRAME_BYTES)).toBe(true);
    expect(Buffer.concat(got.map(({ payload }) => payload)).equals(bytes)).toBe(true);
    expect(encodeData(FrameType.output, Buffer.alloc(0))).toHaveLength(0);
  });

  it('over the limit are refused by their header alone, and cannot be written', () => {
    const header = Buffer.from([FrameType.launch, 0, 0, 0, 0]);
    header.writeUInt32BE(MAX_FRAME_BYTES + 1, 1);
    expect(() => readAll([header])).toThrow(/over the limit/);
    expect(() => encodeFrame(FrameType.launch, Buffer.alloc(MAX_FRAME_BYTES + 1))).toThrow(/over the limit/);
    header.writeUInt32BE(MAX_FRAME_BYTES, 1);
    expect(readAll([header])).toEqual([]);
  });

  it('are not held once they are handed on, whatever has come behind them', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const read = frameReader(() => {});
    const readOne = (behind: number): WeakRef<ArrayBufferLike> => {
      const chunk = Buffer.concat([encodeJson(FrameType.launch, { key: 'fake' }), Buffer.alloc(behind, FrameType.input)]);
      // Of memory of its own, as what comes from a socket is.
      const own = Buffer.from(new Uint8Array(chunk).buffer);
      read(own);
      return new WeakRef(own.buffer);
    };
    for (const behind of [0, 3]) {
      const held = readOne(behind);
      // A reference that was made in this turn is held until the next one.
      await setImmediate();
      collect();
      expect(held.deref(), `${behind} bytes behind it`).toBeUndefined();
    }
  });

  it('that come byte by byte take no more memory than they are large', { timeout: 60_000 }, () => {
    const length = MAX_FRAME_BYTES / 4;
    const got: Frame[] = [];
    const read = frameReader((whole) => got.push(whole));
    const header = Buffer.from([FrameType.output, 0, 0, 0, 0]);
    header.writeUInt32BE(length, 1);
    const used = () => process.memoryUsage.rss();
    const before = used();
    read(header);
    for (let at = 0; at < length; at += 1) read(Buffer.from([at % 251]));
    expect(used() - before).toBeLessThan(40 * length);
    expect(got).toHaveLength(1);
    expect(got[0]!.payload.every((byte, at) => byte === at % 251)).toBe(true);
  });

  it('with broken JSON are refused without being quoted', () => {
    const payload = Buffer.from('{"key": sk-do-not-print}');
    expect(() => decodeJson({ type: FrameType.launch, payload })).toThrow(/^(?!.*sk-do-not-print).*not JSON/);
    expect(decodeJson(readAll([encodeJson(FrameType.list, { a: 'ä' })])[0] as Frame)).toEqual({ a: 'ä' });
  });
});
