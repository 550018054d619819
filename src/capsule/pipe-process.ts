import { spawn } from 'node:child_process';
import { SESSION_UMASK, exitOf, signalGroup, withUmask, type ProcessEvents, type ProcessSpec, type SessionProcess } from './process.ts';

/** A program that ended may leave children that hold its output open: after this much silence they do not count. */
const SILENCE_MS = 1000;

/** Apart from what listens to the program: functions that stand beside this one would hold the keys with it. */
const open = ({ file, args, cwd, env }: ProcessSpec) =>
  withUmask(SESSION_UMASK, () => spawn(file, args, { cwd, env, detached: true, stdio: 'pipe' }));

/** Starts a program on three pipes, in a process group of its own. */
export const startPipes = (spec: ProcessSpec, events: ProcessEvents): SessionProcess => {
  const { file } = spec;
  const child = open(spec);
  const outputs = [child.stdout, child.stderr];
  let paused = false;
  let ended = false;
  let silence: NodeJS.Timeout | undefined;
  const end = (exit: ReturnType<typeof exitOf>) => {
    if (ended) return;
    ended = true;
    clearTimeout(silence);
    for (const output of outputs) output.destroy();
    child.stdin.destroy();
    events.ended(exit);
  };
  const awaitSilence = () => {
    if (child.exitCode === null && child.signalCode === null) return;
    clearTimeout(silence);
    silence = setTimeout(() => {
      if (paused) awaitSilence();
      else end(exitOf(child.exitCode, child.signalCode));
    }, SILENCE_MS);
  };
  const forward = (deliver: (bytes: Buffer) => void) => (bytes: Buffer) => {
    if (ended) return;
    deliver(bytes);
    awaitSilence();
  };
  child.stdout.on('data', forward(events.output));
  child.stderr.on('data', forward(events.errorOutput));
  // It closed its input, or ended: what was sent to it is of no use to anybody.
  child.stdin.on('error', () => {});
  child.on('exit', awaitSilence);
  child.on('close', (code, signal) => end(exitOf(code, signal)));
  child.on('error', (error: NodeJS.ErrnoException) => {
    // Not even started. Other errors (a signal that could not be sent) do not end it.
    if (child.pid !== undefined) return;
    events.errorOutput(Buffer.from(`jackin: cannot start ${file}: ${error.code ?? 'unknown error'}\n`));
    end({ code: 126 });
  });
  return {
    write: (bytes, taken) => {
      if (child.stdin.writable) child.stdin.write(bytes, taken);
      else taken?.();
    },
    endInput: () => child.stdin.end(),
    resize: () => {},
    pause: () => {
      paused = true;
      for (const output of outputs) output.pause();
    },
    resume: () => {
      paused = false;
      for (const output of outputs) output.resume();
    },
    signal: (name) => {
      if (child.pid !== undefined && !ended) signalGroup(child.pid, name);
    },
  };
};
