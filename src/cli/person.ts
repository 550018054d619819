import type { Terminal } from '../docker/terminal.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import type { ProgressEvent } from '../shared/progress.ts';
import { printable } from './output.ts';

/** The operator's terminal, for an attached session. */
export const terminalOf = ({ stdin, stdout }: Deps): Terminal => {
  if (!stdin.isTTY || !stdout.isTTY || stdin.setRawMode === undefined) {
    throw new JackinError('usage', 'there is no terminal to attach to', { hint: 'run the command in a terminal' });
  }
  return { input: stdin as Terminal['input'], output: stdout };
};

/** Asks yes or no, default no. Undefined when there is nobody to ask. */
export const confirmer = (deps: Deps): ((question: string) => Promise<boolean>) | undefined => {
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) return undefined;
  return async (question) => {
    const { confirm, isCancel } = await import('@clack/prompts');
    const answer = await confirm({
      message: printable(question),
      initialValue: false,
      input: deps.stdin,
      output: deps.stderr,
      signal: deps.signal,
    });
    if (isCancel(answer)) throw new JackinError('interrupted', 'cancelled');
    return answer;
  };
};

/**
 * The person's word for something that cannot be taken back: `--yes`, or yes to
 * the question. Without it this throws, and nothing may happen.
 */
export const assertAgreed = async (question: string, given: { yes: boolean; input: boolean }, deps: Deps): Promise<void> => {
  if (given.yes) return;
  const confirm = given.input ? confirmer(deps) : undefined;
  if (confirm === undefined) throw new JackinError('consent.needed', `this needs your word: ${question}`, { hint: 'agree with --yes' });
  if (!(await confirm(question))) throw new JackinError('consent.needed', 'not agreed: nothing was changed');
};

/** Asks for one of several. Undefined when there is nobody to ask. */
export const chooser = (deps: Deps): ((question: string, options: string[]) => Promise<string>) | undefined => {
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) return undefined;
  return async (question, options) => {
    const { isCancel, select } = await import('@clack/prompts');
    const answer = await select({
      message: printable(question),
      options: options.map((value) => ({ value })),
      input: deps.stdin,
      output: deps.stderr,
      signal: deps.signal,
    });
    if (isCancel(answer)) throw new JackinError('interrupted', 'cancelled');
    return answer;
  };
};

const WIDTH = 100;

/**
 * Prints progress on stderr: on a terminal one line that is written over, else a
 * line whenever the step or its message changes.
 */
export const progressPrinter = (deps: Deps): { report: (event: ProgressEvent) => void; end: () => void } => {
  const live = deps.stderr.isTTY === true;
  let open = false;
  let last = '';
  const report = ({ step, message }: ProgressEvent): void => {
    // Build output may hold control sequences; they have no business on the operator's screen.
    const whole = `${step.padEnd(10)} ${message}`.replaceAll(/\p{Cc}+/gu, ' ').trimEnd();
    const line = whole.slice(0, Math.min(WIDTH, (deps.stdout.columns ?? WIDTH) - 1));
    if (line === last) return;
    last = line;
    if (live) deps.stderr.write(`\r\u001b[K${line}`);
    else deps.stderr.write(`${line}\n`);
    open = live;
  };
  const end = (): void => {
    if (open) deps.stderr.write('\r\u001b[K');
    open = false;
  };
  return { report, end };
};
