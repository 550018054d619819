import { isDeepStrictEqual } from 'node:util';
import { TomlError } from 'smol-toml';
import { type AST, ParseError } from 'toml-eslint-parser';
import type { KeyPath } from './document.ts';
import { isSection, missingFrom, renderKey, renderSections, renderValue, replaceValue } from './edit-render.ts';
import { applySplices, mergeRanges, removeLines, type Splice } from './edit-splices.ts';
import {
  aboveSection,
  endOfLine,
  endOfSection,
  firstPairOf,
  isBlank,
  lineAt,
  lineBreakOf,
  pairsOf,
  parseTree,
  startOfLine,
  topOf,
  type TomlNode,
  type TomlTree,
} from './edit-tree.ts';
import { alignLists, isTable, isTableArray, type Origins, parseValue, type Table } from './edit-values.ts';

/** The value in this text cannot be changed without losing a comment that stands in it. */
class CommentAtRisk extends Error {}

const namesOnly = (path: KeyPath): string[] => path.filter((name) => typeof name === 'string');

/** Elements of an array of tables: sections of their own, not a list in brackets. */
const isSectionList = (node: TomlNode): boolean => node.children.get(0)?.header?.kind === 'array';

/** What has to go before the rest can be set: keys and elements that are not wanted, tables that become something else. */
const unwanted = (node: TomlNode | undefined, before: unknown, after: unknown, origins: Origins, path: KeyPath = []): KeyPath[] => {
  if (node === undefined || node.pair !== undefined || isDeepStrictEqual(before, after)) return [];
  if (isTable(before) && isTable(after)) {
    return Object.entries(before).flatMap(([key, value]) =>
      Object.hasOwn(after, key) ? unwanted(node.children.get(key), value, after[key], origins, [...path, key]) : [[...path, key]],
    );
  }
  if (isSectionList(node) && isTableArray(before) && isTableArray(after)) {
    const kept = alignLists(before, after, origins);
    return before.flatMap((element, at) => {
      const to = kept[at];
      return to === undefined ? [[...path, at]] : unwanted(node.children.get(at), element, after[to], origins, [...path, at]);
    });
  }
  return [path];
};

/** Without these paths. A comment line stays where it is, unless it stands inside a value or an element that goes. */
const withoutPaths = (tree: TomlTree, paths: KeyPath[]): { text: string; dropped: AST.Comment[] } => {
  const { text, entries, comments } = tree;
  const gone = new Set(paths.map((path) => JSON.stringify(path)));
  const isGone = (path: KeyPath): boolean => path.some((_, at) => gone.has(JSON.stringify(path.slice(0, at + 1))));
  const lines = (from: number, to: number) => ({ start: startOfLine(text, from), end: endOfLine(text, to) });
  const pairs = pairsOf(tree).flatMap(({ path, pair: { range } }) => (isGone(path) ? [lines(...range)] : []));
  const sections = entries.flatMap((entry) => {
    if (entry.type !== 'TOMLTable' || !isGone(entry.resolvedKey)) return [];
    const header = lines(...entry.key.range);
    const isInElement = entry.resolvedKey.some((name) => typeof name === 'number');
    return [isInElement ? { ...header, end: endOfSection(text, entry) } : header];
  });
  const ranges = mergeRanges([...pairs, ...sections]);
  let next = 0;
  const dropped = comments.filter(({ range: [at] }) => {
    while (next < ranges.length && ranges[next]!.end <= at) next += 1;
    return next < ranges.length && ranges[next]!.start <= at;
  });
  return { text: removeLines(text, ranges), dropped };
};

/** The end of the lines of a section, with the comments right below it that do not belong to what follows. */
const behindSection = ({ text, entries, commentLines }: TomlTree, section: AST.TOMLTable): number => {
  if (section === entries.at(-1)) return text.length;
  const end = endOfSection(text, section);
  let at = end;
  while (commentLines.has(at)) at = endOfLine(text, at);
  return isBlank(lineAt(text, at)) ? at : end;
};

/** The key behind which new keys of a table are written, and what is written before their names. */
const placeOfKeys = (tree: TomlTree, node: TomlNode, path: KeyPath): { at: number; indent: string; prefix: string[] } | undefined => {
  const { text, entries, root } = tree;
  const behind = (pair: AST.TOMLKeyValue, prefix: string[]) => {
    const start = startOfLine(text, pair.range[0]);
    return { at: endOfLine(text, pair.range[1]), indent: text.slice(start, pair.range[0]), prefix };
  };
  if (node === root) {
    const last = entries.findLast((entry) => entry.type === 'TOMLKeyValue');
    return last === undefined ? { at: topOf(text), indent: '', prefix: [] } : behind(last, []);
  }
  if (node.header !== undefined) {
    const last = node.header.body.at(-1);
    return last === undefined ? { at: endOfSection(text, node.header), indent: '', prefix: [] } : behind(last, []);
  }
  return node.dotted === undefined ? undefined : behind(node.dotted.pair, namesOnly(path.slice(node.dotted.base)));
};

