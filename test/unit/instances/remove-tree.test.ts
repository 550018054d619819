import { chmod, lstat, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { removeTree } from '../../../src/instances/remove-tree.ts';
import { fingerprintOf, makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

const NOBODY = 65_534;
const isRoot = process.geteuid?.() === 0;

let root: string;
let instance: string;
let outside: string;

/** root is stopped by no mode, so what depends on modes runs as somebody else. */
const asSomebody = async (work: () => Promise<unknown>): Promise<void> => {
  if (isRoot) process.seteuid!(NOBODY);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid!(0);
  }
};

beforeEach(async () => {
  root = await makeTemporaryDir();
  if (isRoot) await chmod(root, 0o777);
  instance = path.join(root, 'jk-1');
  outside = path.join(root, 'outside');
  await asSomebody(async () => {
    await mkdir(path.join(instance, 'home', 'deep'), { recursive: true });
    await writeFile(path.join(instance, 'home', 'deep', 'file'), 'x');
    await mkdir(path.join(outside, 'locked'), { recursive: true });
    await writeFile(path.join(outside, 'locked', 'canary'), 'canary');
    await chmod(path.join(outside, 'locked'), 0o500);
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await chmod(path.join(outside, 'locked'), 0o700);
  await rm(root, { recursive: true, force: true });
});

describe('removing the state of an instance', () => {
  it('removes all of it, and is content when there is nothing', async () => {
    await removeTree(instance);
    await removeTree(instance);
    expect(await readdir(root)).toEqual(['outside']);
  });

  it('removes what an agent has locked away, and follows no link out of it', async () => {
    await asSomebody(async () => {
      await symlink(outside, path.join(instance, 'home', 'deep', 'link'));
      await symlink(path.join(outside, 'locked'), path.join(instance, 'home', 'also'));
      for (const dir of ['home/deep', 'home']) await chmod(path.join(instance, dir), 0o000);
    });
    const before = await fingerprintOf(outside);
    await asSomebody(() => removeTree(instance));
    expect(await readdir(root)).toEqual(['outside']);
    expect(await fingerprintOf(outside)).toEqual(before);
  });

  it('removes a link in the place of the state, and not what it leads to', async () => {
    await rm(instance, { recursive: true });
    await symlink(outside, instance);
    const before = await fingerprintOf(outside);
    await removeTree(instance);
    await expect(lstat(instance)).rejects.toThrow('ENOENT');
    expect(await fingerprintOf(outside)).toEqual(before);
  });

  it.each([
    ['home', 'home'],
    ['home', 'deep'],
    ['home/deep', 'deep'],
  ])('removes and unlocks nothing elsewhere when %s becomes a link as %s is found', async (victim, found) => {
    await asSomebody(() => chmod(path.join(instance, 'home', 'deep'), 0o500));
    await mkdir(path.join(outside, 'deep'));
    await writeFile(path.join(outside, 'deep', 'file'), 'canary');
    await writeFile(path.join(outside, 'file'), 'canary');
    const before = await fingerprintOf(outside);
    const list = fs.readdirSync.bind(fs) as (place: string, options?: object) => Buffer[];
    let isDone = false;
    vi.spyOn(fs, 'readdirSync').mockImplementation(((place: string, options?: object) => {
      const names = list(place, options);
      const at = path.join(root, '.removing-jk-1', victim);
      if (!isDone && names.some((name) => name.toString() === found)) {
        isDone = true;
        // As its owner, who needs to be allowed to change what gets another parent.
        fs.chmodSync(at, 0o700);
        fs.renameSync(at, path.join(root, 'aside'));
        fs.symlinkSync(outside, at);
      }
      return names;
    }) as unknown as typeof fs.readdirSync);
    await asSomebody(() => removeTree(instance));
    vi.restoreAllMocks();
    expect(isDone).toBe(true);
    expect(await fingerprintOf(outside)).toEqual(before);
    expect((await readdir(root)).sort()).toEqual(['aside', 'outside']);
  });

  it('removes directories that are nested deeper than any path is long, and names that are no text', async () => {
    const descriptors = () => fs.readdirSync('/proc/self/fd').length;
    const before = descriptors();
    await asSomebody(async () => {
      await writeFile(Buffer.concat([Buffer.from(`${instance}/home/`), Buffer.from([0x66, 0xff])]), 'x');
      // Halves, since nobody makes a path longer than the system takes in one go.
      const half = 'nested-nested-nested/'.repeat(150);
      await mkdir(path.join(instance, 'home', half), { recursive: true });
      await mkdir(path.join(instance, 'other', half), { recursive: true });
      await chmod(path.join(instance, 'other', half), 0o000);
      await rename(path.join(instance, 'other'), path.join(instance, 'home', half, 'other'));
      await removeTree(instance);
    });
    expect(await readdir(root)).toEqual(['outside']);
    expect(descriptors()).toBe(before);
  });

  it('goes on where an earlier removal was interrupted', async () => {
    await mkdir(path.join(root, '.removing-jk-1'));
    await writeFile(path.join(root, '.removing-jk-1', 'left'), 'x');
    await removeTree(instance);
    expect(await readdir(root)).toEqual(['outside']);
  });
});
