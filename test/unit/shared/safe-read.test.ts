import { execFileSync } from 'node:child_process';
import { lstatSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { chown, mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JackinError } from '../../../src/shared/errors.ts';
import { readTree, type Tree } from '../../../src/shared/safe-read.ts';
import { writeFiles } from '../../fixtures/kimi/login.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;
let dir: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  dir = path.join(root, 'tree');
  await writeFiles(dir, { a: 'one', 'sub/b': 'two' });
  await writeFiles(path.join(root, 'outside'), { b: 'canary', a: 'canary' });
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

const read = (owner: number | 'directory' | 'anyone' = 'directory'): Promise<Tree> => readTree(dir, { wanted: () => true, owner });

const texts = (tree: Tree): Record<string, string> =>
  Object.fromEntries([...tree.files].map(([file, bytes]) => [file, bytes.toString()]));

test('reads every wanted file and lists the names at the top', async () => {
  const tree = await readTree(dir, { wanted: (file) => file !== 'a', owner: 'directory' });
  expect(texts(tree)).toEqual({ 'sub/b': 'two' });
  expect(tree.names).toEqual(['a', 'sub']);
});

describe('leaves out and names', () => {
  test('links: to files, to directories, to nothing', async () => {
    await symlink('../outside/a', path.join(dir, 'to-file'));
    await symlink('../outside', path.join(dir, 'to-dir'));
    await symlink('nowhere', path.join(dir, 'to-nothing'));
    const tree = await read();
    expect(texts(tree)).toEqual({ a: 'one', 'sub/b': 'two' });
    expect(tree.skipped.map(({ path: file }) => file)).toEqual(['to-dir', 'to-file', 'to-nothing']);
    expect(tree.skipped[0]?.why).toContain('is a link');
  });

  test('a pipe, without waiting for somebody to write into it', async () => {
    execFileSync('mkfifo', [path.join(dir, 'pipe')]);
    expect((await read()).skipped).toEqual([{ path: 'pipe', why: 'is neither a file nor a directory' }]);
  });

  test('what is larger than 1 MiB', async () => {
    await writeFile(path.join(dir, 'most'), Buffer.alloc(1024 * 1024));
    await writeFile(path.join(dir, 'too-much'), Buffer.alloc(1024 * 1024 + 1));
    const tree = await read();
    expect(tree.files.get('most')?.length).toBe(1024 * 1024);
    expect(tree.skipped).toEqual([{ path: 'too-much', why: 'is larger than 1 MiB' }]);
  });

  test('what lies deeper than 4 levels, and what comes after 64 files', async () => {
    await writeFiles(dir, { '1/2/3/file': 'in', '1/2/3/4/file': 'out' });
    expect((await read()).skipped).toEqual([{ path: '1/2/3/4', why: 'lies deeper than 4 levels' }]);
    await writeFiles(dir, Object.fromEntries(Array.from({ length: 70 }, (_unused, n) => [`many/${n + 10}`, ''])));
    const tree = await read();
    expect(tree.files.size).toBe(64);
    expect(tree.skipped.filter(({ why }) => why.includes('64 files'))).toHaveLength(70 + 3 - 64);
  });

  test.skipIf(process.getuid?.() !== 0)('other people’s files', async () => {
    await chown(path.join(dir, 'a'), 1234, 1234);
    expect((await read()).skipped).toEqual([{ path: 'a', why: 'belongs to another user' }]);
    expect(texts(await read('anyone'))).toEqual({ a: 'one', 'sub/b': 'two' });
    await expect(read(1234)).rejects.toMatchObject({ code: 'auth.missing', message: expect.stringContaining('belongs to another user') as string });
  });
});

test('a link in the place of the directory itself is not followed', async () => {
  await symlink('outside', path.join(root, 'link'));
  await expect(readTree(path.join(root, 'link'), { wanted: () => true, owner: 'anyone' })).rejects.toThrow(/ENOTDIR|ELOOP/);
});

test('a tree that never holds still is an error, and one that changes once is read again', async () => {
  let writes = 0;
  const wanted = (limit: number) => (file: string): boolean => {
    // Called for every name in every reading: a write in the middle of each.
    if (file === 'sub' && writes < limit) execFileSync('sh', ['-c', `printf ${(writes += 1)} > "$0"`, path.join(dir, 'a')]);
    return true;
  };
  await expect(readTree(dir, { wanted: wanted(100), owner: 'directory' })).rejects.toMatchObject({ code: 'failed' });
  writes = 0;
  const tree = await readTree(dir, { wanted: wanted(2), owner: 'directory' });
  expect(texts(tree)).toEqual({ a: '2', 'sub/b': 'two' });
});

// What is reached through an open directory cannot be moved elsewhere; only Linux lets us say so.
const isLinux = process.platform === 'linux';

test.runIf(isLinux)('a directory that becomes a link after it was opened is still the same directory', async () => {
  const sub = path.join(dir, 'sub');
  const tree = await readTree(dir, {
    owner: 'directory',
    wanted: (file) => {
      // The same exchange in every reading, so that all readings agree.
      if (file === 'a' && lstatSync(sub).isSymbolicLink()) {
        rmSync(sub);
        renameSync(path.join(root, 'aside'), sub);
      }
      if (file === 'sub/b') {
        renameSync(sub, path.join(root, 'aside'));
        symlinkSync('../outside', sub);
      }
      return true;
    },
  });
  expect(texts(tree)).toEqual({ a: 'one', 'sub/b': 'two' });
});

test.runIf(isLinux)('nothing outside is read while directories and files turn into links and back', { timeout: 60_000 }, async () => {
  const swapping = new AbortController();
  const swapper = (async () => {
    while (!swapping.signal.aborted) {
      await rename(path.join(dir, 'sub'), path.join(root, 'aside'));
      await symlink('../outside', path.join(dir, 'sub'));
      await nextTurn();
      await unlink(path.join(dir, 'sub'));
      await rename(path.join(root, 'aside'), path.join(dir, 'sub'));
      await rename(path.join(dir, 'a'), path.join(root, 'a'));
      await symlink('../outside/a', path.join(dir, 'a'));
      await nextTurn();
      await unlink(path.join(dir, 'a'));
      await rename(path.join(root, 'a'), path.join(dir, 'a'));
      await nextTurn();
    }
  })();
  let filesRead = 0;
  const readOnce = async (): Promise<void> => {
    // Now and then the tree does not hold still long enough, and that is said.
    const tree = await read().catch((error: unknown) => {
      if (error instanceof JackinError && error.code === 'failed') return undefined;
      throw error;
    });
    for (const bytes of tree?.files.values() ?? []) {
      filesRead += 1;
      expect(bytes.toString()).not.toContain('canary');
    }
  };
  for (let round = 0; round < 30; round += 1) await Promise.all(Array.from({ length: 20 }, readOnce));
  swapping.abort();
  await swapper;
  expect(filesRead).toBeGreaterThan(0);
});

test('an empty directory is an empty tree, a missing one an error', async () => {
  await mkdir(path.join(root, 'empty'));
  expect(await readTree(path.join(root, 'empty'), { wanted: () => true, owner: 'anyone' })).toEqual({ files: new Map(), skipped: [], names: [] });
  await expect(readTree(path.join(root, 'missing'), { wanted: () => true, owner: 'anyone' })).rejects.toThrow('ENOENT');
});
