import { styleText } from 'node:util';
import type { Deps } from '../launch/deps.ts';
import { asJackinError } from '../shared/system-error.ts';

export type Format = 'human' | 'json';

/** Version of the envelope around every JSON result and error. */
const SCHEMA_VERSION = 'v1';

/** Names and paths may hold control characters, and those could rewrite the terminal. */
export const printable = (text: string): string => text.replaceAll(/[^\P{Cc}\n\t]/gu, '\ufffd');

/** Prints a result: the data in its envelope, or its human form. Only results go to stdout. */
export const printResult = (deps: Deps, format: Format, data: unknown, human: () => string): void => {
  const text = format === 'json' ? JSON.stringify({ schema_version: SCHEMA_VERSION, data }, null, 2) : printable(human());
  if (text !== '') deps.stdout.write(`${text}\n`);
};

/** Says something of jackin's own, on stderr. */
export const say = (deps: Deps, line: string): void => {
  deps.stderr.write(`${printable(line)}\n`);
};

const paint = (deps: Deps, style: 'red' | 'dim', text: string): string =>
  deps.stderr.isTTY && !deps.env.NO_COLOR ? styleText(style, text, { validateStream: false }) : text;

/** Says what went wrong, on stderr. */
export const sayError = (deps: Deps, { message, hint }: { message: string; hint: string | undefined }): void => {
  deps.stderr.write(`${paint(deps, 'red', 'error:')} ${printable(message)}\n`);
  if (hint !== undefined) deps.stderr.write(`${paint(deps, 'dim', 'hint:')} ${printable(hint)}\n`);
};

/** Prints what went wrong and returns the exit code. A bug shows its stack only with JACKIN_DEBUG. */
export const reportError = (deps: Deps, format: Format, error: unknown): number => {
  const { code, exitCode, message, hint } = asJackinError(error);
  if (format === 'json') {
    const body = { code, message, hint: hint ?? null, exit_code: exitCode, origin: 'jackin' };
    deps.stdout.write(`${JSON.stringify({ schema_version: SCHEMA_VERSION, error: body }, null, 2)}\n`);
  } else {
    sayError(deps, { message, hint });
  }
  if (deps.env.JACKIN_DEBUG === '1' && error instanceof Error) deps.stderr.write(`${error.stack}\n`);
  return exitCode;
};

/** Rows of cells as aligned columns. A cell is one line, whatever it holds. */
export const table = (cells: string[][]): string => {
  const rows = cells.map((row) => row.map((cell) => cell.replaceAll(/\p{Cc}/gu, '\ufffd')));
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n');
};
