import { spawn } from '@lydell/node-pty';
import { SESSION_UMASK, exitOf, signalGroup, withUmask, type ProcessEvents, type ProcessSpec, type SessionProcess } from './process.ts';
import type { TerminalSize } from './protocol.ts';

/** How often a paused PTY is asked whether its program still lives. */
const DEATH_WATCH_MS = 50;

/** Apart from what listens to the program: functions that stand beside this one would hold the keys with it. */
const open = ({ file, args, cwd, env }: ProcessSpec, size: TerminalSize) =>
  withUmask(SESSION_UMASK, () =>
    // No encoding: a string would be cut where a chunk ends inside a character.
    spawn(file, args, { ...size, cwd, env, name: 'xterm-256color', encoding: null }),
  );

/** Starts a program on a new PTY of this size. */
export const startPty = (spec: ProcessSpec, size: TerminalSize, events: Omit<ProcessEvents, 'errorOutput'>): SessionProcess => {
  const pty = open(spec, size);
  let ended = false;
  let watch: NodeJS.Timeout | undefined;
  const resume = () => {
    clearInterval(watch);
    watch = undefined;
    pty.resume();
  };
  const isGone = () => {
    try {
      process.kill(pty.pid, 0);
      return false;
    } catch {
      return true;
    }
  };
  pty.onData((bytes) => events.output(bytes as unknown as Buffer));
  pty.onExit(({ exitCode, signal }) => {
    ended = true;
    clearInterval(watch);
    events.ended(exitOf(exitCode, signal));
  });
  return {
    write: (bytes, taken) => {
      if (!ended) pty.write(bytes as unknown as string);
      taken?.();
    },
    endInput: () => {},
    resize: ({ cols, rows }) => {
      try {
        if (!ended) pty.resize(cols, rows);
      } catch {
        // Its program ended a moment ago: the terminal is gone, the end not reported yet.
      }
    },
    pause: () => {
      // node-pty throws away what was not read 200 ms after the program's end: the rest must be read before.
      if (ended || watch !== undefined || isGone()) return;
      pty.pause();
      watch = setInterval(() => isGone() && resume(), DEATH_WATCH_MS);
    },
    resume,
    signal: (name) => {
      if (!ended) signalGroup(pty.pid, name);
    },
  };
};
