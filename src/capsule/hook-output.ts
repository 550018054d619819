import { trimTail } from '../shared/trim.ts';

const MAX_LINES = 20;
const MAX_BYTES = 4096;
/** More than is ever shown, so that what hides in it is found before it is cut. */
const KEPT_BYTES = 4 * MAX_BYTES;
/** A shorter value is found in every other word. */
const SECRET_LENGTH = 8;

/** What a program says to a terminal: colours, titles, the cursor. */
// oxlint-disable-next-line no-control-regex
const SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;

/** What must not be shown, as one pattern; longer ones first, since they may hold the others. */
const patternOf = (values: readonly string[]): RegExp | undefined => {
  const wanted = values.flatMap((value) => [value, ...value.split('\n')]).filter((value) => value.trim().length >= SECRET_LENGTH);
  const sorted = [...new Set(wanted)].sort((a, b) => b.length - a.length);
  return sorted.length === 0 ? undefined : new RegExp(sorted.map((value) => value.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)).join('|'), 'g');
};

const redact = (text: string, pattern: RegExp | undefined): string =>
  pattern === undefined ? text : text.replaceAll(pattern, (found) => found.split('\n').map(() => '[secret]').join('\n'));

/** The text from `start` on, or from the end of the secret that lies across it. */
const fromWhole = (text: string, start: number, pattern: RegExp | undefined): string => {
  let from = start;
  for (const { index, 0: found } of pattern === undefined ? [] : text.matchAll(pattern)) {
    if (index < from && index + found.length > from) from = index + found.length;
  }
  return text.slice(from);
};

/** What a terminal would show of a line, without what could rewrite the one that it is shown on. */
const plain = (line: string): string =>
  trimTail(line.replaceAll(SEQUENCES, ''), '\r')
    .replace(/^.*\r/s, '')
    .replaceAll('\t', ' ')
    .replaceAll(/\p{Cc}/gu, '');

const shorten = (line: string): string => {
  const bytes = Buffer.from(line);
  return bytes.byteLength <= MAX_BYTES ? line : `…${bytes.subarray(-MAX_BYTES).toString().replace(/^\ufffd+/, '')}`;
};

/** The last lines that there is room for. */
const lastLines = (lines: readonly string[]): string[] => {
  const shown: string[] = [];
  let room = MAX_BYTES;
  for (const line of lines.slice(-MAX_LINES).reverse()) {
    room -= Buffer.byteLength(line);
    if (room < 0 && shown.length > 0) break;
    shown.unshift(shorten(line));
  }
  return shown;
};

export interface OutputEnd {
  add: (bytes: Buffer) => void;
  /** At most 20 lines and 4 KiB, and how many there were before; undefined when there is nothing to show. */
  lines: () => string[] | undefined;
}

/**
 * Keeps the end of what a program prints, however much that is, and shows it without
 * control characters and without any of the secret values: they are looked for before
 * anything is cut away, since half of one would not be recognised.
 */
export const keepEnd = (secrets: readonly string[]): OutputEnd => {
  const pattern = patternOf(secrets);
  const longest = Math.max(0, ...secrets.map((value) => Buffer.byteLength(value)));
  const kept = KEPT_BYTES + 2 * longest;
  let chunks: Buffer[] = [];
  let size = 0;
  let breaks = 0;
  let isCut = false;
  return {
    add: (bytes) => {
      for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) breaks += 1;
      chunks.push(bytes);
      size += bytes.byteLength;
      if (size <= 2 * kept) return;
      chunks = [Buffer.from(Buffer.concat(chunks).subarray(-kept))];
      size = kept;
      isCut = true;
    },
    lines: () => {
      const text = Buffer.concat(chunks).toString();
      // The beginning may be the rest of a secret.
      const whole = isCut ? fromWhole(text, longest, pattern) : text;
      const ended = whole.endsWith('\n');
      const all = redact(whole, pattern).split('\n').slice(0, ended ? -1 : undefined);
      // Once more: sequences may have stood in the middle of one.
      const shown = lastLines(all.map((line) => redact(plain(line), pattern)));
      if (shown.every((line) => line.trim() === '')) return undefined;
      const before = breaks + (ended ? 0 : 1) - shown.length;
      return [...(before > 0 ? [`… ${before} ${before === 1 ? 'line' : 'lines'} before`] : []), ...shown];
    },
  };
};
