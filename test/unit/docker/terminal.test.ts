import { Terminal } from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { RESET } from '../../../src/docker/terminal.ts';

const write = (terminal: Terminal, text: string) => new Promise<void>((resolve) => terminal.write(text, resolve));

describe('what is undone when the terminal is given back', () => {
  it.each([
    ['frames in the place of letters', '\x1b(0'],
    ['the second character set', '\x1b)0\x0e'],
    ['inserting', '\x1b[4h'],
    ['lines that do not wrap', '\x1b[?7l'],
    ['two characters for Enter', '\x1b[20h'],
    ['mouse reports', '\x1b[?1003h\x1b[?1006h'],
    ['the old mouse reports', '\x1b[?9h'],
    ['pasting in brackets', '\x1b[?2004h'],
    ['the other screen', '\x1b[?1049h'],
    ['a scroll region', '\x1b[2;4r'],
  ])('%s', async (_, sequence) => {
    const shown = async (before: string) => {
      const terminal = new Terminal({ cols: 20, rows: 6, allowProposedApi: true });
      await write(terminal, `${before}${RESET}\x1b[H\x1b[Jqqq\x1b[1;1Hx\x1b[2;1H${'y'.repeat(25)}\x1b[6;1H\nlast\n`);
      const rows = Array.from({ length: 6 }, (_row, at) => terminal.buffer.active.getLine(terminal.buffer.active.baseY + at)?.translateToString(true));
      return { rows, modes: terminal.modes, type: terminal.buffer.active.type };
    };
    expect(await shown(sequence)).toEqual(await shown(''));
  });

  it('a link, so that the prompt is not a part of it', () => {
    // The headless terminal does not tell which cells are linked.
    expect(RESET).toContain('\x1b]8;;\x07');
  });
});
