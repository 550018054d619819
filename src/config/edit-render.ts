import { patch } from '@decimalturn/toml-patch';
import { stringify, type TomlValue } from 'smol-toml';
import { isDeepStrictEqual } from 'node:util';
import { type AST, parseTOML } from 'toml-eslint-parser';
import { endOfLine, isOwnLine, lineBreakOf, type TomlTree } from './edit-tree.ts';
import { alignLists, isTable, isTableArray, type Origins, parseValue, type Table } from './edit-values.ts';

/** How new keys and values are written, and how values are changed where they stand. */

export const renderKey = (key: string): string => (/^[A-Za-z0-9_-]+$/.test(key) ? key : stringify({ [key]: 0 }).replace(/ = 0\s*$/, ''));

export const renderValue = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(renderValue).join(', ')}]`;
  if (!isTable(value)) return stringify({ x: value as TomlValue }).trimEnd().slice('x = '.length);
  const pairs = Object.entries(value).map(([key, inner]) => `${renderKey(key)} = ${renderValue(inner)}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
};

/** References and named mounts are values of one line; every other table is a section of its own. */
export const isSection = (value: unknown): boolean =>
  isTable(value) ? typeof value.op !== 'string' && typeof value.src !== 'string' : isTableArray(value);

const renderSection = (path: readonly string[], title: string, table: Table): string[] => {
  const entries = Object.entries(table);
  const lines = entries.filter(([, value]) => !isSection(value)).map(([key, value]) => `${renderKey(key)} = ${renderValue(value)}`);
  const below = entries.filter(([, value]) => isSection(value)).flatMap(([key, value]) => renderSections([...path, key], value));
  // A table without keys of its own needs no header when something below it has one.
  const isImplied = lines.length === 0 && below.length > 0 && !title.startsWith('[[');
  return isImplied ? below : [[title, ...lines].join('\n'), ...below];
};

/** The sections, each without a line break at its end, that give `path` this value. */
export const renderSections = (path: readonly string[], value: unknown): string[] => {
  const name = path.map(renderKey).join('.');
  if (Array.isArray(value)) return value.flatMap((element) => renderSection(path, `[[${name}]]`, element as Table));
  return renderSection(path, `[${name}]`, value as Table);
};

const renderLike = (old: AST.TOMLContentNode, value: unknown): string => {
  const isLiteral = old.type === 'TOMLValue' && old.kind === 'string' && old.style === 'literal';
  // oxlint-disable-next-line no-control-regex
  return isLiteral && typeof value === 'string' && !/['\u0000-\u001f\u007f]/.test(value) ? `'${value}'` : renderValue(value);
};

const PREFIX = 'x = ';
const MAX_PATCHED = 8000;

/** A list or inline table changed by the library, which keeps what stands in it. Undefined when it cannot. */
const patchValue = (text: string, steps: unknown[], lineBreak: string): string | undefined => {
  const isMixed = (part: string): boolean => part.replaceAll(lineBreak, '').includes('\n');
  // It writes a warning to the terminal when line breaks differ, may bring in other ones with a
  // text of several lines, and takes time that grows faster than the square of the length.
  if (text.length > MAX_PATCHED || isMixed(text)) return undefined;
  try {
    const result = steps.reduce<string>((current, step) => patch(current, { x: step }), `${PREFIX}${text}`).trimEnd();
    const isWanted = result.startsWith(PREFIX) && !isMixed(result) && isDeepStrictEqual(parseValue(result), { x: steps.at(-1) });
    return isWanted ? result.slice(PREFIX.length) : undefined;
  } catch {
    return undefined;
  }
};

/** Comments inside a value, those with a line for themselves told apart: the same words elsewhere say something else. */
const commentsOf = (value: string): string[] => {
  const text = `${PREFIX}${value}`;
  return parseTOML(text).comments.map((comment) => `${isOwnLine(text, comment)}${comment.value}`);
};

/** What of `before` is not in `after`, each as often as it is missing. */
export const missingFrom = (after: readonly string[], before: readonly string[]): string[] => {
  const rest = new Map<string, number>();
  for (const comment of after) rest.set(comment, (rest.get(comment) ?? 0) + 1);
  return before.filter((comment) => {
    const left = rest.get(comment) ?? 0;
    rest.set(comment, left - 1);
    return left <= 0;
  });
};

/** Comments behind elements of a list that go, on the same line: they go with them. */
const commentsOfRemoved = ({ text, comments }: TomlTree, { elements }: AST.TOMLArray, kept: (number | undefined)[]): AST.Comment[] => {
  const byEnd = new Map(comments.map((comment) => [endOfLine(text, comment.range[0]), comment]));
  return elements.flatMap(({ range }, at) => {
    const end = endOfLine(text, range[1]);
    const next = elements[at + 1];
    const isLastOfLine = next === undefined || next.range[0] >= end;
    return kept[at] === undefined && isLastOfLine ? (byEnd.get(end) ?? []) : [];
  });
};

export interface Replacement {
  text: string;
  /** Comments that went with removed elements. */
  dropped: AST.Comment[];
}

/** The text of a value that is changed where it stands. Undefined when a comment in it would be lost. */
export const replaceValue = (tree: TomlTree, old: AST.TOMLContentNode, before: unknown, after: unknown, origins: Origins): Replacement | undefined => {
  const text = tree.text.slice(...old.range);
  if (old.type === 'TOMLValue') return { text: renderLike(old, after), dropped: [] };
  const isList = old.type === 'TOMLArray' && Array.isArray(before) && Array.isArray(after);
  const kept = isList ? alignLists(before, after, origins) : [];
  const dropped = isList ? commentsOfRemoved(tree, old, kept) : [];
  const allowed = dropped.map(({ value }) => `false${value}`);
  const steps = isList ? [before.filter((_, at) => kept[at] !== undefined), after] : [after];
  for (const candidate of [patchValue(text, steps, lineBreakOf(tree.text)), renderValue(after)]) {
    if (candidate === undefined) continue;
    const lost = missingFrom(commentsOf(candidate), commentsOf(text));
    if (missingFrom(allowed, lost).length === 0) return { text: candidate, dropped };
  }
  return undefined;
};
