import { chmod, lstat, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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

  it('goes on where an earlier removal was interrupted', async () => {
    await mkdir(path.join(root, '.removing-jk-1'));
    await writeFile(path.join(root, '.removing-jk-1', 'left'), 'x');
    await removeTree(instance);
    expect(await readdir(root)).toEqual(['outside']);
  });
});
