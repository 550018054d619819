import { type AST, parseTOML } from 'toml-eslint-parser';
import { envSource } from './resolve-env.ts';
import { HIDDEN } from './show-env.ts';

const nameOf = (key: AST.TOMLBare | AST.TOMLQuoted): string => (key.type === 'TOMLBare' ? key.name : key.value);

/** Whether the value at this path is a variable's. What a reference says of itself beside `op` is not. */
const isVariable = (path: (string | number)[]): boolean =>
  path.some((key, index) => key === 'env' && index < path.length - 1 && path[index + 2] !== 'path' && path[index + 2] !== 'account');

/** Ranges of the literals in tables of variables. */
const literalRanges = (text: string): [number, number][] => {
  const ranges: [number, number][] = [];
  const visit = (path: (string | number)[], node: AST.TOMLContentNode): void => {
    if (node.type === 'TOMLInlineTable') {
      for (const pair of node.body) visitPair(path, pair);
    } else if (node.type === 'TOMLArray') {
      node.elements.forEach((element, index) => visit([...path, index], element));
    } else if (isVariable(path) && !(node.kind === 'string' && envSource(node.value).kind !== 'literal')) {
      ranges.push(node.range);
    }
  };
  const visitPair = (path: (string | number)[], { key, value }: AST.TOMLKeyValue): void => visit([...path, ...key.keys.map(nameOf)], value);
  for (const entry of parseTOML(text).body[0].body) {
    if (entry.type === 'TOMLKeyValue') visitPair([], entry);
    else for (const pair of entry.body) visitPair(entry.resolvedKey, pair);
  }
  return ranges;
};

/** A TOML text with every literal of its tables of variables hidden; references stay. The text must be valid. */
export const maskText = (text: string): string => {
  let shown = '';
  let end = 0;
  for (const [from, to] of literalRanges(text)) {
    shown += text.slice(end, from) + JSON.stringify(HIDDEN);
    end = to;
  }
  return shown + text.slice(end);
};