/** New keys and tables of a table that stands in the text. */
const additions = (tree: TomlTree, node: TomlNode, path: KeyPath, added: [string, unknown][]): Splice[] => {
  if (added.length === 0) return [];
  const place = placeOfKeys(tree, node, path);
  // A table made by dotted keys cannot be opened again by a header.
  const isInline = node !== tree.root && node.header === undefined && node.dotted !== undefined;
  const keys = added.filter(([, value]) => isInline || !isSection(value));
  const tables = added.filter(([, value]) => !isInline && isSection(value));
  const below = tables.flatMap(([key, value]) => renderSections([...namesOnly(path), key], value)).map((text): Splice => {
    return { kind: 'section', start: node === tree.root ? tree.text.length : behindSection(tree, node.lastSection!), text };
  });
  if (place === undefined) {
    // There is no header yet: it goes above the first table below it.
    const own = keys.length === 0 ? [] : renderSections(namesOnly(path), Object.fromEntries(keys));
    return [...own.map((text): Splice => ({ kind: 'section', start: aboveSection(tree, node.firstSection!), text })), ...below];
  }
  const lines = keys.map(([key, value]): Splice => {
    const name = [...place.prefix, key].map(renderKey).join('.');
    // The version is the first key of every file.
    const isVersion = node === tree.root && key === 'version';
    return { kind: 'line', start: isVersion ? topOf(tree.text) : place.at, text: `${isVersion ? '' : place.indent}${name} = ${renderValue(value)}` };
  });
  return [...lines.sort((a, b) => Number(b.text.startsWith('version =')) - Number(a.text.startsWith('version ='))), ...below];
};

/** New elements of an array of tables, each behind the one before it. */
const newElements = (tree: TomlTree, node: TomlNode, path: KeyPath, kept: (number | undefined)[], after: Table[]): Splice[] => {
  const old = new Set(kept);
  return after.flatMap((element, to) => {
    if (old.has(to)) return [];
    const previous = kept.findLastIndex((other) => other !== undefined && other < to);
    const first = node.children.get(0)!.header!;
    const start = previous === -1 ? aboveSection(tree, first) : behindSection(tree, node.children.get(previous)!.lastSection!);
    return renderSections(namesOnly(path), [element]).map((text): Splice => ({ kind: 'section', start, text }));
  });
};

interface Changes {
  origins: Origins;
  splices: Splice[];
  dropped: AST.Comment[];
}

/** What has to be set and added, once nothing unwanted is left. */
const collect = (tree: TomlTree, node: TomlNode, before: unknown, after: unknown, path: KeyPath, changes: Changes): void => {
  if (isDeepStrictEqual(before, after)) return;
  if (node.pair !== undefined) {
    const { value } = node.pair;
    const replaced = replaceValue(tree, value, before, after, changes.origins);
    if (replaced === undefined) throw new CommentAtRisk();
    changes.splices.push({ kind: 'replace', start: value.range[0], end: value.range[1], text: replaced.text });
    changes.dropped.push(...replaced.dropped);
    return;
  }
  if (isTable(before) && isTable(after)) {
    for (const [key, value] of Object.entries(before)) collect(tree, node.children.get(key)!, value, after[key], [...path, key], changes);
    changes.splices.push(...additions(tree, node, path, Object.entries(after).filter(([key]) => !Object.hasOwn(before, key))));
    return;
  }
  const [elements, wanted] = [before as Table[], after as Table[]];
  const kept = alignLists(elements, wanted, changes.origins);
  elements.forEach((element, at) => collect(tree, node.children.get(at)!, element, wanted[kept[at]!], [...path, at], changes));
  changes.splices.push(...newElements(tree, node, path, kept, wanted));
};

const rewrite = (original: string, wanted: Table, origins: Origins): string | undefined => {
  const dropped: AST.Comment[] = [];
  let text = original;
  let tree = parseTree(text);
  const { comments } = tree;
  for (let gone = unwanted(tree.root, parseValue(text), wanted, origins); gone.length > 0; gone = unwanted(tree.root, parseValue(text), wanted, origins)) {
    const rest = withoutPaths(tree, gone);
    dropped.push(...rest.dropped);
    text = rest.text;
    tree = parseTree(text);
  }
  const changes: Changes = { origins, splices: [], dropped };
  collect(tree, tree.root, parseValue(text), wanted, [], changes);
  const result = applySplices(text, changes.splices, { lineBreak: lineBreakOf(original), firstPair: firstPairOf(tree)?.range[0] });
  const lost = missingFrom(parseTree(result).comments.map(({ value }) => value), comments.map(({ value }) => value));
  const isWhole = missingFrom(dropped.map(({ value }) => value), lost).length === 0;
  return isWhole && isDeepStrictEqual(parseValue(result), wanted) ? result : undefined;
};

/**
 * Pure: the text with another value. Everything that does not change keeps its
 * comments, order, blank lines and quoting. Undefined when a comment would be lost,
 * or when what came of it does not say exactly what is wanted.
 */
export const rewriteText = (text: string, wanted: Table, origins: Origins = new WeakMap()): string | undefined => {
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  try {
    const result = rewrite(text.slice(mark.length), wanted, origins);
    return result === undefined ? undefined : mark + result;
  } catch (error) {
    // A RangeError is nesting that exhausts the stack.
    if ([CommentAtRisk, TomlError, ParseError, RangeError].some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
};
