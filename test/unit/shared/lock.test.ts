import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { withFileLock } from '../../../src/shared/lock.ts';

const scratch = async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-lock-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
};

describe('a file lock', () => {
  it('lets one in at a time, and leaves nothing behind', async () => {
    const root = await scratch();
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await sleep(5);
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 10 }, () => withFileLock(path.join(root, 'lock'), work)));
    expect(most).toBe(1);
    expect(await readdir(root)).toEqual([]);
  });

  it('is given back when the work fails', async () => {
    const file = path.join(await scratch(), 'lock');
    await expect(withFileLock(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withFileLock(file, () => Promise.resolve(1))).toBe(1);
  });

  it('of a dead process is taken over', async () => {
    const file = path.join(await scratch(), 'lock');
    await writeFile(file, JSON.stringify({ pid: 999_999_999, started: '', boot: 'another' }));
    expect(await withFileLock(file, () => Promise.resolve(1))).toBe(1);
  });
});
