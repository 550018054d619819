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
  /** The beginning of a frame, in room for all of it: a frame that comes byte by byte takes no more than its size. */
  let held = Buffer.alloc(0);
  let length = 0;
  const hold = (bytes: Buffer, wanted: number) => {
    if (wanted > held.byteLength) {
      const room = Buffer.allocUnsafe(wanted);
      held.copy(room, 0, 0, length);
      held = room;
    }
    bytes.copy(held, length);
    length += bytes.byteLength;
  };
  /** Hands on what is whole, and gives what is left. */
  const handOn = (bytes: Buffer): Buffer => {
    let rest = bytes;
    for (let whole = sizeOf(rest, rest.byteLength); rest.byteLength >= whole; whole = sizeOf(rest, rest.byteLength)) {
      onFrame({ type: rest.readUInt8(0), payload: rest.subarray(HEADER_BYTES, whole) });
      rest = rest.subarray(whole);
    }
    return rest;
  };
  return (chunk) => {
    let rest = chunk;
    // The frame that was begun is made whole first; a large frame in many chunks costs one copy.
    while (length > 0 && rest.byteLength > 0) {
      const wanted = sizeOf(held, length);
      const missing = wanted - length;
      if (rest.byteLength < missing) return hold(rest, wanted);
      hold(rest.subarray(0, missing), wanted);
      rest = rest.subarray(missing);
      if (length < sizeOf(held, length)) continue;
      const whole = held.subarray(0, length);
      held = Buffer.alloc(0);
      length = 0;
      handOn(whole);
    }
    rest = handOn(rest);
    if (rest.byteLength > 0) hold(rest, sizeOf(rest, rest.byteLength));
  };
};

/** Bytes of the frame that begins here, as far as that is known from so many. */
const sizeOf = (bytes: Buffer, known: number): number => (known < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + payloadLength(bytes));

const payloadLength = (header: Buffer): number => {
  const bytes = header.readUInt32BE(1);
  refuseOversize(bytes);
  return bytes;
};

const refuseOversize = (bytes: number): void => {
  if (bytes > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${bytes} bytes is over the limit of ${MAX_FRAME_BYTES}`);
};
