import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Unread, walkTree } from '../../../src/launch/verify-tree.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'jackin-tree-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
});

const put = async (file: string, content: string): Promise<void> => {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), content);
};

const walk = async (at = root, wanted?: (file: string) => boolean) => {
  const unread: Unread[] = [];
  const seen: Record<string, string> = {};
  for await (const entry of walkTree(at, unread, wanted)) {
    seen[entry.path] = entry.kind === 'file' ? await text(entry.read()) : entry.kind === 'link' ? `-> ${entry.target}` : entry.kind;
  }
  return { seen, unread };
};

describe('a tree', () => {
  test('is walked with everything in it, directories before what is in them', async () => {
    await put('a/b/c.txt', 'c');
    await put('z', 'z');
    const { seen, unread } = await walk();
    expect(Object.entries(seen)).toEqual([['', 'directory'], ['a', 'directory'], ['a/b', 'directory'], ['a/b/c.txt', 'c'], ['z', 'z']]);
    expect(unread).toEqual([]);
  });

  test('is only walked as far as it is wanted', async () => {
    await put('a/b', 'b');
    await put('c', 'c');
    expect(Object.keys((await walk(root, (file) => file !== 'a')).seen)).toEqual(['', 'c']);
  });

  test('that is not there has nothing in it; a single file is itself', async () => {
    expect(await walk(path.join(root, 'none'))).toEqual({ seen: {}, unread: [] });
    await put('file', 'content');
    expect((await walk(path.join(root, 'file'))).seen).toEqual({ '': 'content' });
  });

  test('has links, which are told and not followed, and a pipe, which holds nobody', { timeout: 3000 }, async () => {
    await put('outside/secret', 'secret');
    await mkdir(path.join(root, 'tree'));
    await symlink('../outside', path.join(root, 'tree/dir'));
    await symlink('../outside/secret', path.join(root, 'tree/file'));
    await symlink('nowhere', path.join(root, 'tree/gone'));
    spawnSync('mkfifo', [path.join(root, 'tree/pipe')]);
    expect((await walk(path.join(root, 'tree'))).seen).toEqual({
      '': 'directory', dir: '-> ../outside', file: '-> ../outside/secret', gone: '-> nowhere', pipe: 'other',
    }); // prettier-ignore
  });

  test('of which a directory is exchanged for a link just then leads nowhere else', async () => {
    await put('tree/dir/file', 'mine');
    await put('outside/file', 'secret');
    const dir = path.join(root, 'tree/dir');
    const read: string[] = [];
    for await (const entry of walkTree(path.join(root, 'tree'), [])) {
      if (entry.kind === 'file') read.push(await text(entry.read()));
      if (entry.path !== 'dir') continue;
      await rename(dir, path.join(root, 'aside'));
      await symlink(path.join(root, 'outside'), dir);
    }
    // Where directories cannot be held by a descriptor, what was found is told of the wrong file at worst.
    expect(read).toEqual([process.platform === 'linux' ? 'mine' : 'secret']);
  });

  test('that is too deep is walked to a limit, and that is said', async () => {
    await put(`${'d/'.repeat(80)}file`, 'deep');
    const { seen, unread } = await walk();
    expect(Object.values(seen)).not.toContain('deep');
    expect(unread).toEqual([{ path: `${'d/'.repeat(64)}d`, why: 'lies deeper than 64 levels' }]);
  });

  test.runIf(process.getuid?.() !== 0)('with what may not be read: that is said', async () => {
    await put('locked/file', 'x');
    await put('open', 'y');
    await chmod(path.join(root, 'locked'), 0);
    onTestFinished(() => chmod(path.join(root, 'locked'), 0o700));
    expect(await walk()).toEqual({ seen: { '': 'directory', open: 'y' }, unread: [{ path: 'locked', why: 'may not be read' }] });
  });
});
