import { Terminal } from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { createScreen } from '../../../src/capsule/screen.ts';

const size = { cols: 40, rows: 8 };

/** What the picture makes of a fresh terminal that has something else on it, and the picture itself. */
const pictureOf = async (written: string): Promise<{ lines: string[]; cursor: [number, number]; picture: string }> => {
  const screen = createScreen(size, () => {});
  screen.write(Buffer.from(written), false);
  const picture = await new Promise<string>((resolve) => screen.picture((bytes) => resolve(bytes.toString())));
  const viewer = new Terminal({ ...size, allowProposedApi: true });
  await new Promise<void>((resolve) => viewer.write(`$ jackin\r\nold stuff\r\n${picture}`, resolve));
  const buffer = viewer.buffer.active;
  const lines = Array.from({ length: size.rows }, (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? '');
  return { lines, cursor: [buffer.cursorX, buffer.cursorY], picture };
};

describe('the picture of a screen', () => {
  it('shows lines and cursor where they are, whatever the viewer had there', async () => {
    const { lines, cursor } = await pictureOf('one\r\n\x1b[31mtwo\x1b[0m\r\nthree\x1b[2;3H');
    expect(lines).toEqual(['one', 'two', 'three', '', '', '', '', '']);
    expect(cursor).toEqual([2, 1]);
  });

  it('shows the alternate screen', async () => {
    const { lines, picture } = await pictureOf('shell\r\n\x1b[?1049h\x1b[2;5Hmenu');
    expect(lines.slice(0, 3)).toEqual(['', '    menu', '']);
    expect(picture).toContain('shell');
  });

  it('restores what the serializer leaves out: cursor, mouse encoding, keyboard protocols', async () => {
    const { picture } = await pictureOf('\x1b[>1u\x1b[?1049h\x1b[?25l\x1b[?1000;1006h\x1b[>5u\x1b[=7;1u\x1b[>4;2mx');
    const [before = '', after = ''] = picture.split('\x1b[?1049h');
    expect(before).toContain('\x1b[>1u');
    expect(after).toContain('\x1b[>7u');
    for (const mode of ['\x1b[?25l', '\x1b[?1006h', '\x1b[>4;2m']) expect(after).toContain(mode);
  });

  it('forgets what was taken back or reset', async () => {
    for (const undo of ['\x1b[?25h\x1b[?1006l\x1b[<u\x1b[>4m', '\x1bc']) {
      const { picture } = await pictureOf(`\x1b[?25l\x1b[?1006h\x1b[>1u\x1b[>4;2mx${undo}`);
      for (const mode of ['?25l', '?1006h', '[>1u', '[>4;2m']) expect(picture).not.toContain(mode);
    }
  });

  it('is that of its moment, while more is written', async () => {
    const screen = createScreen(size, () => {});
    screen.write(Buffer.from('before '.repeat(5000)), false);
    let picture = '';
    screen.picture((bytes) => (picture = bytes.toString()));
    screen.write(Buffer.from('after'), false);
    await expect.poll(() => screen.backlog()).toBe(0);
    expect(picture).toContain('before');
    expect(picture).not.toContain('after');
  });

  it('comes with answers to the questions of the program that no viewer saw', async () => {
    const replies: string[] = [];
    const screen = createScreen(size, (reply) => replies.push(reply));
    screen.write(Buffer.from('abc\x1b[6n'), true);
    screen.write(Buffer.from('def\x1b[6n'), false);
    screen.write(Buffer.from('\x1b[c'), true);
    await expect.poll(() => screen.backlog()).toBe(0);
    expect(replies).toEqual(['\x1b[1;4R', '\x1b[?1;2c']);
  });
});
