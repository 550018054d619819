import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseIgnored } from '../../../src/shared/ignore-patterns.ts';

const ignored = (lines: string[], names: string[]): string[] => {
  const { ignores } = parseIgnored(lines.join('\n'), '.dockerignore');
  return names.filter(ignores);
};

test.each<[string[], string[], string[]]>([
  [['node_modules'], ['node_modules', 'node_modules/a/b', 'sub/node_modules', 'node_modules2'], ['node_modules', 'node_modules/a/b']],
  [['**/node_modules'], ['node_modules/a', 'sub/node_modules/a', 'my_node_modules'], ['node_modules/a', 'sub/node_modules/a']],
  [['*.md', '!README.md'], ['a.md', 'README.md', 'docs/a.md'], ['a.md']],
  [['*', '!keep'], ['a', '.b', 'sub/c', 'keep', 'keep/d'], ['a', '.b', 'sub/c']],
  [['!keep', '*'], ['keep'], ['keep']],
  [['dir', '!dir/keep'], ['dir/a', 'dir/keep'], ['dir/a']],
  [['dir/**'], ['dir', 'dir/a', 'dir/b/c'], ['dir/a', 'dir/b/c']],
  [['a/**/z'], ['a/z', 'a/b/z', 'a/b/c/z', 'az', 'a/bz'], ['a/z', 'a/b/z', 'a/b/c/z']],
  [['**'], ['a', 'b/c'], ['a', 'b/c']],
  [['*/temp*'], ['temp', 'a/temp', 'a/temporary.txt', 'a/b/temp'], ['a/temp', 'a/temporary.txt']],
  [['temp?'], ['temp', 'tempa', 'temp/'], ['tempa']],
  [['[a-c]x', '[^m]y'], ['ax', 'dx', 'ay', 'my'], ['ax', 'ay']],
  [['/a', './b/', 'c//d/../e'], ['a', 'b', 'c/e', 'sub/a'], ['a', 'b', 'c/e']],
  [['# a', ' # b', '', '   '], ['a', '# b'], ['# b']],
  [['\\#a', 'a\\*'], ['#a', 'a*', 'ab'], ['#a', 'a*']],
  [['c++', 'a(b)', 'x.y', 'p|q'], ['c++', 'a(b)', 'xzy', 'p'], ['c++', 'a(b)']],
  [['A'], ['a'], []],
  [['\ufeffa'], ['a'], ['a']],
  [['a\r', '  b  '], ['a', 'b'], ['a', 'b']],
  [['../a', '.', '/'], ['a', 'b'], []],
])('%j of %j', (lines, names, expected) => {
  expect(ignored(lines, names)).toEqual(expected);
});

test.each([['!', 2], ['[a', 2], ['a\\', 2], ['[-]', 2]])('%j is told with its line', (pattern, line) => {
  expect(() => parseIgnored(`a\n${pattern}\n`, '.dockerignore')).toThrow(expect.objectContaining({ code: 'build.failed', message: `.dockerignore:${line}: ${JSON.stringify(pattern)} is no pattern` }));
});

test('a pattern that is made to take for ever does not', () => {
  const { ignores } = parseIgnored(`${'*a'.repeat(40)}b\n${'**/a'.repeat(40)}b`, '.dockerignore');
  const started = performance.now();
  expect(ignores('a'.repeat(250))).toBe(false);
  expect(ignores('a/'.repeat(120))).toBe(false);
  expect(performance.now() - started).toBeLessThan(5000);
});

const failure = (run: () => unknown): unknown => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
};

test('any text is patterns or an error with a place', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '*', '/', '!', '[', ']', '^', '-', '\\', '?', '\n', '.', ' ', '#') });
  const placed = { code: 'build.failed', message: expect.stringMatching(/^f:\d+: /) };
  fc.assert(
    fc.property(text, text, (patterns, name) => {
      const error = failure(() => parseIgnored(patterns, 'f').ignores(name));
      const told: unknown = error ?? { code: 'build.failed', message: 'f:1: ' };
      expect(told).toMatchObject(placed);
    }),
  );
});
