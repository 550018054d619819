import type { SessionInfo, TerminalSize } from '../capsule/protocol.ts';
import type { Face, Wire } from './capsule-client.ts';
import { createGuard } from './guard-output.ts';
import type { Command } from './prefix-keys.ts';
import { createStrip } from './session-strip.ts';
import { RESET, takeTerminal, terminalSize, type SignalSource, type Terminal } from './terminal.ts';

export interface TerminalStreams {
  terminal: Terminal;
  /** `process`. */
  signals: SignalSource;
  /** Name of the instance, for the strip. */
  instance: string;
  /** Whether the strip is shown, as long as the person does not switch it. */
  strip: boolean;
  /** Whether programs may put something on the operator's clipboard. */
  allowClipboard: boolean;
}

export interface AttachedView {
  /** What the program gets of the terminal's size. */
  size: () => TerminalSize;
  /** Takes the terminal for a session. */
  open: (wire: Wire, session: SessionInfo) => Face;
}

const CLIPBOARD_NOTE = 'clipboard write denied: --allow-clipboard permits it';
/** A mouse report in the form that all programs use by now. */
// oxlint-disable-next-line no-control-regex -- reports are escape sequences
const MOUSE = /\x1b\[<\d+;\d+;(\d+)[Mm]/g;

/** The operator's terminal with a session on it: what may reach it, the strip, and the keys that are jackin's. */
export const attachedView = ({ terminal, signals, instance, strip: wanted, allowClipboard }: TerminalStreams): AttachedView => {
  const { output } = terminal;
  const strip = createStrip(instance, terminalSize(terminal), wanted);
  const write = (text: string) => {
    if (text !== '' && output.writable) output.write(text);
  };
  const makeGuard = () =>
    createGuard({
      allowClipboard,
      onDeniedClipboard: () => strip.show({ note: CLIPBOARD_NOTE }),
      rewrite: strip.rewrite,
      append: strip.append,
    });
  let guard = makeGuard();
  let colours = '';
  const refresh = () => {
    if (guard.isBetween()) write(strip.refresh());
  };
  const show = (change: Parameters<typeof strip.show>[0]) => {
    strip.show(change);
    refresh();
  };
  const filter = (bytes: Buffer): Buffer => {
    const passed = guard.push(bytes);
    const more = guard.isBetween() ? strip.refresh() : '';
    return more === '' ? passed : Buffer.concat([passed, Buffer.from(more)]);
  };
  /** Clicks on the strip are not the program's. */
  const withoutStrip = (bytes: Buffer): Buffer => {
    if (!bytes.includes('\x1b[<')) return bytes;
    const text = bytes.toString('latin1');
    return Buffer.from(text.replaceAll(MOUSE, (report, row) => (strip.holds(Number(row)) ? '' : report)), 'latin1');
  };

  const open = (wire: Wire, first: SessionInfo): Face => {
    let current = first.id;
    let sessions = [first];
    const changeTo = (session: SessionInfo | undefined) => {
      if (session !== undefined && session.id !== current) wire.changeTo({ session: session.id, size: strip.inner() });
    };
    const step = (by: 1 | -1) => {
      const open_ = sessions.filter(({ id, state }) => state === 'running' || id === current);
      const at = open_.findIndex(({ id }) => id === current);
      changeTo(open_[(at + by + open_.length) % open_.length]);
    };
    const act = (command: Exclude<Command, { kind: 'leave' }>) => {
      if (command.kind === 'next') step(1);
      else if (command.kind === 'previous') step(-1);
      else if (command.kind === 'session') changeTo(sessions[command.number - 1]);
      else {
        write(strip.toggle());
        wire.resize(strip.inner());
      }
    };
    strip.show({ current, sessions });
    const restore = takeTerminal(terminal, signals, {
      input: (bytes) => {
        strip.show({ note: '' });
        const passed = withoutStrip(bytes);
        if (passed.length > 0) wire.input(passed);
      },
      resize: (size) => {
        write(strip.resize(size));
        wire.resize(strip.inner());
      },
      leave: wire.leave,
      command: act,
      waiting: (on) => show({ menu: on, note: '' }),
      undo: () => strip.close() + colours + guard.colourReset(),
    });
    // It may have changed since the request was written.
    write(strip.resize(terminalSize(terminal)));
    wire.resize(strip.inner());
    wire.watch();
    output.on('error', () => wire.lose('the terminal is gone'));
    return {
      output,
      errorOutput: output,
      filter,
      close: restore,
      sessions: (list) => {
        sessions = list;
        show({ sessions });
      },
      changedTo: (session) => {
        current = session.id;
        // Whatever the other program has switched on and shown; the picture of this one, if it has any yet, comes next.
        colours += guard.colourReset();
        guard = makeGuard();
        strip.forget();
        strip.show({ current, note: '' });
        write(`${RESET}\x1b[H\x1b[J${strip.open()}`);
      },
    };
  };
  return { size: strip.inner, open };
};
