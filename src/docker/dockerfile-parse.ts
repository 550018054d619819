import { JackinError } from '../shared/errors.ts';
import { trimTail } from '../shared/trim.ts';
import { isHalfJson, readJsonForm, splitOptions } from './dockerfile-words.ts';

export interface Instruction {
  /** First and last line, from 1. */
  line: number;
  end: number;
  /** In upper case. */
  keyword: string;
  /** The text behind the keyword, continuation lines joined as builders do it: by nothing. */
  rest: string;
  /** Text follows it that belongs to it. */
  heredoc: boolean;
}

export interface Directive {
  /** From 1. */
  line: number;
  /** In lower case, such as `escape`. */
  name: string;
  value: string;
}

const linesOf = (text: string): string[] => text.replace(/^\ufeff/, '').split(/\r?\n/);

const DIRECTIVE = /^\s*#\s*([a-z][a-z0-9]*)\s*=\s*(\S.*)$/i;

/** Comments at the very beginning that are no comments. */
export const directivesOf = (text: string): Directive[] => {
  const found: Directive[] = [];
  for (const [index, line] of linesOf(text).entries()) {
    if (index === 0 && line.startsWith('#!')) continue;
    const [, name, value = ''] = DIRECTIVE.exec(line) ?? [];
    if (name === undefined) break;
    found.push({ line: index + 1, name: name.toLowerCase(), value: value.trimEnd() });
  }
  return found;
};

export const escapeOf = (directives: readonly Directive[]): string => directives.find(({ name }) => name === 'escape')?.value ?? '\\';

/** As builders see it: `\s` is not the same. */
const isComment = (line: string): boolean => /^\p{White_Space}*#/u.test(line);
const isBlank = (line: string): boolean => /^\p{White_Space}*$/u.test(line);

/** A shell's words, roughly: enough to tell a heredoc from a quoted text that looks like one. */
const WORD = /(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+/g;
const TAKES_HEREDOC = new Set(['RUN', 'COPY', 'ADD']);

interface Terminator {
  text: string;
  stripsTabs: boolean;
}

const terminatorsOf = (keyword: string, rest: string): Terminator[] => {
  if (!TAKES_HEREDOC.has(keyword) || !rest.includes('<<') || readJsonForm(splitOptions(rest).rest) !== undefined) return [];
  return (rest.match(WORD) ?? []).flatMap((word) => {
    const [, dash, , text] = /^\d*<<(-?)(["']?)([^<"'\s]+)\2$/.exec(word) ?? [];
    return text === undefined ? [] : [{ text, stripsTabs: dash === '-' }];
  });
};

/** Index of the last line of a heredoc, or -1. */
const endOf = (lines: readonly string[], from: number, { text, stripsTabs }: Terminator): number => {
  for (let index = from; index < lines.length; index += 1) {
    const line = lines[index]!;
    if ((stripsTabs ? line.replace(/^\t+/, '') : line) === text) return index;
  }
  return -1;
};

/** Far above any Dockerfile that was written by hand. */
const MAX_BYTES = 1024 * 1024;

/** The instructions of a Dockerfile with their places. `name` is for messages; throws `build.failed` when the last one does not end. */
export const parseDockerfile = (text: string, name: string): Instruction[] => {
  if (Buffer.byteLength(text) > MAX_BYTES) throw new JackinError('build.failed', `${name}: larger than ${MAX_BYTES} bytes`);
  const lines = linesOf(text);
  const escape = escapeOf(directivesOf(text));
  const found: Instruction[] = [];
  let open: { line: number; text: string } | undefined;
  for (let index = 0; index < lines.length; index += 1) {
    const raw = lines[index] ?? '';
    if (isComment(raw) || isBlank(raw)) continue;
    const trimmed = trimTail(trimTail(raw, '\r'), ' \t');
    if (trimmed.endsWith(escape + escape)) throw new JackinError('build.failed', `${name}:${index + 1}: a line that ends with ${escape}${escape} goes on for some builders, and for others it does not`);
    const continues = trimmed.endsWith(escape);
    // Builders keep the blanks at both ends: a word may go on in the next line.
    const piece = continues ? trimmed.slice(0, -1) : raw;
    const whole: { line: number; text: string } = open === undefined ? { line: index + 1, text: piece } : { line: open.line, text: open.text + piece };
    open = continues ? whole : undefined;
    if (continues) continue;
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(whole.text.trim()) ?? [];
    const keyword = word.toUpperCase();
    const terminators = terminatorsOf(keyword, rest);
    if (terminators.length > 0 && isHalfJson(splitOptions(rest).rest)) throw new JackinError('build.failed', `${name}:${whole.line}: some builders take this for a list, and others for a text that is followed by another`);
    for (const terminator of terminators) {
      const end = endOf(lines, index + 1, terminator);
      if (end === -1) throw new JackinError('build.failed', `${name}:${whole.line}: the text of this instruction does not end: there is no line ${terminator.text}`);
      index = end;
    }
    found.push({ line: whole.line, end: index + 1, keyword, rest, heredoc: terminators.length > 0 });
  }
  if (open !== undefined) {
    // What jackin appends would become a part of it.
    throw new JackinError('build.failed', `${name}:${open.line}: this instruction does not end: its last line asks for another`);
  }
  return found;
};
