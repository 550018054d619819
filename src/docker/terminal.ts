import type { Readable, Writable } from 'node:stream';
import type { TerminalSize } from '../capsule/protocol.ts';

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
}

/**
 * Undoes what a program may have switched on. The cursor is saved first, since
 * leaving the alternate screen restores it, also when it was never entered.
 */
const RESET = [
  '\x1b7\x1b[?1049l', // alternate screen
  '\x1b[?25h', // show the cursor
  '\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l', // mouse
  '\x1b[?2004l', // bracketed paste
  '\x1b[?1004l', // focus reports
  '\x1b[?2031l', // colour scheme reports
  '\x1b[?2026l', // synchronised output
  '\x1b[<u', // kitty keyboard
  '\x1b[>4;0m', // modifyOtherKeys
  '\x1b[?1l\x1b>', // application cursor keys and keypad
  '\x1b[0m', // colours
].join('');
/** After leaving in the middle: the prompt starts on a line of its own, and nothing of the program stays below. */
const RESET_AND_CLEAR_BELOW = `${RESET}\r\n\x1b[J`;

const LEAVE_SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const;
/** The rest of an escape sequence that was cut comes at once; a person's Escape must not wait for longer. */
const CUT_SEQUENCE_MS = 30;

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
  const keys = detachKeyFinder(events.input, () => events.leave('key'));
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
    if (output.writable) output.write(how === 'left' ? RESET_AND_CLEAR_BELOW : RESET);
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

/** Ctrl-\ as a byte; as kitty's CSI u, with any lock keys and not as a release; as xterm's modifyOtherKeys. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const KEY = /\x1c|\x1b\[92(?::\d*)*;(\d+)(?::[12])?(?:;[\d:]*)?u|\x1b\[27;5;92~/g;
/** What may be the beginning of one of the sequences. */
// oxlint-disable-next-line no-control-regex -- keys are control characters
const CUT = /\x1b(?:\[(?:9(?:2[:;\d]{0,24})?|2(?:7[;\d]{0,6})?)?)?$/;
const CTRL = 4;
const LOCK_KEYS = 64 | 128;

/** Hands on everything before the detach key, untouched; what comes after the key is for nobody. */
const detachKeyFinder = (
  pass: (bytes: Buffer) => void,
  found: () => void,
): { push: (chunk: Buffer) => void; stop: () => void } => {
  let held = '';
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const emit = (text: string) => {
    if (text !== '') pass(Buffer.from(text, 'latin1'));
  };
  const flush = () => {
    const text = held;
    held = '';
    emit(text);
  };
  return {
    stop: () => {
      over = true;
      clearTimeout(timer);
    },
    push: (chunk) => {
      if (over) return;
      clearTimeout(timer);
      // Latin-1 maps bytes to characters one to one.
      const text = held + chunk.toString('latin1');
      held = '';
      const key = [...text.matchAll(KEY)].find(([, modifiers]) => modifiers === undefined || isCtrlAlone(Number(modifiers)));
      if (key !== undefined) {
        over = true;
        emit(text.slice(0, key.index));
        found();
        return;
      }
      const cut = text.search(CUT);
      if (cut === -1) return emit(text);
      held = text.slice(cut);
      timer = setTimeout(flush, CUT_SEQUENCE_MS);
      emit(text.slice(0, cut));
    },
  };
};

/** The protocol adds one to the sum of the modifiers. */
const isCtrlAlone = (modifiers: number): boolean => ((modifiers - 1) & ~LOCK_KEYS) === CTRL;
