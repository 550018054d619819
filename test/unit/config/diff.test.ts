import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unifiedDiff } from '../../../src/config/diff.ts';

/** The text after, put together from the text before and its diff. */
const applyDiff = (before: string, diff: string): string[] => {
  const old = before === '' ? [] : before.split('\n');
  const result: string[] = [];
  let at = 0;
  for (const line of diff === '' ? [] : diff.split('\n')) {
    const hunk = /^@@ -(\d+),(\d+) /.exec(line);
    if (hunk !== null) {
      const start = Number(hunk[2]) === 0 ? Number(hunk[1]) : Number(hunk[1]) - 1;
      while (at < start) result.push(old[at++]!);
    } else if (line.startsWith('+')) {
      result.push(line.slice(1));
    } else {
      expect(old[at]).toBe(line.slice(1));
      if (line.startsWith(' ')) result.push(line.slice(1));
      at += 1;
    }
  }
  return [...result, ...old.slice(at)];
};

describe('unifiedDiff', () => {
  it('shows a change with three lines around it', () => {
    expect(unifiedDiff('a\nb\nc\nd\ne\nf\ng\nh\n', 'a\nb\nc\nd\nE\nf\ng\nh\n')).toBe('@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h');
  });

  it('is empty when nothing differs, and whole for a new file', () => {
    expect(unifiedDiff('a\r\nb\r\n', 'a\nb\n')).toBe('');
    expect(unifiedDiff('', 'a\nb\n')).toBe('@@ -0,0 +1,2 @@\n+a\n+b');
  });

  it('leads from the one text to the other, whatever they are', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 30 }).map((lines) => lines.map((line) => `${line}x`).join('\n'));
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(applyDiff(before, unifiedDiff(before, after)).join('\n')).toBe(after);
      }),
    );
  });

  it('takes bounded time for files that have nothing in common', () => {
    const many = (prefix: string) => Array.from({ length: 20_000 }, (_, n) => `${prefix}${n}`).join('\n');
    expect(unifiedDiff(many('a'), many('b')).split('\n')).toHaveLength(40_001);
  });
});
