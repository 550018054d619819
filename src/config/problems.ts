import { JackinError } from '../shared/errors.ts';

/** One thing that is wrong with a file, and where. Lines and columns count from 1. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  message: string;
  /** The line itself, for the caret; empty when there is none to show. */
  lineText: string;
}

const MAX_LINE_SHOWN = 160;

const printable = (text: string): string =>
  // Control characters could rewrite the terminal that shows the message.
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd').replaceAll('\t', ' ');

/** A problem for people: its place, what it is, and its line with a caret. */
export const renderProblem = ({ file, line, column, message, lineText }: Problem): string => {
  const head = `${printable(file)}:${line}:${column}: ${printable(message)}`;
  if (lineText === '' || lineText.length > MAX_LINE_SHOWN) return head;
  const shown = `${head}\n    ${printable(lineText)}`;
  // A value that is not shown may stand before the place: a caret behind all of the line points at nothing.
  return column > lineText.length + 1 ? shown : `${shown}\n    ${' '.repeat(Math.max(0, column - 1))}^`;
};

/** Problems that are told. A file of one mistake over and over would fill a log, and nobody reads on. */
export const MAX_TOLD = 50;

/** The first problems, and how many come after them. */
export const firstProblems = <T>(problems: readonly T[]): { told: T[]; more: number } => ({
  told: problems.slice(0, MAX_TOLD),
  more: Math.max(0, problems.length - MAX_TOLD),
});

/** The lines of the first problems, and one that counts the others. */
export const problemLines = <T>(problems: readonly T[], show: (problem: T) => string): string[] => {
  const { told, more } = firstProblems(problems);
  return more === 0 ? told.map(show) : [...told.map(show), `and ${more} more`];
};

/** One error for all problems of all files, in the order of the files and of their lines. */
export const configError = (problems: readonly Problem[], hint?: string): JackinError => {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new JackinError('config.invalid', [`${count} in the configuration`, ...problemLines(problems, renderProblem)].join('\n'), {
    hint: hint ?? 'nothing was changed and nothing was started: correct the file and run the command again',
  });
};
