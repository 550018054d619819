import type { AST } from 'toml-eslint-parser';
import { renderKey } from './edit-render.ts';
import { aboveSection, endOfLine, isBlank, lineBreakOf, namesOf, parseTree, startOfLine, type TomlTree } from './edit-tree.ts';

/** The texts of an old config.toml and of the workspaces that stood in it. Every line is in exactly one of them. */
export interface SplitText {
  rest: string;
  workspaces: Map<string, string>;
}

const HOLDER = 'workspaces';

interface Part {
  /** Keys of the workspace's own, which come before its tables. */
  keys: string[];
  tables: string[];
}

const partFor = (parts: Map<string, Part>, name: string): Part => {
  const part = parts.get(name) ?? { keys: [], tables: [] };
  parts.set(name, part);
  return part;
};

/** The keys of workspaces that a pair gives, without the names of holder and workspace, as they are written. */
const keysIn = (text: string, pair: AST.TOMLKeyValue, above: string[]): { name: string; line: string; range: AST.Range }[] => {
  const names = [...above, ...namesOf(pair.key)];
  if (names.length > 2) {
    const line = `${names.slice(2).map(renderKey).join('.')} = ${text.slice(...pair.value.range)}`;
    return [{ name: names[1]!, line, range: pair.range }];
  }
  return pair.value.type === 'TOMLInlineTable' ? pair.value.body.flatMap((inner) => keysIn(text, inner, names)) : [];
};

const withoutBreak = (line: string): string => line.replace(/\r?\n$/, '');

/** Moves the keys of a pair to their workspaces. What stays are the comments around them. */
const takePair = ({ text, comments }: TomlTree, pair: AST.TOMLKeyValue, above: string[], parts: Map<string, Part>): string => {
  const [start, end] = [startOfLine(text, pair.range[0]), endOfLine(text, pair.range[1])];
  const keys = keysIn(text, pair, above);
  const isWhole = keys.length === 1 && keys[0]!.range === pair.range;
  const behind = isWhole ? withoutBreak(text.slice(pair.range[1], end)) : '';
  for (const { name, line } of keys) partFor(parts, name).keys.push(`${line}${behind}`);
  const isTaken = (at: number): boolean => keys.some(({ range }) => at >= range[0] && at < range[1]) || (isWhole && at >= pair.range[1]);
  return comments
    .filter(({ range: [at] }) => at >= start && at < end && !isTaken(at))
    .map((comment) => `${text.slice(...comment.range)}${lineBreakOf(text)}`)
    .join('');
};

/** A stretch of text from which the pairs of workspaces are taken. */
const takePairs = (tree: TomlTree, from: number, to: number, pairs: readonly AST.TOMLKeyValue[], above: string[], parts: Map<string, Part>): string => {
  let rest = '';
  let at = from;
  for (const pair of pairs) {
    if ([...above, ...namesOf(pair.key)][0] !== HOLDER) continue;
    rest += tree.text.slice(at, startOfLine(tree.text, pair.range[0])) + takePair(tree, pair, above, parts);
    at = endOfLine(tree.text, pair.range[1]);
  }
  return rest + tree.text.slice(at, to);
};

/** A header line without its header: what is left is the comment behind it. */
const withoutHeader = ({ text, comments }: TomlTree, section: AST.TOMLTable): string => {
  const end = endOfLine(text, section.key.range[1]);
  const comment = comments.find(({ range: [at] }) => at > section.key.range[1] && at < end);
  return comment === undefined ? '' : text.slice(comment.range[0], end);
};

const withHeader = ({ text }: TomlTree, section: AST.TOMLTable): string => {
  const name = section.resolvedKey.slice(2).filter((part) => typeof part === 'string').map(renderKey).join('.');
  const [open, close] = section.kind === 'array' ? ['[[', ']]'] : ['[', ']'];
  const behind = text.slice(section.key.range[1], endOfLine(text, section.key.range[1])).replace(/^[ \t]*\]\]?/, '');
  return `${open}${name}${close}${behind}`;
};

/** Splits `[workspaces.<name>]` tables, in whatever form they are written, from the rest. The text must be valid TOML. */
export const splitWorkspaces = (text: string): SplitText => {
  const tree = parseTree(text);
  const lineBreak = lineBreakOf(text);
  const sections = tree.entries.filter((entry) => entry.type === 'TOMLTable');
  const startOf = (at: number): number => (at < sections.length ? aboveSection(tree, sections[at]!) : text.length);
  const parts = new Map<string, Part>();
  const rootPairs = tree.entries.filter((entry) => entry.type === 'TOMLKeyValue');
  let rest = takePairs(tree, 0, startOf(0), rootPairs, [], parts);
  sections.forEach((section, at) => {
    const [start, end] = [startOf(at), startOf(at + 1)];
    const [holder, name] = section.resolvedKey;
    const header = startOfLine(text, section.range[0]);
    const body = endOfLine(text, section.key.range[1]);
    if (holder !== HOLDER) {
      rest += text.slice(start, end);
    } else if (typeof name !== 'string') {
      rest += text.slice(start, header) + withoutHeader(tree, section) + takePairs(tree, body, end, section.body, [HOLDER], parts);
    } else if (section.resolvedKey.length === 2) {
      partFor(parts, name).keys.push(withoutBreak(text.slice(start, header) + withoutHeader(tree, section) + text.slice(body, end)));
    } else {
      partFor(parts, name).tables.push(text.slice(start, header) + withHeader(tree, section) + text.slice(body, end));
    }
  });
  const textOf = ({ keys, tables }: Part): string => `${[...keys, ...tables.map(withoutBreak)].join(lineBreak).trimEnd()}${lineBreak}`;
  return { rest: `${rest.trimEnd()}${isBlank(rest) ? '' : lineBreak}`, workspaces: new Map([...parts].map(([name, part]) => [name, textOf(part)])) };
};
