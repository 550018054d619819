import { Terminal } from '@xterm/headless';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createGuard, type GuardOptions } from '../../../src/docker/guard-output.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');

const guarded = (chunks: Buffer[], options: Partial<GuardOptions> = {}): string => {
  const guard = createGuard({ allowClipboard: false, ...options });
  return Buffer.concat(chunks.map((chunk) => guard.push(chunk))).toString('latin1');
};
/** What of a text of bytes is left, cut at every place as well. */
const through = (text: string, options: Partial<GuardOptions> = {}): string => {
  const whole = guarded([latin1(text)], options);
  for (let at = 1; at < text.length; at += 1) expect(guarded([latin1(text.slice(0, at)), latin1(text.slice(at))], options)).toBe(whole);
  expect(guarded(text.split('').map(latin1), options)).toBe(whole);
  return whole;
};
const bytesOf = (text: string): string => Buffer.from(text).toString('latin1');

describe('what passes untouched', () => {
  it.each([
    'plain text\r\n\tand tabs\b\x07',
    bytesOf('ünïcödé 你好 👩‍👩‍👧 │─╮'),
    '\x1b[31;1mred\x1b[0m \x1b[38;2;1;2;3mtrue\x1b[48:5:9m',
    '\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H\x1b[10;20H\x1b[?1000;1006h\x1b[?2004h\x1b[?2026h\x1b[?1049l',
    '\x1b[>1u\x1b[<u\x1b[=1;2u\x1b[>4;2m\x1b[?u\x1b[c\x1b[>c\x1b[6n\x1b[>q\x1b[!p\x1b[1;20r\x1b[4 q',
    '\x1b7\x1b8\x1b=\x1b>\x1bD\x1bM\x1bE\x1bH\x1bc\x1b(0qqq\x1b(B\x1b#8',
    '\x1b[14t\x1b[18t\x1b[22;0t\x1b[23t',
    bytesOf('\x1b]0;title ünï\x07\x1b]2;other\x1b\\'),
    '\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]4;1;?\x07\x1b]12;#ff0000\x07\x1b]112\x07',
    '\x1b]8;id=1;https://example.test/a?b=c\x07link\x1b]8;;\x07',
    '\x1b]8;;mailto:a@example.test\x1b\\mail\x1b]8;;\x1b\\',
    bytesOf('\x1b]9;done ✓\x07\x1b]777;notify;title;body\x07\x1b]99;i=1;hello\x1b\\\x1b]9;4;1;50\x07\x1b]133;A\x07'),
    '\x1bP$qm\x1b\\\x1bP$q q\x1b\\\x1bP+q544e;436f\x1b\\',
  ])('%j', (text) => {
    expect(through(text)).toBe(text);
  });
});

describe('what does not pass', () => {
  it.each([
    ['the clipboard, written', '\x1b]52;c;ZmFrZQ==\x07'],
    ['the clipboard, read', '\x1b]52;c;?\x1b\\'],
    ['a report of the title', '\x1b[21t'],
    ['a report of the icon', '\x1b[20;1t'],
    ['a window that moves', '\x1b[3;10;10t'],
    ['a printer', '\x1b[5i'],
    ['a checksum of the screen', '\x1b[1;1;1;1;10;10*y'],
    ['the directory', '\x1b]7;file://host/etc\x07'],
    ['files and variables of a terminal', '\x1b]1337;File=name=eA==;inline=1:AAAA\x07'],
    ['a program that one terminal would run', '\x1b]9;7;"cmd"\x07\x1b]9;6;print()\x07\x1b]9;9;/\x07'],
    ['the font', '\x1b]50;#1\x07'],
    ['keys that are set', '\x1bP1;1|17/6c730d\x1b\\'],
    ['a picture', '\x1bPq#0;2;0;0;0#0~~\x1b\\'],
    ['a picture from a file', '\x1b_Gt=f,a=T;L2V0Yy9wYXNzd2Q=\x1b\\'],
    ['a way past another multiplexer', '\x1bPtmux;\x1b\x1b]52;c;ZmFrZQ==\x07\x1b\\'],
    ['a private message', '\x1b^x\x1b\\'],
    ['a start of string', '\x1bXx\x1b\\'],
    ['the answerback', '\x05'],
    ['another encoding', '\x1b%@'],
    ['an escape nobody knows', '\x1bl\x1b F'],
    ['controls of eight bits', bytesOf('\u009d52;c;ZmFrZQ==\u009c').replace('52;c;ZmFrZQ==', '')],
    ['too many numbers', `\x1b[${'1;'.repeat(40)}m`],
    ['a sequence that is too long', `\x1b[${'1'.repeat(400)}m`],
    ['a string that is too long', `\x1b]0;${'x'.repeat(9000)}\x07`],
    ['a title with a control of eight bits', bytesOf('\x1b]0;a\u009b5i\x07')],
    ['a title that is not text', '\x1b]0;a\xff\x07'],
    ['numbers behind what ends them', '\x1b[ 0@'],
    ['the terminal’s own status line', '\x1b[1$}\x1b[2$~'],
    ['delete', '\x7f'],
  ])('%s', (_, text) => {
    expect(through(`a${text}b`).replaceAll('\x1b\\', '')).toBe('ab');
  });

  it('a link to somewhere else: it is ended, so that nothing is linked wrongly', () => {
    for (const target of ['file:///etc/passwd', 'javascript:alert(1)', 'https://a b', `https://${'x'.repeat(3000)}`, 'ssh://host']) {
      expect(through(`\x1b]8;;https://ok.test\x07one\x1b]8;;${target}\x07two`)).toBe('\x1b]8;;https://ok.test\x07one\x1b]8;;\x07two');
    }
  });

  it('bytes that are no text: each becomes the sign for that', () => {
    expect(through('a\xffb\xc0\x80c\xe2\x82d\xf5e\x9bf')).toBe(bytesOf('a\ufffdb\ufffd\ufffdc\ufffdd\ufffde\ufffdf'));
    expect(through('\xed\xa0\x80\xf4\x90\x80\x80')).toBe(bytesOf('\ufffd'.repeat(7)));
  });

  it('a sequence that is given up, and one that never ends', () => {
    expect(through('a\x1b[31\x18b\x1b]0;x\x1ac\x1b[1\x1b[32md')).toBe('abc\x1b[32md');
    expect(through('a\x1b]0;title\x1b[31mb')).toBe('a\x1b[31mb');
    expect(through('a\x1b[3\n1mb')).toBe('a\n\x1b[31mb');
    expect(through(`a\x1b_${'x'.repeat(5000)}`)).toBe('a');
  });
});

