import os from 'node:os';
import type { ProgramExit, SignalRequest, TerminalSize } from './protocol.ts';

export interface ProcessSpec {
  /** Absolute path of the program. */
  file: string;
  args: string[];
  cwd: string;
  /** Holds the keys: whatever lives as long as the program must not hold it. */
  env: Record<string, string>;
}

export interface ProcessEvents {
  output: (bytes: Buffer) => void;
  errorOutput: (bytes: Buffer) => void;
  /** Comes once, after all output. */
  ended: (exit: ProgramExit) => void;
}

/** A program of a session, on a PTY or on pipes. Calls after its end do nothing. */
export interface SessionProcess {
  /** Calls `taken` when the bytes are on their way, or can never be. */
  write: (bytes: Buffer, taken?: () => void) => void;
  endInput: () => void;
  resize: (size: TerminalSize) => void;
  /** Stops and starts reading its output, so that it waits when its viewers cannot follow. */
  pause: () => void;
  resume: () => void;
  /** To its whole process group. */
  signal: (name: SignalRequest['signal']) => void;
}

/** The exit as a shell tells it: a killed program is never a success. */
export const exitOf = (code: number | null, signal: number | NodeJS.Signals | null | undefined): ProgramExit => {
  if (!signal) return { code: code ?? 1 };
  const signals = Object.entries(os.constants.signals);
  const found = signals.find(([name, number]) => name === signal || number === signal);
  return found === undefined ? { code: 128 + Number(signal) } : { code: 128 + found[1], signal: found[0] };
};

/** What a signal cannot reach any more needs none. */
export const signalGroup = (pid: number, name: SignalRequest['signal']): void => {
  try {
    process.kill(-pid, name);
  } catch {
    // The group is gone.
  }
};

/** The umask that people expect of a session; the capsule's own is stricter. */
export const SESSION_UMASK = 0o022;

/** Does something with another umask; what makes the file or the process must happen synchronously. */
export const withUmask = <T>(umask: number, act: () => T): T => {
  const own = process.umask(umask);
  try {
    return act();
  } finally {
    process.umask(own);
  }
};
