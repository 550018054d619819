import type { Readable, Writable } from 'node:stream';
import type { TerminalSize } from '../capsule/protocol.ts';
import { prefixKeys, type Command } from './prefix-keys.ts';

/** The operator's terminal: `process.stdin` and `process.stdout`, or what a test puts in their place. */
export interface Terminal {
  input: Readable & { setRawMode(on: boolean): unknown };
  /** Emits `resize`, as a terminal's stream does on SIGWINCH. */
  output: Writable & { columns?: number; rows?: number };
}

/** Where this process hears of signals and of its own end: `process`. */
export interface SignalSource {
  on: (event: string, listener: (name: string) => void) => unknown;
  off: (event: string, listener: (name: string) => void) => unknown;
}

export type LeaveReason = 'key' | 'input-ended' | 'SIGTERM' | 'SIGHUP' | 'SIGINT';

export interface TerminalEvents {
  input: (bytes: Buffer) => void;
  resize: (size: TerminalSize) => void;
  /** The person, or the system, wants to leave the session, which lives on. */
  leave: (reason: LeaveReason) => void;
  /** The person wants something else of jackin. */
  command: (command: Exclude<Command, { kind: 'leave' }>) => void;
  /** The prefix key was pressed and another one is expected, or no longer. */
  waiting: (on: boolean) => void;
  /** What else is to be undone on the screen when the terminal is given back. */
  undo: () => string;
}

/**
 * Undoes what a program may have switched on. The cursor is saved first, since
 * leaving the alternate screen restores it, also when it was never entered.
 */
export const RESET = [
  '\x1b7\x1b[?1049l', // alternate screen
  '\x1b7\x1b[r\x1b8', // scroll region; it would take the cursor home
  '\x1b]8;;\x07', // a link
  '\x1b(B\x0f', // frames in the place of letters
  '\x1b7\x1b[?69l\x1b8', // margins at the sides
  '\x1b[?7h\x1b[2l\x1b[4l\x1b[20l\x1b[12h', // wrapping; keys locked, inserting, two characters for Enter, local echo
  '\x1b[?5l', // the screen's colours turned around
  '\x1b[?25h', // show the cursor
  '\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l', // mouse
  '\x1b[?2004l', // bracketed paste
  '\x1b[?1004l', // focus reports
  '\x1b[?2031l\x1b[?2048l', // colour scheme and size reports
  '\x1b[?2026l', // synchronised output
  '\x1b[<u', // kitty keyboard
  '\x1b[>4;0m', // modifyOtherKeys
  '\x1b[?1l\x1b>', // application cursor keys and keypad
  '\x1b[0m', // colours
].join('');
/** After leaving in the middle: the prompt starts on a line of its own, and nothing of the program stays below. */
const CLEAR_BELOW = '\r\n\x1b[J';

const LEAVE_SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;

/** Its size now, or the usual one where the system does not tell. */
export const terminalSize = ({ output }: Terminal): TerminalSize => ({ cols: output.columns || 80, rows: output.rows || 24 });

/**
 * Puts the terminal into raw mode and hands on its input until the result is
 * called, which restores it; so does the end of this process.
 */
export const takeTerminal = (
  terminal: Terminal,
  signals: SignalSource,
  events: TerminalEvents,
): ((how: 'ended' | 'left') => void) => {
  const { input, output } = terminal;
  const keys = prefixKeys({
    pass: events.input,
    waiting: events.waiting,
    command: (command) => (command.kind === 'leave' ? events.leave('key') : events.command(command)),
  });
  const onResize = () => events.resize(terminalSize(terminal));
  const onEnd = () => events.leave('input-ended');
  const onSignal = (name: string) => events.leave(name as LeaveReason);
  let taken = true;
  const restore = (how: 'ended' | 'left') => {
    if (!taken) return;
    taken = false;
    keys.stop();
    input.off('data', keys.push).off('end', onEnd).off('close', onEnd);
    output.off('resize', onResize);
    for (const name of LEAVE_SIGNALS) signals.off(name, onSignal);
    signals.off('exit', onExit);
    // A terminal that is gone cannot be restored, and needs not be.
    if (!input.destroyed) input.setRawMode(false);
    input.pause();
    if (output.writable) output.write(RESET + events.undo() + (how === 'left' ? CLEAR_BELOW : ''));
  };
  const onExit = () => restore('left');
  for (const name of LEAVE_SIGNALS) signals.on(name, onSignal);
  signals.on('exit', onExit);
  output.on('resize', onResize);
  input.setRawMode(true);
  input.on('data', keys.push).on('end', onEnd).on('close', onEnd);
  input.resume();
  return restore;
};
