import type { Message, MessageName } from './messages.ts';
import { FrameType, MAX_FRAME_BYTES } from './protocol.ts';

const HEADER_BYTES = 5;
/** Data is cut into pieces of this size, so that control frames never wait long behind it. */
const DATA_BYTES = 256 * 1024;

export interface Frame {
  /** Not necessarily one of {@link FrameType}: the other side may know more types. */
  type: number;
  payload: Buffer;
}

/** One frame, ready to be written. Throws a RangeError when the payload is over the limit. */
export const encodeFrame = (type: FrameType, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  refuseOversize(payload.byteLength);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.byteLength);
  frame.writeUInt8(type, 0);
  frame.writeUInt32BE(payload.byteLength, 1);
  frame.set(payload, HEADER_BYTES);
  return frame;
};

/** One control frame. */
export const encodeJson = (type: FrameType, value: unknown): Buffer => encodeFrame(type, Buffer.from(JSON.stringify(value)));

/** One message of the capsule to the host. */
export const encodeMessage = <N extends MessageName>(name: N, message: Message<N>): Buffer => encodeJson(FrameType[name], message);

/** As many data frames as the bytes need, in one buffer; none for no bytes. */
export const encodeData = (type: FrameType, bytes: Uint8Array): Buffer => {
  if (bytes.byteLength <= DATA_BYTES) return bytes.byteLength === 0 ? Buffer.alloc(0) : encodeFrame(type, bytes);
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.byteLength; at += DATA_BYTES) frames.push(encodeFrame(type, bytes.subarray(at, at + DATA_BYTES)));
  return Buffer.concat(frames);
};

/** The JSON of a control frame. Throws a SyntaxError that does not quote it: it may hold secrets. */
export const decodeJson = (frame: Frame): unknown => {
  try {
    return JSON.parse(frame.payload.toString('utf8'));
  } catch {
    throw new SyntaxError(`the payload of frame type ${frame.type} is not JSON`);
  }
};

/**
 * A function that takes the bytes of a stream in any chunks and hands on whole
 * frames. It throws a RangeError as soon as a header announces a frame over the
 * limit; the stream is of no use after that.
 */
export const frameReader = (onFrame: (frame: Frame) => void): ((chunk: Buffer) => void) => {
  let parts: Buffer[] = [];
  let length = 0;
  let wanted = HEADER_BYTES;
  return (chunk) => {
    parts.push(chunk);
    length += chunk.byteLength;
    // Joined only when something is complete: a large frame in many chunks costs one copy.
    if (length < wanted) return;
    let rest = parts.length === 1 ? chunk : Buffer.concat(parts, length);
    for (;;) {
      wanted = rest.byteLength < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + payloadLength(rest);
      if (rest.byteLength < wanted) break;
      const frame = { type: rest.readUInt8(0), payload: rest.subarray(HEADER_BYTES, wanted) };
      rest = rest.subarray(wanted);
      onFrame(frame);
    }
    // A copy: a part of a chunk would hold all of it, and with it the keys of a frame that was handed on.
    parts = rest.byteLength === 0 ? [] : [Buffer.from(rest)];
    length = rest.byteLength;
  };
};

const payloadLength = (header: Buffer): number => {
  const bytes = header.readUInt32BE(1);
  refuseOversize(bytes);
  return bytes;
};

const refuseOversize = (bytes: number): void => {
  if (bytes > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${bytes} bytes is over the limit of ${MAX_FRAME_BYTES}`);
};
