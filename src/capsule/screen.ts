import { SerializeAddon } from '@xterm/addon-serialize';
import { Terminal } from '@xterm/headless';
import { trackModes } from './screen-modes.ts';
import type { TerminalSize } from './protocol.ts';

const SCROLLBACK_LINES = 1000;

/** What a terminal that came later must be shown. */
export interface Screen {
  /** Bytes that the model has not worked off yet. */
  backlog: () => number;
  /** Whether the session has written anything at all. */
  blank: () => boolean;
  /** `unseen`: nobody else sees these bytes, so questions among them are answered here. */
  write: (bytes: Buffer, unseen: boolean) => void;
  resize: (size: TerminalSize) => void;
  /** Calls back, exactly between what was written before and after this call, with the picture at that point. */
  picture: (show: (picture: Buffer) => void) => void;
  /** Nothing more will be written: only the picture is kept, which needs a fraction of the memory. */
  freeze: () => void;
}

const openModel = (size: TerminalSize) => {
  const terminal = new Terminal({ ...size, scrollback: SCROLLBACK_LINES, allowProposedApi: true });
  const serializer = new SerializeAddon();
  terminal.loadAddon(serializer);
  const modes = trackModes(terminal);
  const draw = (): Buffer => Buffer.from(clearScreen(terminal.rows) + modes.before() + serializer.serialize() + modes.after());
  return { terminal, draw };
};

/** The model of a terminal. `answer` gets its replies to the program's questions (DA, DSR and the like). */
export const createScreen = (size: TerminalSize, answer: (reply: string) => void): Screen => {
  // Let go when it is frozen: the model of a screen is large.
  let model: ReturnType<typeof openModel> | undefined = openModel(size);
  let frozen: Buffer = Buffer.alloc(0);
  let backlog = 0;
  let blank = true;
  // Two flags, because the model works bytes off later than they come.
  let queuedUnseen = true;
  let answering = true;
  model.terminal.onData((reply) => {
    if (answering) answer(reply);
  });
  return {
    backlog: () => backlog,
    blank: () => blank,
    write: (bytes, unseen) => {
      blank = false;
      if (unseen !== queuedUnseen) {
        queuedUnseen = unseen;
        model?.terminal.write('', () => {
          answering = unseen;
        });
      }
      backlog += bytes.byteLength;
      model?.terminal.write(bytes, () => {
        backlog -= bytes.byteLength;
      });
    },
    resize: ({ cols, rows }) => model?.terminal.resize(cols, rows),
    picture: (show) => {
      const { terminal, draw } = model ?? {};
      if (terminal === undefined || draw === undefined) return show(frozen);
      // The model works its queue off in order, so the callback of an empty write marks this point.
      terminal.write('', () => show(draw()));
    },
    freeze: () => {
      const { terminal, draw } = model ?? {};
      terminal?.write('', () => {
        frozen = draw!();
        terminal.dispose();
        model = undefined;
      });
    },
  };
};

/** Pushes what the viewer's terminal shows into its scrollback, instead of wiping it, and starts at the top. */
const clearScreen = (rows: number): string => `\x1b[${rows};1H${'\n'.repeat(rows)}\x1b[H\x1b[J`;
