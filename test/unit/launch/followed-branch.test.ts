import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { readFollowedBranch } from '../../../src/launch/git-pull/followed-branch.ts';
import { gitEnv } from '../../fakes/role-repository.ts';

const ADDRESS = 'git@git.example.test:acme/app.git';

let root: string;
let repository: string;

const git = (...args: string[]) => execFileSync('git', ['-C', repository, ...args], { env: gitEnv, stdio: 'pipe' });
const read = () => readFollowedBranch(repository, { env: process.env });
const at = (...parts: string[]) => path.join(repository, '.git', ...parts);

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'jackin-followed-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  repository = path.join(root, 'app');
  mkdirSync(repository);
  git('init', '--quiet', '--initial-branch', 'main');
  git('remote', 'add', 'origin', ADDRESS);
  git('config', 'branch.main.remote', 'origin');
  git('config', 'branch.main.merge', 'refs/heads/trunk');
});

describe('the branch that a repository follows', () => {
  it('is read from its files', async () => {
    expect(await read()).toEqual({ branch: 'main', remote: 'origin', remoteBranch: 'trunk', address: ADDRESS });
  });

  it('has the first of several addresses, as git fetches from it', async () => {
    git('config', '--add', 'remote.origin.url', 'git@other.example.test:x');
    expect(await read()).toMatchObject({ address: ADDRESS });
  });

  it.each(['https://git.example.test/a.git', 'http://git.example.test:8080/a', 'ssh://git@git.example.test:2222/a', 'https://me@git.example.test/a', 'host:a', 'me@host:~/a'])(
    'may be at %s',
    async (address) => {
      git('config', 'remote.origin.url', address);
      expect(await read()).toMatchObject({ address });
    },
  );

  it.each(['ext::sh -c x', 'host::x', '-oProxyCommand=x', '--upload-pack=x', '/a', './a', '../a', 'file:///a', 'git://host/a', 'https:///a', 'a b:c', 'fd::3'])(
    'is not fetched from %s',
    async (address) => {
      git('config', 'remote.origin.url', address);
      expect(await read()).toEqual({ why: expect.stringMatching(/neither an https nor an ssh address/) as string });
    },
  );

  it('is none where there is no repository', async () => {
    rmSync(at(), { recursive: true });
    expect(await read()).toBeUndefined();
  });

  it('is not looked for behind a link or a file', async () => {
    renameSync(at(), path.join(root, 'git'));
    symlinkSync(path.join(root, 'git'), at());
    expect(await read()).toEqual({ why: 'its .git is not a directory' });
    rmSync(at());
    writeFileSync(at(), `gitdir: ${path.join(root, 'git')}\n`);
    expect(await read()).toEqual({ why: 'its .git is not a directory' });
  });

  it.each(['HEAD', 'config'])('is not read through a link, nor waited for: %s', async (name) => {
    renameSync(at(name), path.join(root, name));
    symlinkSync(path.join(root, name), at(name));
    expect(await read()).toEqual({ why: 'its .git has no HEAD or no config that is a file' });
    rmSync(at(name));
    execFileSync('mkfifo', [at(name)]);
    expect(await read()).toEqual({ why: 'its .git has no HEAD or no config that is a file' });
  });

  it.each([
    ['HEAD', 'ref: refs/heads/--upload-pack=x\n', 'the name of its branch is an odd one'],
    ['HEAD', 'ref: refs/heads/a..b\n', 'the name of its branch is an odd one'],
    ['HEAD', '0123456789012345678901234567890123456789\n', 'no branch is checked out'],
    ['HEAD', 'ref: refs/heads/other\n', 'its branch other follows no branch of a remote'],
    ['config', '[broken', 'its .git/config cannot be read: '],
    ['config', '[branch "main"]\n\tremote = --x\n\tmerge = refs/heads/main\n', 'its branch main follows no branch of a remote'],
    ['config', '[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/-x\n', 'its branch main follows one with an odd name'],
    ['config', '[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/x\n', 'its remote origin has no address'],
  ])('says why it is none: %s is %j', async (name, text, why) => {
    writeFileSync(at(name), text);
    expect(await read()).toEqual({ why: expect.stringContaining(why) as string });
  });

  it('needs git, and says so', async () => {
    expect(await readFollowedBranch(repository, { env: { PATH: root } })).toEqual({ why: 'there is no git on this machine' });
  });

  it('does not come from a file that the settings include', async () => {
    writeFileSync(path.join(root, 'more'), '[remote "origin"]\n\turl = git@evil.example.test:x\n');
    writeFileSync(at('config'), `[include]\n\tpath = ${root}/more\n[branch "main"]\n\tremote = origin\n\tmerge = refs/heads/x\n`);
    expect(await read()).toEqual({ why: 'its remote origin has no address' });
  });
});
