import type { Terminal } from '../docker/terminal.ts';
import type { Ask } from '../launch/ask-env.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
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

/** Asks what a role wants to know. Undefined when there is nobody to ask. */
export const asker = (deps: Deps): Ask | undefined => {
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) return undefined;
  const streams = { input: deps.stdin, output: deps.stderr, signal: deps.signal };
  return async ({ text: question, proposed, options, skippable }) => {
    const { isCancel, select, text } = await import('@clack/prompts');
    // A role writes it: one line, whatever stands in it.
    const message = question.replaceAll(/\p{Cc}+/gu, ' ');
    const initial = proposed === undefined ? {} : { initialValue: proposed };
    const choices = [...(options ?? []).map((value) => ({ value, label: printable(value) })), ...(skippable ? [{ value: '', label: 'none of them' }] : [])];
    const answer =
      options === undefined
        ? await text({ message: skippable ? `${message}; empty skips it` : message, ...initial, validate: (value) => (skippable || value || proposed === '' ? undefined : 'a value is needed'), ...streams })
        : await select({ message, options: choices, ...initial, ...streams });
    if (isCancel(answer)) throw new JackinError('interrupted', 'cancelled');
    return answer ?? '';
  };
};
