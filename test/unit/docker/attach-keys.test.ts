import * as fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { takeTerminal } from '../../../src/docker/terminal.ts';
import { fakeTerminal } from './fake-terminal.ts';

/** Types the chunks; what reached the session, and whether that left it. */
const typeChunks = async (chunks: Buffer[], pause = 0): Promise<{ passed: string; left: boolean }> => {
  const terminal = fakeTerminal();
  const got = { passed: '', left: false };
  const restore = takeTerminal(terminal, terminal.signals, {
    input: (bytes) => (got.passed += bytes.toString('latin1')),
    resize: () => {},
    leave: () => (got.left = true),
  });
  for (const chunk of chunks) {
    terminal.input.emit('data', chunk);
    if (pause > 0) await sleep(pause);
  }
  await sleep(60);
  restore('ended');
  return got;
};
const bytes = (text: string) => Buffer.from(text, 'latin1');

const DETACH = ['\x1c', '\x1b[92;5u', '\x1b[92;5:1u', '\x1b[92:124;5u', '\x1b[92;69u', '\x1b[92;133u', '\x1b[27;5;92~'];

describe('the detach key', () => {
  it.each(DETACH.map((key) => [JSON.stringify(key), key]))('is found as %s, in one piece or cut anywhere', async (_, key) => {
    expect(await typeChunks([bytes(`before${key}after`)])).toEqual({ passed: 'before', left: true });
    const places = Array.from({ length: key.length - 1 }, (_unused, at) => at + 1);
    const cut = places.map((at) => typeChunks([bytes(`x${key.slice(0, at)}`), bytes(`${key.slice(at)}y`)]));
    expect(await Promise.all(cut)).toEqual(places.map(() => ({ passed: 'x', left: true })));
    expect(await typeChunks(key.split('').map(bytes))).toEqual({ passed: '', left: true });
  });

  it.each(['\x1b[92;5:3u', '\x1b[92;6u', '\x1b[92;1u', '\x1b[92u', '\x1b[27;6;92~', '\x1b[27;5;93~', '\x1b[A', '\x1b', '\x1b[', '\x1b[9', '\x03', '\\'])(
    'is not %j',
    async (key) => {
      expect(await typeChunks([bytes(key)])).toEqual({ passed: key, left: false });
    },
  );

  it('does not hold up a lone Escape for long, nor what a person types after it', async () => {
    expect(await typeChunks([bytes('\x1b'), bytes('[92;5u')], 50)).toEqual({ passed: '\x1b[92;5u', left: false });
  });

  it('leaves everything else as it is, however it is cut', async () => {
    const piece = fc.oneof(
      fc.constantFrom('\x1b', '\x1b[', '\x1b[9', '\x1b[92', '\x1b[92;6u', '\x1b[27;5', ';', 'u', 'ü', '\x1b[200~paste\x1b[201~', '\x7f'),
      fc.string({ unit: 'binary' }),
    );
    const chunks = fc.array(fc.array(piece, { maxLength: 4 }).map((parts) => Buffer.from(parts.join(''))), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(chunks, async (typed) => {
        const all = Buffer.concat(typed).toString('latin1');
        // oxlint-disable-next-line no-control-regex -- keys are control characters
        fc.pre(!/\x1c|\x1b\[92[\d:;]*u|\x1b\[27;5;92~/.test(all));
        expect(await typeChunks(typed)).toEqual({ passed: all, left: false });
      }),
      { numRuns: 30 },
    );
  });
});
