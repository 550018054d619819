import { isDeepStrictEqual } from 'node:util';
import { parse, type TomlValue } from 'smol-toml';
import { JackinError } from '../shared/errors.ts';
import type { KeyPath } from './document.ts';

export type Table = Record<string, unknown>;

/** One change of a file's value. Several are applied in their order. */
export interface Edit {
  path: readonly (string | number)[];
  /** Undefined removes the key or element, and the tables that it leaves empty. */
  value: TomlValue | undefined;
}

export const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

export const isTableArray = (value: unknown): value is Table[] => Array.isArray(value) && value.length > 0 && value.every(isTable);

/** A copy of tables and arrays. `__proto__` is a name like any other. */
export const copy = <T>(value: T): T => {
  if (Array.isArray(value)) return value.map(copy) as T;
  return isTable(value) ? (Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)])) as T) : value;
};

/** Which element of its list a table was before the edits, so that it is known again however it changed. */
export type Origins = WeakMap<object, number>;

const copyWithOrigins = (value: unknown, origins: Origins): unknown => {
  if (isTable(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyWithOrigins(inner, origins)]));
  if (!Array.isArray(value)) return value;
  return value.map((element, at) => {
    const copied = copyWithOrigins(element, origins);
    if (isTable(copied)) origins.set(copied, at);
    return copied;
  });
};

/** The value of a TOML text, in tables that compare equal to those of edits: the parser's have no prototype. */
export const parseValue = (text: string): Table => copy<Table>(parse(text));

const setKey = (table: Table, key: string, value: unknown): void => {
  Object.defineProperty(table, key, { value, enumerable: true, writable: true, configurable: true });
};

const notA = (what: string, path: KeyPath): JackinError => new JackinError('conflict', `${path.join('.')} is not a ${what}, so nothing can be set or removed in it`);

const put = (container: Table | unknown[], name: string | number, value: unknown, path: KeyPath): void => {
  if (!Array.isArray(container)) setKey(container, name as string, value);
  else if ((name as number) <= container.length) container[name as number] = value;
  else throw new JackinError('conflict', `${path.join('.')}: the list has only ${container.length} elements`);
};

/** The container of a path's last step; made on the way when `make` says so, undefined when it is not there. */
const containerOf = (root: Table, path: KeyPath, make: boolean): Table | unknown[] | undefined => {
  let current: unknown = root;
  for (const [at, name] of path.slice(0, -1).entries()) {
    const here: KeyPath = path.slice(0, at);
    if (typeof name === 'number' ? !Array.isArray(current) : !isTable(current)) throw notA(typeof name === 'number' ? 'list' : 'table', here);
    const holder = current as Table;
    if (!Object.hasOwn(holder, name)) {
      if (!make) return undefined;
      put(holder, name, typeof path[at + 1] === 'number' ? [] : {}, path);
    }
    current = holder[name as string];
  }
  const isIndex = typeof path.at(-1) === 'number';
  if (isIndex ? !Array.isArray(current) : !isTable(current)) throw notA(isIndex ? 'list' : 'table', path.slice(0, -1));
  return current as Table | unknown[];
};

/** Without listing the keys, of which there may be many. */
const isEmpty = (table: Table): boolean => {
  for (const key in table) if (Object.hasOwn(table, key)) return false;
  return true;
};

const remove = (root: Table, path: KeyPath): void => {
  const container = containerOf(root, path, false);
  const name = path.at(-1)!;
  if (container === undefined || !Object.hasOwn(container, name)) return;
  if (Array.isArray(container)) container.splice(name as number, 1);
  else delete container[name as string];
  // Elements of lists stay even when they are empty: the ones behind them keep their place.
  if (isTable(container) && isEmpty(container) && path.length > 1 && typeof path.at(-2) === 'string') remove(root, path.slice(0, -1));
};

/** Pure: the value after the edits. What was which element before is noted in `origins`. */
export const applyEdits = (current: Table, edits: readonly Edit[], origins: Origins = new WeakMap()): Table => {
  const wanted = copyWithOrigins(current, origins) as Table;
  for (const { path, value } of edits) {
    if (value === undefined) {
      remove(wanted, path);
      continue;
    }
    put(containerOf(wanted, path, true)!, path.at(-1)!, copy(value), path);
  }
  return wanted;
};

/** Above this many comparisons, lists are matched element by element from the front. */
const MAX_CELLS = 250_000;

/** Pairs of equal elements in the same order in both, as many as there can be. */
const commonOf = (before: unknown[], after: unknown[]): [number, number][] => {
  if (before.length * after.length > MAX_CELLS) return [];
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      lengths[i]![j] = isDeepStrictEqual(before[i], after[j]) ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < before.length && j < after.length; ) {
    if (isDeepStrictEqual(before[i], after[j])) pairs.push([i++, j++]);
    else if (lengths[i + 1]![j]! >= lengths[i]![j + 1]!) i += 1;
    else j += 1;
  }
  return pairs;
};

/** Elements that the edits left or changed, told by their origin. Undefined when the list was set as a whole. */
const alignByOrigin = (before: unknown[], after: unknown[], origins: Origins): (number | undefined)[] | undefined => {
  const known = after.flatMap((element, to) => (isTable(element) && origins.has(element) ? [{ from: origins.get(element)!, to }] : []));
  if (known.length === 0) return undefined;
  // Once the others are gone, those that stay are counted anew.
  if (known.length === before.length) return known.map(({ to }) => to);
  const result: (number | undefined)[] = before.map(() => undefined);
  for (const { from, to } of known) result[from] = to;
  return result;
};

/**
 * What becomes of each element of a list: its index in the list after, undefined
 * when it goes. Without origins, equal ones are kept, and between them the first ones changed.
 */
export const alignLists = (before: unknown[], after: unknown[], origins: Origins): (number | undefined)[] => {
  const known = alignByOrigin(before, after, origins);
  if (known !== undefined) return known;
  let start = 0;
  while (start < before.length && start < after.length && isDeepStrictEqual(before[start], after[start])) start += 1;
  let tail = 0;
  const room = Math.min(before.length, after.length) - start;
  while (tail < room && isDeepStrictEqual(before.at(-1 - tail), after.at(-1 - tail))) tail += 1;
  const anchors: [number, number][] = [
    ...commonOf(before.slice(start, before.length - tail), after.slice(start, after.length - tail)).map(([i, j]): [number, number] => [i + start, j + start]),
    ...Array.from({ length: tail }, (_, n): [number, number] => [before.length - tail + n, after.length - tail + n]),
  ];
  const result: (number | undefined)[] = Array.from({ length: start }, (_, n) => n);
  let next = start;
  for (const [i, j] of [...anchors, [before.length, after.length] as const]) {
    while (result.length < i) result.push(next < j ? next++ : undefined);
    if (i < before.length) result.push(j);
    next = j + 1;
  }
  return result;
};
