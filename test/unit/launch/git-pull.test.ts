import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Deps } from '../../../src/launch/deps.ts';
import { pullRepositories } from '../../../src/launch/git-pull.ts';

let root: string;
let clone: string;

const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'init.defaultBranch=main', ...args], { cwd: root, stdio: 'pipe', env: { ...process.env, HOME: root } });

const deps = (): Deps => ({ env: { PATH: process.env.PATH, HOME: root }, signal: new AbortController().signal }) as unknown as Deps;

const pull = () => pullRepositories([clone], deps());

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'jackin-pull-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  clone = path.join(root, 'clone');
  git('init', '--quiet', 'origin');
  await writeFile(path.join(root, 'origin', 'a'), '1');
  git('-C', 'origin', 'add', '.');
  git('-C', 'origin', 'commit', '--quiet', '-m', 'one');
  git('clone', '--quiet', path.join(root, 'origin'), 'clone');
  await writeFile(path.join(root, 'origin', 'a'), '2');
  git('-C', 'origin', 'commit', '--quiet', '-am', 'two');
});

describe('git pull on entry', () => {
  it('brings the repository up to date', async () => {
    expect(await pull()).toEqual([{ repository: clone, said: 'pulled' }]);
    expect(await readFile(path.join(clone, 'a'), 'utf8')).toBe('2');
  });

  it('says why it could not, and throws nothing', async () => {
    await writeFile(path.join(clone, 'a'), 'mine');
    expect((await pull())[0]!.said).toMatch(/^not pulled: error: Your local changes/);
    await rm(path.join(root, 'origin'), { recursive: true });
    expect((await pull())[0]!.said).toMatch(/^not pulled: /);
  });

  it('ends with the operator’s patience where a server never answers', async () => {
    const server = createServer((socket) => socket.unref().on('error', () => undefined));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    git('-C', 'clone', 'remote', 'set-url', 'origin', `https://127.0.0.1:${(server.address() as AddressInfo).port}/x`);
    const impatient = { ...deps(), signal: AbortSignal.timeout(500) };
    await expect(pullRepositories([clone], impatient)).rejects.toThrow(/timeout/);
    server.close();
  });

  it('passes over what is no repository', async () => {
    expect(await pullRepositories([path.join(root, 'nothing'), root], deps())).toEqual([]);
  });

  it.each(['core.sshCommand', 'core.fsmonitor', 'filter.x.smudge', 'credential.helper', 'include.path', 'core.hooksPath', 'remote.origin.uploadpack', 'diff.x.textconv', 'alias.pull'])(
    'runs nothing that an agent left in .git/config: %s',
    async (name) => {
      const marker = path.join(root, 'ran');
      git('-C', 'clone', 'config', name, `touch ${marker}; false`);
      expect((await pull())[0]!.said).toContain(`its .git/config sets ${name.toLowerCase()}`);
      await expect(readFile(marker)).rejects.toThrow(/ENOENT/);
    },
  );

  it('runs no hook that an agent left', async () => {
    const marker = path.join(root, 'ran');
    const hooks = path.join(clone, '.git', 'hooks');
    await mkdir(hooks, { recursive: true });
    for (const hook of ['post-merge', 'post-checkout', 'pre-merge-commit', 'reference-transaction']) {
      await writeFile(path.join(hooks, hook), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
    }
    expect((await pull())[0]!.said).toBe('pulled');
    await expect(readFile(marker)).rejects.toThrow(/ENOENT/);
  });

  it('does not follow a .git that points elsewhere, and no ext:: remote', async () => {
    const marker = path.join(root, 'ran');
    git('-C', 'clone', 'remote', 'set-url', 'origin', `ext::sh -c touch% ${marker}`);
    expect((await pull())[0]!.said).toMatch(/^not pulled: fatal: transport 'ext' not allowed/);
    await rename(path.join(clone, '.git'), path.join(root, 'elsewhere'));
    await symlink(path.join(root, 'elsewhere'), path.join(clone, '.git'));
    expect((await pull())[0]!.said).toContain('.git is not a directory');
    await rm(path.join(clone, '.git'));
    await appendFile(path.join(clone, '.git'), `gitdir: ${path.join(root, 'elsewhere')}\n`);
    expect((await pull())[0]!.said).toContain('.git is not a directory');
    await expect(readFile(marker)).rejects.toThrow(/ENOENT/);
  });
});
