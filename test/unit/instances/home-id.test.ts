import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locatePaths } from '../../../src/config/paths.ts';
import { ensureHomeId } from '../../../src/instances/home-id.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

const paths = () => locatePaths({ env: { JACKIN_HOME_DIR: path.join(root, 'home') }, home: root });

describe('the identity of a jackin home', () => {
  it('is made once, for its owner alone, and stays', async () => {
    const id = await ensureHomeId(paths());
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ensureHomeId(paths())).toBe(id);
    expect((await stat(paths().homeIdFile)).mode & 0o777).toBe(0o600);
  });

  it('is one for all first commands at once, and nothing else is left', async () => {
    for (let round = 0; round < 5; round += 1) {
      const ids = await Promise.all(Array.from({ length: 20 }, () => ensureHomeId(paths())));
      expect(new Set(ids).size).toBe(1);
      expect(await readdir(path.join(root, 'home'))).toEqual(['home-id']);
      await rm(path.join(root, 'home'), { recursive: true });
    }
  });

  it('is the one that is there', async () => {
    await mkdir(path.join(root, 'home'));
    await writeFile(paths().homeIdFile, 'mine\n');
    expect(await ensureHomeId(paths())).toBe('mine');
  });
});
