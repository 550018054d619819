import * as fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { prefixKeys, type Command } from '../../../src/docker/prefix-keys.ts';

interface Got {
  passed: string;
  commands: Command[];
}

/** Types the chunks; what reached the program, and what was asked of jackin. */
const typeChunks = async (chunks: Buffer[], pause = 0): Promise<Got> => {
  const got: Got = { passed: '', commands: [] };
  const keys = prefixKeys({
    pass: (bytes) => (got.passed += bytes.toString('latin1')),
    command: (command) => got.commands.push(command),
    waiting: () => {},
  });
  for (const chunk of chunks) {
    keys.push(chunk);
    if (pause > 0) await sleep(pause);
  }
  await sleep(60);
  keys.stop();
  return got;
};
const bytes = (text: string) => Buffer.from(text, 'latin1');
const typed = (text: string) => typeChunks([bytes(text)]);
const LEAVE: Command = { kind: 'leave' };

const PREFIX = ['\x1c', '\x1b[92;5u', '\x1b[92;5:1u', '\x1b[92:124;5u', '\x1b[92;69u', '\x1b[92;133u', '\x1b[27;5;92~'];

describe('the prefix key', () => {
  it.each(PREFIX.map((key) => [JSON.stringify(key), key]))('is found as %s, in one piece or cut anywhere', async (_, key) => {
    const left = { passed: 'before', commands: [LEAVE] };
    expect(await typed(`before${key}dafter`)).toEqual(left);
    const places = Array.from({ length: key.length - 1 }, (_unused, at) => at + 1);
    const cut = places.map((at) => typeChunks([bytes(`x${key.slice(0, at)}`), bytes(`${key.slice(at)}dy`)]));
    expect(await Promise.all(cut)).toEqual(places.map(() => ({ passed: 'x', commands: [LEAVE] })));
    expect(await typeChunks(`${key}${key}`.split('').map(bytes))).toEqual({ passed: '', commands: [LEAVE] });
  });

  it.each(['\x1b[92;5:3u', '\x1b[92;6u', '\x1b[92;1u', '\x1b[92u', '\x1b[27;6;92~', '\x1b[27;5;93~', '\x1b[A', '\x1b', '\x1b[', '\x1b[9', '\x03', '\\'])(
    'is not %j',
    async (key) => {
      expect(await typed(key)).toEqual({ passed: key, commands: [] });
    },
  );

  it('alone does nothing, and what comes much later still belongs to it', async () => {
    expect(await typed('a\x1c')).toEqual({ passed: 'a', commands: [] });
    expect(await typeChunks([bytes('a\x1c'), bytes('nb')], 80)).toEqual({ passed: 'ab', commands: [{ kind: 'next' }] });
  });

  it('is not looked for in what is pasted, however that is cut', async () => {
    const paste = 'x\x1b[200~one \x1cd two \x1b[92;5u three\x1b[201~y';
    expect(await typed(`${paste}\x1cn`)).toEqual({ passed: paste, commands: [{ kind: 'next' }] });
    for (let at = 1; at < paste.length; at += 1) {
      const halves = [paste.slice(0, at), `${paste.slice(at)}\x1cn`].map(bytes);
      expect(await typeChunks(halves, 0)).toEqual({ passed: paste, commands: [{ kind: 'next' }] });
    }
    // An Escape that was given on already is still a part of the end.
    expect(await typeChunks(['\x1b[200~p\x1b', '[201~\x1cn'].map(bytes), 50)).toEqual({ passed: '\x1b[200~p\x1b[201~', commands: [{ kind: 'next' }] });
  });

  it('does not hold up a lone Escape for long, nor what a person types after it', async () => {
    expect(await typeChunks([bytes('\x1b'), bytes('[92;5u')], 50)).toEqual({ passed: '\x1b[92;5u', commands: [] });
  });

  it('leaves everything else as it is, however it is cut', async () => {
    const piece = fc.oneof(
      fc.constantFrom('\x1b', '\x1b[', '\x1b[9', '\x1b[92', '\x1b[92;6u', '\x1b[27;5', ';', 'u', 'ü', '\x1b[200~paste\x1b[201~', '\x1b[200~', '\x7f'),
      fc.string({ unit: 'binary' }),
    );
    const chunks = fc.array(fc.array(piece, { maxLength: 4 }).map((parts) => Buffer.from(parts.join(''))), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(chunks, async (typing) => {
        const all = Buffer.concat(typing).toString('latin1');
        // oxlint-disable-next-line no-control-regex -- keys are control characters
        fc.pre(!/\x1c|\x1b\[92[\d:;]*u|\x1b\[27;5;92~/.test(all));
        expect(await typeChunks(typing)).toEqual({ passed: all, commands: [] });
      }),
      { numRuns: 30 },
    );
  });
});

describe('the key after the prefix', () => {
  it.each<[string, Command]>([
    ['d', LEAVE],
    ['\x1c', LEAVE],
    ['n', { kind: 'next' }],
    ['p', { kind: 'previous' }],
    ['3', { kind: 'session', number: 3 }],
    ['s', { kind: 'strip' }],
    ['\x1b[110u', { kind: 'next' }],
    ['\x1b[110;1:1u', { kind: 'next' }],
    ['\x1b[27;1;110~', { kind: 'next' }],
    // The prefix is let go before the next key is pressed.
    ['\x1b[92;5:3un', { kind: 'next' }],
    ['?n', { kind: 'next' }],
  ])('%j is a command', async (key, command) => {
    expect(await typed(`a\x1c${key}`)).toEqual({ passed: 'a', commands: [command] });
  });

  it.each(['x', '0', '\r', '\x1b[A', '\x1bOP', '\x1b[<0;3;4M', '\x03', '\x1b'])('%j takes the prefix back and is not sent', async (key) => {
    expect(await typeChunks([bytes(`a\x1c${key}`), bytes('b')], 50)).toEqual({ passed: 'ab', commands: [] });
  });

  it.each(['\x1b]11;rgb:0000/0000/0000\x1b\\', '\x1bP1$r0m\x1b\\', '\x1b[?62;4c', '\x1b[?2026;2$y', '\x1b[?1u', '\x1b[I'])('%j is an answer of the terminal: the program gets it, and the key is still awaited', async (answer) => {
    expect(await typed(`a\x1c${answer}nb`)).toEqual({ passed: `a${answer}b`, commands: [{ kind: 'next' }] });
  });

  it('sends the prefix itself to the program when it is a backslash', async () => {
    expect(await typed('a\x1c\\b')).toEqual({ passed: 'a\x1cb', commands: [] });
  });

  it('is told to be awaited', () => {
    const told: boolean[] = [];
    const keys = prefixKeys({ pass: () => {}, command: () => {}, waiting: (on) => told.push(on) });
    keys.push(bytes('\x1c'));
    keys.push(bytes('x'));
    keys.stop();
    expect(told).toEqual([true, false]);
  });
});