describe('a string with controls in it', () => {
  it.each([
    ['\x1b]0;a\x05b\nc\x07', '\x1b]0;abc\x07'],
    ['\x1b]8;;https://a.test/\x00\r\nb\x07', '\x1b]8;;https://a.test/b\x07'],
    ['\x1bP$q\x07m\x1b\\', '\x1bP$qm\x1b\\'],
    ['\x1b]52;c;\x7fZmFrZQ==\x07', ''],
  ])('%j passes without them', (text, left) => {
    expect(through(`a${text}b`)).toBe(`a${left}b`);
  });
});

describe('the clipboard', () => {
  it('is told once when it is denied', () => {
    let told = 0;
    guarded(['\x1b]52;c;?\x07', '\x1b]52;c;ZmFrZQ==\x07', '\x1b]52;c;ZmFrZQ==\x07'].map(latin1), { onDeniedClipboard: () => (told += 1) });
    expect(told).toBe(1);
  });

  it('can be written where that is allowed, in bounds, and never be read', () => {
    const allow = { allowClipboard: true };
    expect(through('\x1b]52;c;ZmFrZQ==\x07', allow)).toBe('\x1b]52;c;ZmFrZQ==\x07');
    expect(through('\x1b]52;c;?\x07\x1b]52;c;a b\x07', allow)).toBe('');
    const big = `\x1b]52;c;${'A'.repeat(100_000)}\x07`;
    expect(guarded([latin1(big)], allow)).toBe(big);
    expect(guarded([latin1(`\x1b]52;c;${'A'.repeat(200_000)}\x07x`)], allow)).toBe('x');
  });
});

describe('colours that a program has set', () => {
  it('can be undone, and questions need not be', () => {
    const guard = createGuard({ allowClipboard: false });
    guard.push(latin1('\x1b]11;?\x07'));
    expect(guard.colourReset()).toBe('');
    guard.push(latin1('\x1b]11;#000000\x07'));
    expect(guard.colourReset()).toContain('\x1b]111\x07');
  });
});

/** Sequences as programs and attackers write them, whole and torn. */
const pieces = fc.oneof(
  fc.constantFrom('\x1b', '\x1b[', '\x1b]', '\x1bP', '\x1b_', '\x07', '\x1b\\', '\x18', '\x9d', '\xc2\x9d', '\xc2', '\x1b]52;c;AAAA\x07', '\x1b[5i', '\x1b[31m', '\x1b[?1049h', '\x1b]8;;https://x.test\x07', '\x1bPtmux;\x1b\x1b[5i\x1b\\', bytesOf('你'), 'text', '\r\n', '\x05', '\x1b]0;a', '\x1bP$qm', '\x00'),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 }),
);
const streams = fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join(''));

