import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { withFileLock } from '../../../src/shared/lock.ts';
import { asWaiter } from '../../../src/shared/waiter.ts';

/** Called before a file is removed, so that a test can let something happen in that moment. */
const hooks = vi.hoisted(() => ({ beforeUnlink: (_file: string): Promise<void> => Promise.resolve(), full: false }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:fs/promises')>();
  return {
    ...actual,
    unlink: async (file: string) => {
      await hooks.beforeUnlink(file);
      await actual.unlink(file);
    },
    open: async (...args: Parameters<typeof actual.open>) => {
      const handle = await actual.open(...args);
      if (hooks.full) handle.writeFile = () => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
      return handle;
    },
  };
});

afterEach(() => {
  hooks.beforeUnlink = () => Promise.resolve();
  hooks.full = false;
});

const scratch = async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-lock-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
};

const WAIT = { doing: 'changes the test' };
const DEAD = JSON.stringify({ pid: 999_999_999, started: '', boot: 'another' });

/** Work that notes how many were in it at once. */
const crowd = () => {
  let inside = 0;
  const counted = { most: 0, began: 0 };
  const work = async (milliseconds: number): Promise<void> => {
    counted.began += 1;
    inside += 1;
    counted.most = Math.max(counted.most, inside);
    await sleep(milliseconds);
    inside -= 1;
  };
  return { counted, work };
};

describe('a file lock', () => {
  it('lets one in at a time, and leaves nothing behind', async () => {
    const root = await scratch();
    const { counted, work } = crowd();
    // Long enough for all that wait to have looked at the lock.
    await Promise.all(Array.from({ length: 6 }, () => withFileLock(path.join(root, 'lock'), WAIT, () => work(50))));
    expect(counted).toEqual({ most: 1, began: 6 });
    expect(await readdir(root)).toEqual([]);
  });

  it('names its owner from the first moment, to nobody else', async () => {
    const file = path.join(await scratch(), 'lock');
    await withFileLock(file, WAIT, async () => {
      expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ pid: process.pid });
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    });
  });

  it('is given back when the work fails', async () => {
    const file = path.join(await scratch(), 'lock');
    await expect(withFileLock(file, WAIT, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await withFileLock(file, WAIT, () => Promise.resolve(1))).toBe(1);
  });

  it('is not taken on a full disk, and nothing of it stays', async () => {
    const root = await scratch();
    const file = path.join(root, 'lock');
    hooks.full = true;
    await expect(withFileLock(file, WAIT, () => Promise.resolve(1))).rejects.toMatchObject({ code: 'disk.full' });
    expect(await readdir(root)).toEqual([]);
    hooks.full = false;
    expect(await withFileLock(file, WAIT, () => Promise.resolve(1))).toBe(1);
  });
});

describe('a lock of a dead process', () => {
  it.each([
    ['whole', DEAD],
    ['cut off by a power failure', ''],
    ['of some other form', '{"pid":"x"}'],
    ['that says nothing', 'null'],
  ])('is taken over: %s', async (_what, text) => {
    const root = await scratch();
    const file = path.join(root, 'lock');
    await writeFile(file, text);
    expect(await withFileLock(file, WAIT, () => Promise.resolve(1))).toBe(1);
    expect(await readdir(root)).toEqual([]);
  });

  it('is taken over also when a process died in the middle of taking it over', async () => {
    const root = await scratch();
    const file = path.join(root, 'lock');
    await writeFile(file, DEAD);
    await writeFile(`${file}.breaking`, DEAD);
    expect(await withFileLock(file, WAIT, () => Promise.resolve(1))).toBe(1);
    expect(await readdir(root)).toEqual([]);
  });

  it('is taken over by one of many, however slow one of them is', async () => {
    const file = path.join(await scratch(), 'lock');
    const { counted, work } = crowd();
    await writeFile(file, DEAD);
    let slow = true;
    // The first to remove the dead lock is held up until somebody else is at work, if anybody can be.
    hooks.beforeUnlink = async (removed) => {
      if (!slow || removed !== file) return;
      slow = false;
      for (let tries = 0; tries < 20 && counted.began === 0; tries += 1) await sleep(10);
    };
    await Promise.all(Array.from({ length: 4 }, () => withFileLock(file, WAIT, () => work(100))));
    expect(counted).toEqual({ most: 1, began: 4 });
  });
});

describe('a lock of another process that lives', () => {
  /** A process that holds the lock and does nothing, as one that was stopped. */
  const holder = async (file: string): Promise<number> => {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    await once(child, 'spawn');
    onTestFinished(() => void child.kill('SIGKILL'));
    await hold(file, child.pid!);
    return child.pid!;
  };

  const hold = async (file: string, pid: number): Promise<void> => {
    const told = await readFile(`/proc/${pid}/stat`, 'utf8');
    const started = told.slice(told.lastIndexOf(')') + 2).split(' ')[19];
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    await writeFile(`${file}.new`, JSON.stringify({ pid, started, boot }));
    await rename(`${file}.new`, file);
  };

  const waiting = (file: string, stuckMs: number, signal = new AbortController().signal) => {
    const said: string[] = [];
    const done = asWaiter({ say: (line) => said.push(line), signal }, () => withFileLock(file, { ...WAIT, stuckMs }, () => Promise.resolve('done')));
    return { said, done };
  };

  it('is told of after two seconds: who holds it, and why', async () => {
    const file = path.join(await scratch(), 'lock');
    const pid = await holder(file);
    const { said, done } = waiting(file, 60_000);
    await sleep(1000);
    expect(said).toEqual([]);
    await expect.poll(() => said, { timeout: 5000 }).toEqual([`waiting for another jackin (pid ${pid}), which changes the test`]);
    await rm(file);
    expect(await done).toBe('done');
  });

  it('is given up when one holder keeps it for too long, and it stays', async () => {
    const file = path.join(await scratch(), 'lock');
    const pid = await holder(file);
    await expect(waiting(file, 1000).done).rejects.toMatchObject({ code: 'conflict', message: `another jackin (pid ${pid}) changes the test, and has not ended for 1 s; it holds ${file}` });
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ pid });
  });

  it('is waited for as long as one holder follows the other', async () => {
    const file = path.join(await scratch(), 'lock');
    await holder(file);
    const { done } = waiting(file, 1000);
    for (let next = 0; next < 4; next += 1) {
      await sleep(500);
      await holder(file);
    }
    await rm(file);
    expect(await done).toBe('done');
  });

  it('is waited for no longer when the person interrupts', async () => {
    const file = path.join(await scratch(), 'lock');
    await holder(file);
    const controller = new AbortController();
    const { done } = waiting(file, 60_000, controller.signal);
    controller.abort();
    await expect(done).rejects.toMatchObject({ code: 'interrupted' });
  });
});
