import { parse, TomlError } from 'smol-toml';
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import type { Problem } from './problems.ts';
import { findExcess } from './size.ts';

export type KeyPath = readonly (string | number)[];

export interface Position {
  line: number;
  column: number;
}

/** A TOML file that was read: its value, and where in the text each key stands. */
export interface TomlDocument {
  file: string;
  text: string;
  value: Record<string, unknown>;
  /** Position of a key, or of the nearest ancestor that stands in the text. */
  locate(path: KeyPath): Position;
  /** Without its value: for keys that nobody knows, which may hold anything. */
  problem(path: KeyPath, message: string, withValue?: boolean): Problem;
}

/** More than this is not a configuration but a mistake or an attack. */
export const MAX_TOML_BYTES = 1024 * 1024;

interface KeyNode {
  position: Position;
  children: Map<string | number, KeyNode>;
}

const newNode = (position: Position): KeyNode => ({ position, children: new Map() });

const positionOf = (node: { loc: { start: { line: number; column: number } } }): Position => ({
  line: node.loc.start.line,
  column: node.loc.start.column + 1,
});

const nameOf = (key: AST.TOMLBare | AST.TOMLQuoted): string => (key.type === 'TOMLBare' ? key.name : key.value);

const childOf = (parent: KeyNode, name: string | number, position: Position): KeyNode => {
  let child = parent.children.get(name);
  if (child === undefined) {
    child = newNode(position);
    parent.children.set(name, child);
  }
  return child;
};

const indexContent = (parent: KeyNode, content: AST.TOMLContentNode): void => {
  if (content.type === 'TOMLInlineTable') {
    for (const pair of content.body) indexPair(parent, pair);
  } else if (content.type === 'TOMLArray') {
    content.elements.forEach((element, index) => indexContent(childOf(parent, index, positionOf(element)), element));
  }
};

const indexPair = (parent: KeyNode, pair: AST.TOMLKeyValue): void => {
  let node = parent;
  for (const key of pair.key.keys) node = childOf(node, nameOf(key), positionOf(key));
  indexContent(node, pair.value);
};

const indexDocument = (text: string): KeyNode => {
  const root = newNode({ line: 1, column: 1 });
  for (const entry of parseTOML(text).body[0].body) {
    if (entry.type === 'TOMLKeyValue') {
      indexPair(root, entry);
      continue;
    }
    let node = root;
    const position = positionOf(entry.key);
    for (const name of entry.resolvedKey) node = childOf(node, name, position);
    for (const pair of entry.body) indexPair(node, pair);
  }
  return root;
};

/** The index, or its root alone for a text that exhausts the stack of the parser that knows places. */
const indexOrTop = (text: string): KeyNode => {
  try {
    return indexDocument(text);
  } catch (error) {
    if (error instanceof ParseError || error instanceof RangeError) return newNode({ line: 1, column: 1 });
    throw error;
  }
};

/** The parser's message without its code block; ours shows the line itself. */
const firstLine = (message: string): string => (message.split('\n')[0] ?? message).replace(/^Invalid TOML document: /, '');

/** A line may hold a key: what stands behind the first `=` is not shown where that is possible. */
// A line without one may be the inside of a text of several lines.
const withoutValue = (line: string): string => (line.includes('=') ? line.replace(/=.*$/s, '= …') : '');

const placeAt = (text: string, at: number): Position => {
  const before = text.slice(0, at).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
};

/** A value that is quoted may be as long as the file. */
const MAX_MESSAGE = 1000;

const makeProblem = (
  file: string,
  lines: readonly string[],
  { line, column }: Position,
  message: string,
  mayHoldSecret: boolean,
): Problem => {
  const lineText = (lines[line - 1] ?? '').replace(/\r$/, '');
  const shown = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
  return { file, line, column, message: shown, lineText: mayHoldSecret ? withoutValue(lineText) : lineText };
};

const syntaxProblem = (file: string, text: string, error: unknown): Problem => {
  if (error instanceof TomlError) return makeProblem(file, text.split('\n'), error, `not valid TOML: ${firstLine(error.message)}`, true);
  // Nesting that exhausts the parser's stack.
  if (error instanceof RangeError) return makeProblem(file, [], { line: 1, column: 1 }, 'nested too deeply to be read', true);
  throw error;
};

/** Parses TOML text. What cannot be parsed is a {@link Problem}, never an exception. */
export const parseDocument = (file: string, text: string): TomlDocument | Problem => {
  if (Buffer.byteLength(text) > MAX_TOML_BYTES) {
    return makeProblem(file, [], { line: 1, column: 1 }, `larger than ${MAX_TOML_BYTES} bytes`, true);
  }
  const excess = findExcess(text);
  if (excess !== undefined) return makeProblem(file, [], placeAt(text, excess.at), excess.message, true);
  let value: Record<string, unknown>;
  try {
    value = parse(text);
  } catch (error) {
    return syntaxProblem(file, text, error);
  }
  let root: KeyNode | undefined;
  let lines: string[] | undefined;
  const locate = (path: KeyPath): Position => {
    // Most documents are never asked for a place, and finding them takes longer than all the rest.
    root ??= indexOrTop(text);
    let node = root;
    for (const name of path) {
      const child = node.children.get(name);
      if (child === undefined) break;
      node = child;
    }
    return node.position;
  };
  return {
    file,
    text,
    value,
    locate,
    problem: (path, message, withValue = true) => makeProblem(file, (lines ??= text.split('\n')), locate(path), message, !withValue || path.includes('env')),
  };
};

export const isProblem = (result: TomlDocument | Problem): result is Problem => 'message' in result;
