/** Documents name files of this repository; each of them must be there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...readdirSync('docs').filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

/** `src/…`, `test/…` and so on, as they stand between backticks. */
const namedIn = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/`((?:src|test|scripts|docs|schemas|construct|bench)\/[\w./-]*)`/g)].map(([, name = '']) => name);

it.each(DOCUMENTS)('%s names only files and folders that there are', (file) => {
  expect(namedIn(file).filter((name) => !existsSync(name))).toEqual([]);
});

it('the page on security shows a test for each group of promises', () => {
  expect(new Set(namedIn('docs/security.md').filter((name) => name.startsWith('test/'))).size).toBeGreaterThan(25);
});
