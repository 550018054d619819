import type { Secret } from '../shared/secret.ts';
import { CARRIAGE_RETURN, formsOf, isLineBreak, LINE_FEED, type SecretForm } from './secret-forms.ts';

/** A secret that was found: its index among those that are looked for, and how it was wrapped. */
export interface Hit {
  secret: number;
  form: SecretForm;
}

/** The search of one text, which may come in pieces. */
export interface Scan {
  push: (chunk: Uint8Array) => void;
  /** What was found so far, each secret once in each form. */
  hits: () => Hit[];
}

export interface Finder {
  start: () => Scan;
  /** What one text holds. */
  hitsIn: (text: string | Uint8Array) => Hit[];
  /** A path or name without the parts that hold a secret: what is found must not be told to the terminal. */
  mask: (name: string) => string;
}

interface Needle extends Hit {
  bytes: Buffer;
}

const MIN_BYTES = 8;

/** Bytes that decide together how far the search may jump. */
const BLOCK = 3;
const SLOTS = 0x10000;

const slotOf = (text: Uint8Array, last: number): number => ((text[last - 2]! << 8) ^ (text[last - 1]! << 4) ^ text[last]!) & 0xffff;

interface Table {
  /** Length of the shortest needle: the window that is moved over the text. */
  window: number;
  longest: number;
  /** How far the window may move when its last bytes are these. */
  jumps: Uint8Array;
  /** Needles whose first bytes fill a window that ends so. */
  needles: Map<number, Needle[]>;
}

/**
 * The table of Wu and Manber: one pass finds any number of needles, and looks at a
 * fraction of the bytes. An image has hundreds of megabytes, and a secret some ten forms.
 */
const buildTable = (all: readonly Needle[]): Table => {
  const window = Math.min(...all.map(({ bytes }) => bytes.length));
  const jumps = new Uint8Array(SLOTS).fill(Math.min(255, window - BLOCK + 1));
  const needles = new Map<number, Needle[]>();
  for (const needle of all) {
    for (let last = BLOCK - 1; last < window; last += 1) {
      const slot = slotOf(needle.bytes, last);
      jumps[slot] = Math.min(jumps[slot]!, window - 1 - last);
    }
    const slot = slotOf(needle.bytes, window - 1);
    needles.set(slot, [...(needles.get(slot) ?? []), needle]);
  }
  return { window, longest: Math.max(...all.map(({ bytes }) => bytes.length)), jumps, needles };
};

const standsAt = (text: Uint8Array, start: number, { bytes }: Needle): boolean => {
  if (start + bytes.length > text.length) return false;
  for (let at = 0; at < bytes.length; at += 1) if (text[start + at] !== bytes[at]) return false;
  return true;
};

const search = ({ window, jumps, needles }: Table, text: Uint8Array, found: Set<Needle>): void => {
  const { length } = text;
  let last = window - 1;
  while (last < length) {
    const slot = slotOf(text, last);
    const jump = jumps[slot]!;
    if (jump > 0) {
      last += jump;
      continue;
    }
    for (const needle of needles.get(slot) ?? []) {
      if (!found.has(needle) && standsAt(text, last - window + 1, needle)) found.add(needle);
    }
    last += 1;
  }
};

const uniqueHits = (found: ReadonlySet<Needle>): Hit[] => {
  const hits = new Map([...found].map(({ secret, form }) => [`${secret} ${form}`, { secret, form }]));
  return [...hits.values()];
};

const NOTHING: Scan = { push: () => undefined, hits: () => [] };

/** Takes a byte out of what stands from `start` on, in place; what is left. Moves pieces, not bytes: four times as fast. */
const withoutByte = (text: Buffer, start: number, byte: number): Buffer => {
  let end = text.indexOf(byte, start);
  if (end === -1) return text;
  for (let from = end + 1; from < text.length; ) {
    const next = text.indexOf(byte, from);
    const piece = next === -1 ? text.length : next;
    text.copyWithin(end, from, piece);
    end += piece - from;
    from = piece + 1;
  }
  return text.subarray(0, end);
};

/** Keeps of every piece of a text what may be the beginning of a find. */
const scanner = (table: Table): (() => Scan) => {
  // One for all: a piece is searched before the next one is taken, of whatever text.
  let work = Buffer.alloc(0);
  return () => {
    const found = new Set<Needle>();
    let kept = Buffer.alloc(0);
    const push = (chunk: Uint8Array): void => {
      const length = kept.length + chunk.length;
      if (work.length < length) work = Buffer.alloc(2 * length);
      work.set(kept);
      work.set(chunk, kept.length);
      const text = withoutByte(withoutByte(work.subarray(0, length), kept.length, LINE_FEED), kept.length, CARRIAGE_RETURN);
      search(table, text, found);
      kept = Buffer.from(text.subarray(Math.max(0, text.length - table.longest + 1)));
    };
    return { push, hits: () => uniqueHits(found) };
  };
};

/** Whether a secret has so few characters, line breaks aside, that it would be found everywhere. */
export const isTooShort = (secret: Secret): boolean => Buffer.from(secret.reveal()).filter((byte) => !isLineBreak(byte)).length < MIN_BYTES;

/** Which of the secrets are one and the same, as keys that say nothing of them. */
export const sameSecrets = (secrets: readonly Secret[]): number[] => {
  const first = new Map<string, number>();
  return secrets.map((secret, index) => {
    const value = secret.reveal();
    if (!first.has(value)) first.set(value, index);
    return first.get(value)!;
  });
};

/** Looks for secrets in all their forms. One that is too short for that is an error of the caller. */
export const createFinder = (secrets: readonly Secret[]): Finder => {
  const needles = secrets.flatMap((secret, index) => formsOf(secret.reveal()).map(({ form, bytes }) => ({ secret: index, form, bytes })));
  if (secrets.some(isTooShort)) throw new Error('a secret is too short to be looked for');
  const start = needles.length === 0 ? () => NOTHING : scanner(buildTable(needles));
  const hitsIn = (text: string | Uint8Array): Hit[] => {
    const scan = start();
    scan.push(typeof text === 'string' ? Buffer.from(text) : text);
    return scan.hits();
  };
  const mask = (name: string): string => {
    if (hitsIn(name).length === 0) return name;
    const parts = name.split('/').map((part) => (hitsIn(part).length === 0 ? part : '[secret]')).join('/');
    // The secret itself may have slashes.
    return hitsIn(parts).length === 0 ? parts : '[secret]';
  };
  return { start, hitsIn, mask };
};
