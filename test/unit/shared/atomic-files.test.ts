import * as fsPromises from 'node:fs/promises';
import { chmod, lstat, mkdir, readdir, readFile, readlink, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { asDiskError, ensurePrivateDir, isTemporaryName, linkAtomic, writeFileAtomic } from '../../../src/shared/atomic-files.ts';
import { currentOwner } from '../../../src/shared/owner.ts';
import { makeFaulty, noFault } from '../../fixtures/kimi/faulty-fs.ts';
import { makeTemporaryDir, modesOf } from '../../fixtures/kimi/tree.ts';

let dir: string;

beforeEach(async () => {
  dir = await makeTemporaryDir();
});

afterEach(async () => {
  process.umask(0o022);
  await rm(dir, { recursive: true });
});

// Under 0777 only root can look into directories between their making and their chmod.
const UMASKS = process.getuid?.() === 0 ? [0o000, 0o022, 0o077, 0o777] : [0o000, 0o022, 0o077];

test.each(UMASKS)('files are 0600 and directories 0700 under umask %o', async (umask) => {
  process.umask(umask);
  await ensurePrivateDir(path.join(dir, 'a/b'));
  await writeFileAtomic(path.join(dir, 'a/b/file'), 'text');
  expect(await modesOf(path.join(dir, 'a'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
});

test.each([0o277, 0o777])('a file is 0600 for whoever makes it under any umask: %o', async (umask) => {
  process.umask(umask);
  await writeFileAtomic(path.join(dir, 'file'), 'text');
  expect((await lstat(path.join(dir, 'file'))).mode & 0o777).toBe(0o600);
});

test('at no step is anything open to others, whatever the umask', async () => {
  process.umask(0o000);
  for (let failAt = 1; ; failAt += 1) {
    const made = path.join(dir, 'made');
    const fault = { ...noFault(), failAt };
    const fs = makeFaulty(fsPromises, fault);
    const work = async (): Promise<void> => {
      await ensurePrivateDir(path.join(made, 'deep'), { fs });
      await writeFileAtomic(path.join(made, 'deep/file'), 'secret', { fs });
    };
    const done = await work().then(
      () => true,
      () => false,
    );
    const { files, directories } = await modesOf(made).catch(() => ({ files: new Set(), directories: new Set() }));
    expect([...files, ...directories].filter((mode) => mode !== '600' && mode !== '700'), `crash at step ${failAt}`).toEqual([]);
    await rm(made, { recursive: true, force: true });
    if (done) break;
    expect(failAt).toBeLessThan(20);
  }
});

describe('writing a file', () => {
  test('tightens what was there before and replaces all of it', async () => {
    const file = path.join(dir, 'file');
    await writeFile(file, 'a longer text than the new one', { mode: 0o644 });
    await writeFileAtomic(file, 'new');
    expect(await readFile(file, 'utf8')).toBe('new');
    expect((await lstat(file)).mode & 0o777).toBe(0o600);
  });

  test('replaces a link and leaves alone what it points to', async () => {
    await writeFile(path.join(dir, 'outside'), 'canary');
    await symlink('outside', path.join(dir, 'file'));
    await writeFileAtomic(path.join(dir, 'file'), 'new');
    expect(await readFile(path.join(dir, 'outside'), 'utf8')).toBe('canary');
    expect((await lstat(path.join(dir, 'file'))).isFile()).toBe(true);
  });

  test.each(['ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EMFILE', 'crash'])('leaves the old or the new content after %s at any step', async (kind) => {
    const file = path.join(dir, 'file');
    for (let failAt = 1; ; failAt += 1) {
      await writeFile(file, 'old');
      const fault = { ...noFault(), failAt, kind };
      const outcome = await writeFileAtomic(file, 'new', { fs: makeFaulty(fsPromises, fault) }).then(
        () => 'done',
        () => 'failed',
      );
      expect(['old', 'new']).toContain(await readFile(file, 'utf8'));
      const others = (await readdir(dir)).filter((name) => name !== 'file');
      expect(others.every(isTemporaryName)).toBe(true);
      // Whoever is still alive has cleaned up.
      expect(kind === 'crash' ? [] : others).toEqual([]);
      for (const name of others) await rm(path.join(dir, name));
      if (outcome === 'done') break;
      expect(failAt).toBeLessThan(20);
    }
  });
});

describe('making a directory', () => {
  test('tightens one that is there', async () => {
    await mkdir(path.join(dir, 'a'));
    await chmod(path.join(dir, 'a'), 0o777);
    await ensurePrivateDir(path.join(dir, 'a'));
    expect((await lstat(path.join(dir, 'a'))).mode & 0o777).toBe(0o700);
  });

  test.each(['link', 'dangling', 'file'])('refuses a %s in its place', async (kind) => {
    await mkdir(path.join(dir, 'elsewhere'), { mode: 0o755 });
    const target = path.join(dir, 'a');
    if (kind === 'file') await writeFile(target, '');
    else await symlink(kind === 'link' ? 'elsewhere' : 'nowhere', target);
    await expect(ensurePrivateDir(target)).rejects.toMatchObject({ code: 'conflict' });
    expect((await lstat(path.join(dir, 'elsewhere'))).mode & 0o777).toBe(0o755);
  });
});

test('a link is replaced in one step', async () => {
  const link = path.join(dir, 'current');
  await linkAtomic('one', link);
  await linkAtomic('two', link);
  expect(await readlink(link)).toBe('two');
  expect(await readdir(dir)).toEqual(['current']);
});

test('a full disk is told as one, other failures by what failed', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  expect(asDiskError(full, 'writing x')).toMatchObject({ code: 'disk.full', message: 'writing x failed: there is no space left' });
  const broken = Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', syscall: 'write' });
  expect(asDiskError(broken, 'writing x')).toMatchObject({ code: 'failed', message: 'writing x failed: EIO: i/o error, write' });
  const bug = new TypeError('bug');
  expect(asDiskError(bug, 'writing x')).toBe(bug);
});

describe('temporary files beside a file that is written', () => {
  const DEAD = '.target.999999999-1.0123456789ab.tmp';

  const plant = async (...names: string[]): Promise<void> => {
    for (const name of names) await writeFile(path.join(dir, name), 'half');
  };

  test.each([
    ['a file', () => writeFileAtomic(path.join(dir, 'target'), 'x')],
    ['a link', () => linkAtomic('elsewhere', path.join(dir, 'target'))],
  ])('go when their process is dead: %s', async (_what, write) => {
    await plant(DEAD);
    await write();
    expect(await readdir(dir)).toEqual(['target']);
  });

  test('stay when their process lives, or when they belong to another file', async () => {
    const { pid, started } = currentOwner();
    const names = [`.other.999999999-1.0123456789ab.tmp`, `.target.${pid}-${started}.0123456789ab.tmp`];
    await plant(...names);
    await writeFileAtomic(path.join(dir, 'target'), 'x');
    expect((await readdir(dir)).sort()).toEqual([...names, 'target']);
  });

  test('of a process whose number another one got count as left behind', async () => {
    await plant(`.target.${process.pid}-1.0123456789ab.tmp`);
    await writeFileAtomic(path.join(dir, 'target'), 'x');
    expect(await readdir(dir)).toEqual(['target']);
  });

  test('that name no process, as older versions left them, go after an hour', async () => {
    await plant('.target.0123456789ab.tmp', '.target.ba9876543210.tmp');
    const longAgo = Date.now() / 1000 - 2 * 60 * 60;
    await utimes(path.join(dir, '.target.0123456789ab.tmp'), longAgo, longAgo);
    await writeFileAtomic(path.join(dir, 'target'), 'x');
    expect((await readdir(dir)).sort()).toEqual(['.target.ba9876543210.tmp', 'target']);
  });
});