/** Everything in a terminal's input that is not plain text, found another way: by looking for what begins a sequence. */
const sequencesIn = (text: string): string[] => {
  // oxlint-disable-next-line no-control-regex -- that is what is looked for
  const found = text.match(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|[ -/]*[0-Z^-~\\]|[\s\S]|$)/g);
  return found ?? [];
};
// oxlint-disable-next-line no-control-regex -- that is what is looked for
const ALLOWED = /^\x1b(?:\[[0-?]{0,256}[ -/]{0,4}[@-hj-su-~]|\[(?:14|16|18|22|23)(?:;[\d;:]*)?t|\](?:[012]|4|1[012]|10[4]|11[012]|8|9|99|133|777)(?:;[^\x07\x1b]*)?(?:\x07|\x1b\\)|P(?:\$q|\+q)[ -~]*\x1b\\|[ -/]{0,3}[0-Z=>c-~])$/;

describe('any stream', () => {
  const runs = { numRuns: process.env['JACKIN_TEST_FULL'] ? 20_000 : 2000 };

  it('gives the same in whatever pieces it comes', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(200), { maxLength: 8 }), (text, cuts) => {
        const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
        const chunks = places.slice(1).map((end, index) => latin1(text.slice(places[index], end)));
        expect(guarded(chunks)).toBe(guarded([latin1(text)]));
      }),
      runs,
    );
  });

  it('comes out as text and sequences of the policy, and nothing else', () => {
    fc.assert(
      fc.property(streams, (text) => {
        const out = guarded([latin1(text)]);
        for (const sequence of sequencesIn(out)) expect(sequence).toMatch(ALLOWED);
        // oxlint-disable-next-line no-control-regex -- that is what is looked for
        expect(out).not.toMatch(/[\x00-\x06\x10-\x1a\x1c-\x1f\x7f]/);
        // oxlint-disable-next-line no-control-regex -- that is what is looked for
        for (const sequence of sequencesIn(out)) expect(sequence).not.toMatch(/^\x1b[\]P][^\x07\x1b]*[\x00-\x06\x08-\x1a]/);
        const characters = Buffer.from(out, 'latin1').toString('utf8');
        expect(characters).not.toMatch(/[\u0080-\u009f]/);
        expect(Buffer.from(characters).equals(Buffer.from(out, 'latin1'))).toBe(true);
      }),
      runs,
    );
  });

  it('is let through fast', () => {
    const line = latin1('\x1b[32mline\x1b[0m of output, about eighty characters long, as programs print them\r\n');
    const chunk = Buffer.concat(Array.from({ length: 800 }, () => line));
    const guard = createGuard({ allowClipboard: false });
    const began = performance.now();
    let total = 0;
    for (let count = 0; count < 150; count += 1) total += guard.push(chunk).length;
    expect(total).toBe(chunk.length * 150);
    // About 10 MB; generous, for a busy machine.
    expect(performance.now() - began).toBeLessThan(1500);
  });
});

describe('a terminal behind the guard', () => {
  const shown = async (bytes: Buffer): Promise<{ text: string; modes: object; title: string }> => {
    const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
    let title = '';
    terminal.onTitleChange((next) => (title = next));
    await new Promise<void>((resolve) => terminal.write(bytes, resolve));
    const { active } = terminal.buffer;
    const rows = Array.from({ length: 24 }, (_, row) => {
      const line = active.getLine(active.viewportY + row);
      return Array.from({ length: 80 }, (_cell, col) => {
        const cell = line?.getCell(col);
        return `${cell?.getChars()}${cell?.getFgColor()}${cell?.isBold()}${cell?.getWidth()}`;
      }).join('|');
    });
    return { text: rows.join('\n'), modes: { ...terminal.modes, type: active.type, x: active.cursorX, y: active.cursorY }, title };
  };

  it('shows what it would show without it: colours, alternate screen, modes, wide characters, frames', async () => {
    const program = Buffer.from(
      '\x1b[31;1mred\x1b[0m plain 你好 👍🏽 e\u0301\r\n╭──╮\r\n│\x1b[7mx\x1b[0m │\r\n\x1b]0;a title\x07\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1h' +
        '\x1b[?1049h\x1b[2J\x1b[5;10Hhere\x1b[3;20r\x1b[20;1H\r\n\r\nscrolled\x1b[38;5;200mcolour\x1b[?7l\x1b(0lqk\x1b(B\x1b[4h',
    );
    for (const size of [1, 3, 17, 4096]) {
      const guard = createGuard({ allowClipboard: false });
      const chunks = Array.from({ length: Math.ceil(program.length / size) }, (_, index) => guard.push(program.subarray(index * size, (index + 1) * size)));
      expect(await shown(Buffer.concat(chunks))).toEqual(await shown(program));
    }
  });
});
