import { JackinError } from '../shared/errors.ts';

export interface AskOptions {
  env: Readonly<Record<string, string | undefined>>;
  timeoutMs: number;
  signal: AbortSignal;
}

/** What a program printed, byte for byte, or half a sentence that follows its name: why there is no answer. */
export type Answer = { text: string } | { why: string };

/** Far more than a variable can hold. */
const MAX_BYTES = 1024 * 1024;
const KILL_AFTER_MS = 1000;
const CLOSE_AFTER_MS = 1000;

/** What looks like one of GitHub's tokens, in case a program complains about the very thing it was asked for. */
const TOKENS = /\b(gh[a-z]_|github_pat_)\w+|\b[0-9a-f]{40}\b/g;

/** The first line of a complaint, without the stamp that `op` puts before it. What the program answered is never looked at. */
const complaintIn = (stderr: string): string | undefined => {
  const line = stderr.split('\n').find((text) => text.trim() !== '');
  return line?.replace(/^\[ERROR\] [\d/]+ [\d:]+ /, '').replaceAll(TOKENS, '[secret]').replaceAll(/\p{Cc}+/gu, ' ').trim().slice(0, 200);
};

const reasonOf = (error: unknown, timeoutMs: number): string => {
  const { stderr, code, timedOut, isMaxBuffer } = error as { stderr?: string; code?: string; timedOut?: boolean; isMaxBuffer?: boolean };
  if (code === 'ENOENT') return 'is not installed';
  if (code === 'EACCES') return 'may not be run';
  if (timedOut) return `did not answer within ${timeoutMs / 1000} seconds`;
  if (isMaxBuffer) return 'answered with more than any value can be';
  const complaint = complaintIn(stderr ?? '');
  return complaint ? `failed: ${complaint}` : 'failed without saying why';
};

/**
 * Asks a program of the operator for a secret. It gets no input, and neither an
 * error nor its cause ever holds what it printed. Interrupted: JackinError.
 */
export const askProgram = async (file: string, args: readonly string[], { env, timeoutMs, signal }: AskOptions): Promise<Answer> => {
  const { execa } = await import('execa');
  const child = execa(file, args, {
    timeout: timeoutMs,
    forceKillAfterDelay: KILL_AFTER_MS,
    maxBuffer: MAX_BYTES,
    stdin: 'ignore',
    stripFinalNewline: false,
    env: env as Record<string, string>,
    extendEnv: false,
    cancelSignal: signal,
  });
  // A process that it has left behind may hold its output open for as long as it likes.
  let closing: NodeJS.Timeout | undefined;
  child.once('exit', () => {
    closing = setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream.destroy()), CLOSE_AFTER_MS);
  });
  try {
    return { text: (await child).stdout };
  } catch (error) {
    if (signal.aborted) throw new JackinError('interrupted', `waiting for \`${file}\`: interrupted`);
    return { why: reasonOf(error, timeoutMs) };
  } finally {
    clearTimeout(closing);
  }
};
