import { endOfLine, isBlank, lineAt, lineBreakOf, startOfLine } from './edit-tree.ts';

/** Changes of a text at offsets of the text as it is before all of them. */
export type Splice =
  | { kind: 'replace'; start: number; end: number; text: string }
  /** A whole line before the one that begins at `start`. */
  | { kind: 'line'; start: number; text: string }
  /** A section before the line that begins at `start`, with a blank line on both sides. */
  | { kind: 'section'; start: number; text: string };

interface Style {
  lineBreak: string;
  /** Where the first key above every section stands. */
  firstPair: number | undefined;
}

const lineBefore = (text: string, at: number): string => (at === 0 ? '' : lineAt(text, at - 1));

const insertAt = (text: string, at: number, splices: readonly Splice[], { firstPair, lineBreak }: Style): string => {
  const lines = splices.filter(({ kind }) => kind === 'line').map((splice) => splice.text);
  const sections = splices.filter(({ kind }) => kind === 'section').map((splice) => splice.text);
  const isMidLine = at > 0 && text[at - 1] !== '\n';
  const previous = lines.length > 0 ? 'a line' : lineBefore(text, at);
  const next = text.slice(at, endOfLine(text, at));
  const parts = [...lines, ...sections.flatMap((section, n) => (n === 0 && isBlank(previous) ? [section] : ['', section]))];
  const isOpen = !isBlank(next) && (sections.length > 0 || isTopOf(text, at, firstPair));
  if (isOpen) parts.push('');
  return `${isMidLine ? lineBreak : ''}${parts.map((part) => `${part.replaceAll('\n', lineBreak)}${lineBreak}`).join('')}`;
};

/** Whether keys go to the top of a text that goes on with something other than a key. */
const isTopOf = (text: string, at: number, firstPair: number | undefined): boolean =>
  isBlank(text.slice(0, at).replace(/^#:.*$/gm, '')) && (firstPair === undefined || startOfLine(text, firstPair) !== at);

/** The text with all splices made. */
export const applySplices = (text: string, splices: readonly Splice[], style: Style): string => {
  const byStart = new Map<number, Splice[]>();
  for (const splice of splices) {
    const here = byStart.get(splice.start);
    if (here === undefined) byStart.set(splice.start, [splice]);
    else here.push(splice);
  }
  let result = '';
  let at = 0;
  for (const [start, here] of [...byStart].sort(([a], [b]) => a - b)) {
    const inserts = here.filter(({ kind }) => kind !== 'replace');
    // At one place at most one value begins, and no line is inserted in the middle of a value.
    const replaced = here.find((splice) => splice.kind === 'replace');
    result += text.slice(at, start);
    if (inserts.length > 0) result += insertAt(text, start, inserts, style);
    if (replaced !== undefined) result += replaced.text;
    at = replaced?.end ?? start;
  }
  return result + text.slice(at);
};

export interface LineRange {
  start: number;
  end: number;
}

/** The same lines, in order, those that touch as one. */
export const mergeRanges = (ranges: LineRange[]): LineRange[] => {
  const merged: LineRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else merged.push({ ...range });
  }
  return merged;
};

/**
 * The text without some ranges of whole lines, merged. Of the blank lines on both sides
 * only one side stays, and a comment above does not come to stand above what follows.
 */
export const removeLines = (text: string, merged: LineRange[]): string => {
  let result = '';
  let at = 0;
  for (const { start, end } of merged) {
    const before = lineBefore(text, start);
    const isOpenAbove = start === 0 || isBlank(before);
    let to = end;
    if (isOpenAbove) while (to < text.length && isBlank(lineAt(text, to))) to = endOfLine(text, to);
    result += text.slice(at, start);
    if (isOpenAbove && to === text.length) while (result !== '' && isBlank(lineBefore(result, result.length))) result = result.slice(0, startOfLine(result, result.length - 1));
    const isCommentAbove = !isOpenAbove && before.trimStart().startsWith('#');
    if (isCommentAbove && to < text.length && !isBlank(lineAt(text, to))) result += lineBreakOf(text);
    at = to;
  }
  return result + text.slice(at);
};
