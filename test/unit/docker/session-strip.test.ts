import { Terminal } from '@xterm/headless';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionInfo, TerminalSize } from '../../../src/capsule/protocol.ts';
import { createGuard } from '../../../src/docker/guard-output.ts';
import { createStrip, stripText } from '../../../src/docker/session-strip.ts';

const session = (id: string, more: Partial<SessionInfo> = {}): SessionInfo => ({ id, agent: id.split('-')[0]!, state: 'running', clients: 1, io: 'pty', ...more });
const SESSIONS = [session('kimi-1'), session('shell-1', { state: 'exited', code: 7 })];

/** A terminal with a strip and what a program writes to it, and one without that is a row lower. */
const makeScreens = (size: TerminalSize = { cols: 60, rows: 12 }) => {
  const real = new Terminal({ ...size, allowProposedApi: true });
  const plain = new Terminal({ cols: size.cols, rows: size.rows - 1, allowProposedApi: true });
  const strip = createStrip('k7x2m9pq', size, true);
  const guard = createGuard({ allowClipboard: false, rewrite: strip.rewrite, append: strip.append });
  strip.show({ sessions: SESSIONS, current: 'kimi-1' });
  const write = (terminal: Terminal, data: string | Buffer) => new Promise<void>((resolve) => terminal.write(data, resolve));
  const rows = ({ buffer: { active }, rows: count }: Terminal) =>
    Array.from({ length: count }, (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '');
  const cursor = ({ buffer: { active } }: Terminal) => ({ x: active.cursorX, y: active.cursorY });
  return {
    strip,
    guard,
    real,
    plain,
    start: () => write(real, strip.open()),
    control: (text: string) => write(real, text),
    program: async (text: string) => {
      const bytes = Buffer.from(text);
      const passed = guard.push(bytes);
      const more = guard.isBetween() ? strip.refresh() : '';
      await write(real, Buffer.concat([passed, Buffer.from(more)]));
      await write(plain, bytes);
    },
    inner: () => rows(real).slice(0, -1),
    line: () => rows(real).at(-1) ?? '',
    plainRows: () => rows(plain),
    cursors: () => [cursor(real), cursor(plain)],
  };
};

/** Both as a person sees them: rows and cursor, and the strip below one of them. */
const seen = (screens: ReturnType<typeof makeScreens>) => {
  const [real, plain] = screens.cursors();
  return [
    { rows: screens.inner(), cursor: real, strip: screens.line().includes('jackin k7x2m9pq') },
    { rows: screens.plainRows(), cursor: plain, strip: true },
  ];
};

const lines = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}\r\n`).join('');

describe('a program above the strip', () => {
  it.each([
    ['that prints many lines', lines(100)],
    ['that draws to the far corner', '\x1b[999;999Hx\x1b[999Hy\x1b[50dz\x1b[Hhome'],
    ['that scrolls a region, as editors do', `\x1b[2;8r\x1b[8;1H${lines(20)}\x1b[r\x1b[11;1H${lines(5)}`],
    ['that gives a region past the end', `\x1b[3;99r\x1b[99;1H${lines(9)}`],
    ['that goes to the other screen and back', `${lines(4)}\x1b[?1049h\x1b[2J\x1b[H${lines(30)}\x1b[?1049lback\r\n${lines(20)}`],
    ['that clears the screen', `${lines(30)}\x1b[2J\x1b[Hclean\x1b[J`],
    ['that clears from the middle', `${lines(30)}\x1b[5;5H\x1b[Jx`],
    ['that resets the terminal', `${lines(30)}\x1bcfresh\r\n${lines(20)}`],
    ['that resets it softly', `\x1b[2;5r\x1b[!p\x1b[20;1H${lines(20)}`],
    ['that fills the screen with E', '\x1b#8\x1b[3;3Hhere'],
    ['that saves the cursor, clears, and restores it', `${lines(3)}\x1b7\x1b[2J\x1b[5;5Hx\x1b8y`],
    ['in origin mode', '\x1b[3;8r\x1b[?6h\x1b[1;1Htop\x1b[99;1Hbottom\x1b[?6l\x1b[r'],
    ['that steps down past the end', '\x1b[3;1H\x1b[99ex\x1b[Hhome'],
    ['that writes a row with a part behind a colon', '\x1b[12:1Hx\x1b[12:1dy\x1b[1;99:1rz'],
    ['that clears in other spellings', '\x1b[02Jone\x1b[2;1Jtwo\x1b[00J'],
    ['that draws frames in another character set', '\x1b(0\x1b[2Jlqqk\x1b(B after'],
    ['with wide characters at the edge', `\x1b[1;59H你你好\r\n${lines(20)}`],
    ['that reads its size from the cursor', '\x1b7\x1b[r\x1b[999;999H\x1b[6n\x1b8here'],
  ])('%s sees what it would see in a terminal of its size', async (_, text) => {
    for (const size of [1, 5, text.length]) {
      const screens = makeScreens();
      await screens.start();
      for (let at = 0; at < text.length; at += size) await screens.program(text.slice(at, at + size));
      const [real, plain] = seen(screens);
      expect(real).toEqual(plain);
    }
  });

  it('is kept off it while it prints thousands of lines', async () => {
    const screens = makeScreens();
    await screens.start();
    await screens.program(lines(5000));
    const [real, plain] = seen(screens);
    expect(real).toEqual(plain);
  });

  it('is the same for any mix of sequences', async () => {
    const number = fc.integer({ min: 0, max: 20 });
    const step = fc.oneof(
      fc.tuple(number, number).map(([row, col]) => `\x1b[${row};${col}H`),
      // Below a region that ends earlier, a step down can reach the strip: docs/adr/0014.
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 11, max: 20 })).map(([top, end]) => `\x1b[${top};${end}r`),
      number.map((row) => `\x1b[${row}d`),
      number.map((count) => `\x1b[${count}B`),
      number.map((count) => `\x1b[${count}L`),
      fc.constantFrom('\x1b[r', '\x1b[J', '\x1b[1J', '\x1b[2J', '\x1b[K', '\r\n', '\n', '\x1bM', '\x1bD', '\x1b[3S', '\x1b[2T', '\x1b[?1049hx\x1b[2Jy\x1b[5;5H\x1b[?1049l', '\x1b[?1047hx\x1b[?1047l', '\x1b7x\x1b8', '\x1b[sx\x1b[u', '\x1bc', '\x1b[31m', 'text', '你好', '\x1b[5M', '\x1b[4P'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const screens = makeScreens();
        await screens.start();
        for (const part of steps) await screens.program(part);
        const [real, plain] = seen(screens);
        expect(real).toEqual(plain);
      }),
      { numRuns: process.env['JACKIN_TEST_FULL'] ? 3000 : 200 },
    );
  }, 120_000);

  it.each(['\n\n\nx', '\x1bD\x1bD\x1bDx', '\x1b[99Bx', 'x'.repeat(200)])('never has the last word on the last line: %j below a region that ends early', async (steps) => {
    for (const after of ['', '\x1b[r', '\x1b[1;4r\x1b[Hy']) {
      const screens = makeScreens();
      await screens.start();
      const before = screens.line();
      await screens.program(`\x1b[3;8r\x1b[99;1H${steps}${after}`);
      expect(screens.line()).toBe(before);
    }
  });

  it('starts above the strip also when the cursor was on the last line', async () => {
    const screens = makeScreens();
    await screens.control(`${lines(11)}prompt`);
    await screens.start();
    await screens.program('\r\nnext');
    expect(screens.inner().slice(-2)).toEqual(['prompt', 'next']);
    expect(screens.line()).toContain('jackin');
  });
});

describe('the strip', () => {
  it('tells of changes at once, but never in the middle of a sequence, a character, a link, or a saved cursor', async () => {
    const screens = makeScreens();
    await screens.start();
    const change = async (current: string) => {
      screens.strip.show({ current });
      if (screens.guard.isBetween()) await screens.control(screens.strip.refresh());
    };
    for (const [open, close] of [['\x1b[3', '1m'], ['\x1b]8;;https://x.test\x07linked', '\x1b]8;;\x07'], ['\x1b7', '\x1b8'], ['\x1b[s', '\x1b[u'], ['\x1b(0', '\x1b(B']] as const) {
      await screens.program(open);
      const before = screens.line();
      await change(before.includes('kimi-1*') ? 'shell-1' : 'kimi-1');
      expect(screens.line()).toBe(before);
      await screens.program(close);
      expect(screens.line()).not.toBe(before);
    }
  });

  it('can be switched off and on, and the program gets the row or gives it back', async () => {
    const screens = makeScreens();
    await screens.start();
    expect(screens.strip.inner()).toEqual({ cols: 60, rows: 11 });
    await screens.control(screens.strip.toggle());
    expect(screens.strip.inner()).toEqual({ cols: 60, rows: 12 });
    expect(screens.line()).toBe('');
    await screens.control(screens.strip.toggle());
    expect(screens.line()).toContain('jackin');
  });

  it('leaves the last line empty and the whole screen free when it is closed', async () => {
    const screens = makeScreens();
    await screens.start();
    await screens.program(lines(30));
    await screens.control(screens.strip.close());
    expect(screens.line()).toBe('');
    await screens.control(`\x1b[12;1H${lines(3)}end`);
    expect(screens.line()).toBe('end');
  });

  it('is not shown where there is no room for it', () => {
    for (const size of [{ cols: 80, rows: 5 }, { cols: 19, rows: 24 }]) {
      const strip = createStrip('k7x2m9pq', size, true);
      expect([strip.inner(), strip.open(), strip.close(), strip.holds(size.rows)]).toEqual([size, '', '', false]);
    }
    expect(createStrip('k7x2m9pq', { cols: 80, rows: 24 }, false).open()).toBe('');
  });
});

describe('its words', () => {
  const content = { sessions: SESSIONS, current: 'kimi-1', menu: false, note: '' };

  it('name the instance, the sessions and their state, and where the keys are', () => {
    expect(stripText('k7x2m9pq', content, 80).trimEnd()).toBe(' jackin k7x2m9pq  │ 1 kimi-1*  2 shell-1 exited(7) │ Ctrl-\\ keys');
    expect(stripText('k7x2m9pq', { ...content, note: 'denied' }, 80)).toContain('denied');
  });

  it('show nothing of a name that is wide or turns the line around', () => {
    const named = { ...content, sessions: [session('你好\u202eab-1')], current: '你好\u202eab-1' };
    expect(stripText('k7x2m9pq', named, 60)).toContain('1 ???ab-1*');
  });

  it('leave out the least needed first, and fit in every width', () => {
    for (let cols = 20; cols < 120; cols += 1) {
      for (const menu of [false, true]) {
        const text = stripText('k7x2m9pq', { ...content, menu }, cols);
        expect(text.length).toBe(cols - 1);
        expect(menu || text.includes('kimi-1*')).toBe(true);
      }
    }
    expect(stripText('k7x2m9pq', { ...content, menu: true }, 100)).toContain('d leave');
  });
});
