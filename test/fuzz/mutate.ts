import { parse, stringify } from 'smol-toml';
import type { Random } from './random.ts';

/** How the inputs of a target are written: what a mutation may know of them. */
export type Form = 'bytes' | 'text' | 'lines' | 'json' | 'toml';

/** No longer than this: what grows with the input is found by smaller ones. */
const MAX_BYTES = 256 * 1024;

const NUMBERS = ['0', '-1', '-0', '1e308', '1e999', '-1e999', '9007199254740993', '18446744073709551616', '0.1', 'NaN', 'inf', '2147483648', '1e-400', '99999999999999999999'];
const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'length', 'then', 'toJSON', '', '.', '..', '\0', 'jk-a/../b'];
const TEXTS = [
  '\0', '\u001b]52;c;AAAA\u0007', '\u001b[2J', '\ud800', '\udfff\ud800', '\uffff', '\ufeff', '\u2028', '\u202e', '..', '../../etc/passwd', '/', '~', '-', '--flag', '$(id)', '${A}', '\r\n', '\t', '%00', '{}', '[]', 'null', '"', "'", '\\', '#', '=', ',', '\\u0000', '\\ud800', '\\x00',
  ...NAMES, ...NUMBERS,
]; // prettier-ignore
const BYTES = [[0x00], [0xff], [0xfe, 0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x28, 0xa1], [0x1b], [0x9b], [0x7f], [0x0d], [0x0a], [0xef, 0xbb, 0xbf]];

const nested = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth);

const oddText = (random: Random): string => {
  switch (random.below(8)) {
    case 0:
      return random.pick(TEXTS).repeat(1 + random.below(random.pick([3, 300, 20_000])));
    case 1:
      return 'a'.repeat(random.pick([0, 1, 64, 65, 255, 256, 4096, 100_000]));
    case 2:
      return nested(random.pick(['[', '{"a":', '{a=', '(']), random.pick([']', '}', ')']), random.pick([3, 100, 20_000]));
    default:
      return random.pick(TEXTS);
  }
};

/** Bytes that go where some others were. */
const splice = (bytes: Buffer, at: number, length: number, put: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + length)]);

const numberAt = (bytes: Buffer, random: Random): Buffer => {
  const found = [...bytes.toString('latin1').matchAll(/-?\d+(\.\d+)?/g)];
  if (found.length === 0) return bytes;
  const { index, 0: old } = random.pick(found);
  return splice(bytes, index, old.length, Buffer.from(random.pick(NUMBERS)));
};

const mutateBytes = (bytes: Buffer, seeds: readonly Buffer[], random: Random): Buffer => {
  const at = random.below(bytes.length + 1);
  const length = Math.min(bytes.length - at, random.below(random.pick([2, 16, 256])));
  switch (random.below(10)) {
    case 0:
      return splice(bytes, at, 1, Buffer.from([random.below(256)]));
    case 1:
      return splice(bytes, at, length, Buffer.alloc(0));
    case 2:
      return splice(bytes, at, 0, bytes.subarray(at, at + length));
    case 3:
      return splice(bytes, at, length, Buffer.from(random.pick(BYTES)));
    case 4:
      return splice(bytes, at, length, Buffer.from(oddText(random)));
    case 5:
      return bytes.subarray(0, at);
    case 6:
      return numberAt(bytes, random);
    case 7: {
      const other = random.pick(seeds);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))]);
    }
    case 8:
      return Buffer.from(bytes).fill(bytes[at] ?? 0, at, at + length);
    default: {
      if (bytes.length === 0) return bytes;
      const flipped = Buffer.from(bytes);
      const index = random.below(bytes.length);
      flipped[index] = flipped[index]! ^ (1 << random.below(8));
      return flipped;
    }
  }
};

