import type { ChildProcess } from 'node:child_process';

/** How long a program that is told to stop may take to clean up. */
const GRACE_MS = 3000;

/**
 * Ends a program that was started in a process group of its own (`detached`) when the
 * signal says so, with everything that it has started: what survives would hold its
 * output open, and whoever reads it would wait for ever. The result ends it at once.
 */
export const endGroupWith = (child: Pick<ChildProcess, 'pid' | 'once'>, signal: AbortSignal | undefined): (() => void) => {
  const kill = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // The group is gone.
    }
  };
  let patience: NodeJS.Timeout | undefined;
  const stop = (): void => {
    kill('SIGTERM');
    patience ??= setTimeout(() => kill('SIGKILL'), GRACE_MS);
  };
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });
  child.once('close', () => {
    // By the time it fires, the number might be another group's.
    clearTimeout(patience);
    signal?.removeEventListener('abort', stop);
  });
  return stop;
};
