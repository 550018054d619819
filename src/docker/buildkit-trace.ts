/**
 * BuildKit tells what it does in protobuf, inside the lines that the engine streams.
 * These few fields are all that is read of it; a decoder of the whole would be larger
 * than the rest of this folder.
 */

type Field = number | Uint8Array;

const LAST_BITS = 0x7f;

/** Fields of a message by number, in their order. Ends at what it cannot read. */
const fieldsOf = (bytes: Uint8Array): Map<number, Field[]> => {
  const found = new Map<number, Field[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & LAST_BITS) * factor;
      if (byte <= LAST_BITS) break;
    }
    return value;
  };
  const sized = (length: number): Uint8Array => {
    const part = bytes.subarray(at, at + length);
    at += length;
    return part;
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    const field = kind === 0 ? varint() : kind === 1 ? sized(8) : kind === 2 ? sized(varint()) : kind === 5 ? sized(4) : undefined;
    if (field === undefined) break;
    const number = Math.floor(tag / 8);
    const before = found.get(number);
    if (before === undefined) found.set(number, [field]);
    else before.push(field);
  }
  return found;
};

const parts = (fields: Map<number, Field[]>, number: number): Uint8Array[] => (fields.get(number) ?? []).filter((field) => typeof field !== 'number');

const textIn = (fields: Map<number, Field[]>, number: number): string => Buffer.from(parts(fields, number)[0] ?? []).toString();

const STATUS = { vertexes: 1, logs: 3 };
const VERTEX = { digest: 1, name: 3, started: 5 };
const LOG = { text: 4 };

/**
 * Turns the trace of a build into the lines that the classic builder would print:
 * `Step 2/5 : RUN make` when a step begins, and what it prints. Takes the base64 text
 * of one event after the other.
 */
export const traceReader = (onLine: (line: string) => void): { take: (base64: string) => void; end: () => void } => {
  const begun = new Set<string>();
  let pending = '';
  const decoder = new TextDecoder();
  const take = (base64: string): void => {
    const status = fieldsOf(Buffer.from(base64, 'base64'));
    for (const bytes of parts(status, STATUS.vertexes)) {
      const vertex = fieldsOf(bytes);
      const digest = textIn(vertex, VERTEX.digest);
      const [, number, count, text] = /^\[(?:\S+ +)?(\d+)\/(\d+)\] (.*)/s.exec(textIn(vertex, VERTEX.name)) ?? [];
      if (text === undefined || begun.has(digest) || !vertex.has(VERTEX.started)) continue;
      begun.add(digest);
      onLine(`Step ${number}/${count} : ${text.replaceAll('\n', ' ')}`);
    }
    for (const bytes of parts(status, STATUS.logs)) {
      const lines = (pending + decoder.decode(parts(fieldsOf(bytes), LOG.text)[0], { stream: true })).split('\n');
      pending = lines.pop() ?? '';
      lines.forEach(onLine);
    }
  };
  return { take, end: () => pending !== '' && onLine(pending) };
};
