import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { isWhole, type Shell } from './hook-exports.ts';
import { keepEnd } from './hook-output.ts';
import { SESSION_UMASK, exitOf, signalGroup, withUmask } from './process.ts';
import type { ProgramExit } from './protocol.ts';

/** A hook that ended may leave programs that hold its output open, and even print: what comes later does not count. */
const LATE_MS = 1000;
/** How long a hook that is given up has to leave its work in order, such as git its locks. */
const TERM_MS = 1000;

/**
 * Joins the two outputs, so that lines keep their order and no secret is torn apart
 * between them. What Node calls a pipe is a socket, on which opening /dev/stderr anew
 * fails, as scripts like to do; bash can put a real pipe before it. It is a shell of
 * its own because `wait` in the hook would wait for that pipe.
 */
const joined = ({ file, isBash }: Shell, argv: string[]): string[] =>
  isBash ? [file, '-p', '-c', 'exec > >(exec /bin/cat) 2>&1; exec "$@"', file, ...argv] : [file, '-c', 'exec 2>&1; exec "$@"', file, ...argv];

export interface HookSpec {
  argv: string[];
  shell: Shell;
  cwd: string;
  env: Record<string, string>;
  /** Whether it tells its environment on file descriptor 3. */
  exports: boolean;
  /** Values that must not be shown of its output. */
  secrets: readonly string[];
  signal: AbortSignal;
}

export interface HookEnd {
  exit: ProgramExit;
  /** The end of its output; undefined when there was none. */
  output: string[] | undefined;
  /** What it wrote to file descriptor 3. */
  exported: Buffer;
}

/** Reads on and forgets: a service that a hook has started must not die of an output that nobody reads. */
const drain = (stream: Readable & { unref?: () => void }): void => {
  stream.removeAllListeners('data');
  stream.resume();
  stream.unref?.();
};

/** Runs a hook to its end, in a process group of its own, without a terminal or input. Throws only when it cannot be started. */
export const runHook = ({ argv, shell, cwd, env, exports, secrets, signal }: HookSpec): Promise<HookEnd> =>
  new Promise((resolve, reject) => {
    const [file = '', ...args] = joined(shell, argv);
    const end = keepEnd(secrets);
    const told: Buffer[] = [];
    const child = withUmask(SESSION_UMASK, () =>
      spawn(file, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe', exports ? 'pipe' : 'ignore'] }),
    );
    const channel = child.stdio[3] as Readable | null;
    let late: NodeJS.Timeout | undefined;
    let kill: NodeJS.Timeout | undefined;
    let isOver = false;
    const group = (name: 'SIGTERM' | 'SIGKILL'): void => {
      if (child.pid !== undefined) signalGroup(child.pid, name);
    };
    const giveUp = (): void => {
      group('SIGTERM');
      kill = setTimeout(() => group('SIGKILL'), TERM_MS);
    };
    const finish = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(late);
      clearTimeout(kill);
      signal.removeEventListener('abort', giveUp);
      for (const output of [child.stdout, child.stderr]) if (output !== null) drain(output);
      channel?.destroy();
      const exit = exitOf(child.exitCode, child.signalCode);
      // What is left of a hook that failed would meet itself when it is tried again.
      if (exit.code !== 0 || signal.aborted) group('SIGKILL');
      resolve({ exit, output: end.lines(), exported: Buffer.concat(told) });
    };
    /** The output of a hook that ended well is of no interest. */
    const finishIfWell = (): void => {
      if (child.exitCode === 0 && (!exports || isWhole(Buffer.concat(told)))) finish();
    };
    child.stdout?.on('data', end.add);
    child.stderr?.on('data', end.add);
    channel?.on('data', (bytes: Buffer) => {
      told.push(bytes);
      finishIfWell();
    });
    child.on('exit', () => {
      finishIfWell();
      if (!isOver) late = setTimeout(finish, LATE_MS);
    });
    child.on('close', finish);
    child.on('error', (error) => {
      signal.removeEventListener('abort', giveUp);
      if (child.pid === undefined) reject(error);
    });
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp, { once: true });
  });