const mutateLines = (bytes: Buffer, random: Random): Buffer => {
  const lines = bytes.toString('latin1').split('\n');
  const [from, to] = [random.below(lines.length), random.below(lines.length)];
  switch (random.below(5)) {
    case 0:
      lines.splice(from, 1);
      break;
    case 1:
      lines.splice(to, 0, ...Array.from({ length: random.pick([1, 2, 200]) }, () => lines[from]!));
      break;
    case 2:
      [lines[from], lines[to]] = [lines[to]!, lines[from]!];
      break;
    case 3:
      lines[from] = `${' '.repeat(random.below(9))}${lines[from]!.trim()}`;
      break;
    default:
      return Buffer.from(lines.join(random.pick(['\r\n', '\r', '\n\n'])), 'latin1');
  }
  return Buffer.from(lines.join('\n'), 'latin1');
};

type Tree = Record<string, unknown> | unknown[];

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !(value instanceof Date);

const oddValue = (random: Random, hasNull: boolean): unknown => {
  const values: unknown[] = [0, -1, 1e308, 2 ** 53 + 2, -(2 ** 31) - 1, 0.5, true, false, '', [], {}, [[]], [{}], { a: { b: {} } }, oddText(random), oddText(random), random.pick(NAMES), ...(hasNull ? [null, [null], Number.MAX_VALUE] : [])];
  return random.pick(values);
};

/** `__proto__` is a name like any other. */
const set = (tree: Tree, key: string, value: unknown): void => {
  Object.defineProperty(tree, key, { value, enumerable: true, writable: true, configurable: true });
};

const allTrees = (value: unknown, found: Tree[] = []): Tree[] => {
  if (!isTree(value) || found.length > 500) return found;
  found.push(value);
  for (const inner of Object.values(value)) allTrees(inner, found);
  return found;
};

/** Changes one place of a tree. */
const mutateTree = (root: unknown, random: Random, hasNull: boolean): unknown => {
  if (!isTree(root) || random.once(20)) return oddValue(random, hasNull);
  const tree = random.pick(allTrees(root));
  const keys = Object.keys(tree);
  const key = keys.length === 0 ? '0' : random.pick(keys);
  const value = (tree as Record<string, unknown>)[key];
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(tree)) tree.splice(Number(key), 1);
      else delete tree[key];
      break;
    case 1:
      if (Array.isArray(tree)) tree.push(...Array.from({ length: random.pick([1, 3, 500]) }, () => structuredClone(value)));
      else set(tree, random.pick([...NAMES, oddText(random), `${key}2`]), structuredClone(value));
      break;
    case 2:
      set(tree, key, structuredClone(random.pick(allTrees(root))));
      break;
    case 3:
      set(tree, key, [value]);
      break;
    default:
      set(tree, key, oddValue(random, hasNull));
  }
  return root;
};

/** The text of a tree, which may by now hold what the form cannot say. */
const mutateStructure = (bytes: Buffer, form: 'json' | 'toml', random: Random): Buffer | undefined => {
  try {
    const text = bytes.toString('utf8');
    let value: unknown = form === 'json' ? JSON.parse(text) : parse(text);
    for (let changes = 1 + random.below(3); changes > 0; changes -= 1) value = mutateTree(value, random, form === 'json');
    return Buffer.from(form === 'json' ? (JSON.stringify(value) ?? '') : stringify(value));
  } catch {
    return undefined;
  }
};

/** One input: a seed that was changed a few times, in what it holds or in its bytes. */
export const makeInput = (seeds: readonly Buffer[], form: Form, random: Random): Buffer => {
  let bytes = random.pick(seeds);
  if ((form === 'json' || form === 'toml') && !random.once(3)) bytes = mutateStructure(bytes, form, random) ?? bytes;
  for (let changes = random.below(4); changes > 0; changes -= 1) {
    bytes = form !== 'bytes' && form !== 'json' && random.once(2) ? mutateLines(bytes, random) : mutateBytes(bytes, seeds, random);
  }
  return bytes.subarray(0, MAX_BYTES);
};
