/** A single file of a tree that an agent may be changing. */
import { spawnSync } from 'node:child_process';
import fs, { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readFileBelow } from '../../../src/shared/open-below.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'jackin-below-'));
  for (const dir of ['tree/a/b', 'outside/b']) mkdirSync(at(dir), { recursive: true });
  writeFileSync(at('tree/a/b/f'), 'mine');
  writeFileSync(at('outside/b/f'), 'CANARY');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

const at = (name: string) => path.join(root, name);
const read = (name: string) => readFileBelow(at('tree'), name).toString();
const descriptors = () => readdirSync('/proc/self/fd').length;

it('is read, and every directory on the way is let go', () => {
  const before = descriptors();
  expect([read('a/b/f'), read('./a//b/f')]).toEqual(['mine', 'mine']);
  expect(() => read('a/none/f')).toThrow('ENOENT');
  expect(descriptors()).toBe(before);
});

it.each(['in', 'in/f', 'a/link', 'a/pipe', 'a/b', '../outside/b/f', 'a/../../outside/b/f', '.'])('is not read as %s: behind a link, out of the tree, or no file', (name) => {
  symlinkSync(at('outside/b'), at('tree/in'));
  symlinkSync(at('outside/b/f'), at('tree/a/link'));
  spawnSync('mkfifo', [at('tree/a/pipe')]);
  const before = descriptors();
  expect(() => read(name)).toThrow('no plain file, or lies behind a link');
  expect(descriptors()).toBe(before);
});

it('comes from nowhere else when a directory above it becomes a link on the way', () => {
  const open = fs.openSync.bind(fs);
  vi.spyOn(fs, 'openSync').mockImplementation((place, ...more) => {
    if (String(place).endsWith('/b')) {
      renameSync(at('tree/a'), at('aside'));
      symlinkSync(at('outside'), at('tree/a'));
    }
    return open(place, ...more);
  });
  expect(read('a/b/f')).toBe('mine');
});
