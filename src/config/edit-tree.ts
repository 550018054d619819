import { type AST, parseTOML } from 'toml-eslint-parser';
import type { KeyPath } from './document.ts';

/** What a text says about one path: a key, a table, or an element of an array of tables. */
export interface TomlNode {
  children: Map<string | number, TomlNode>;
  /** `key = value` that gives this path its value. */
  pair: AST.TOMLKeyValue | undefined;
  /** `[header]` of exactly this path. */
  header: AST.TOMLTable | undefined;
  /** The first and the last section at or below this path. */
  firstSection: AST.TOMLTable | undefined;
  lastSection: AST.TOMLTable | undefined;
  /** The last key that reaches below this path with dots, and the length of the path of its section. */
  dotted: { pair: AST.TOMLKeyValue; base: number } | undefined;
}

export interface TomlTree {
  text: string;
  root: TomlNode;
  entries: readonly (AST.TOMLKeyValue | AST.TOMLTable)[];
  comments: readonly AST.Comment[];
  /** Where the lines begin that are nothing but a comment; a text of several lines may look like one. */
  commentLines: ReadonlySet<number>;
}

export const startOfLine = (text: string, at: number): number => (at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1);

/** Where the next line begins. */
export const endOfLine = (text: string, at: number): number => {
  const found = text.indexOf('\n', at);
  return found === -1 ? text.length : found + 1;
};

export const lineAt = (text: string, at: number): string => text.slice(startOfLine(text, at), endOfLine(text, at));

export const isBlank = (line: string): boolean => line.trim() === '';

/** Whether a comment has its line for itself. */
export const isOwnLine = (text: string, comment: AST.Comment): boolean => isBlank(text.slice(startOfLine(text, comment.range[0]), comment.range[0]));

const newNode = (): TomlNode => ({ children: new Map(), pair: undefined, header: undefined, firstSection: undefined, lastSection: undefined, dotted: undefined });

const childOf = (parent: TomlNode, name: string | number): TomlNode => {
  const found = parent.children.get(name);
  if (found !== undefined) return found;
  const made = newNode();
  parent.children.set(name, made);
  return made;
};

/** Names of a dotted key. */
export const namesOf = (key: AST.TOMLKey): string[] => key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value));

const indexPair = (section: TomlNode, base: number, pair: AST.TOMLKeyValue): void => {
  let node = section;
  const names = namesOf(pair.key);
  names.forEach((name, at) => {
    node = childOf(node, name);
    if (at < names.length - 1) node.dotted = { pair, base };
  });
  node.pair = pair;
};

/** Where each key, section and comment of a text stands. The text must be valid TOML without a byte order mark. */
export const parseTree = (text: string): TomlTree => {
  // Without a line break behind it, a number at the very end gets a wrong range.
  const program = parseTOML(text.endsWith('\n') ? text : `${text}\n`);
  const entries = program.body[0].body;
  const root = newNode();
  for (const entry of entries) {
    if (entry.type === 'TOMLKeyValue') {
      indexPair(root, 0, entry);
      continue;
    }
    let node = root;
    for (const name of entry.resolvedKey) {
      node = childOf(node, name);
      node.firstSection ??= entry;
      node.lastSection = entry;
    }
    node.header = entry;
    for (const pair of entry.body) indexPair(node, entry.resolvedKey.length, pair);
  }
  const { comments } = program;
  const commentLines = new Set(comments.filter((comment) => isOwnLine(text, comment)).map(({ range }) => startOfLine(text, range[0])));
  return { text, root, entries, comments, commentLines };
};

/** Every `key = value` of the text with its whole path. */
export const pairsOf = ({ entries }: TomlTree): { path: KeyPath; pair: AST.TOMLKeyValue }[] =>
  entries.flatMap((entry) =>
    entry.type === 'TOMLKeyValue'
      ? [{ path: namesOf(entry.key), pair: entry }]
      : entry.body.map((pair) => ({ path: [...entry.resolvedKey, ...namesOf(pair.key)], pair })),
  );

/** Where the lines of a section end: behind its last key, or behind its header. */
export const endOfSection = (text: string, section: AST.TOMLTable): number =>
  endOfLine(text, (section.body.at(-1) ?? section.key).range[1]);

/** Where the first key may stand: below the lines that speak to editors. */
export const topOf = (text: string): number => {
  let at = 0;
  while (text.startsWith('#:', at)) at = endOfLine(text, at);
  return at;
};

/** Where a section begins: at the comment right above its header. */
export const aboveSection = ({ text, commentLines }: TomlTree, section: AST.TOMLTable): number => {
  const top = topOf(text);
  let at = startOfLine(text, section.range[0]);
  while (at > top && commentLines.has(startOfLine(text, at - 1))) at = startOfLine(text, at - 1);
  return at;
};

export const firstPairOf = ({ entries }: TomlTree): AST.TOMLKeyValue | undefined => (entries[0]?.type === 'TOMLKeyValue' ? entries[0] : undefined);

export const lineBreakOf = (text: string): string => (/\r?\n/.exec(text)?.[0] === '\r\n' ? '\r\n' : '\n');
