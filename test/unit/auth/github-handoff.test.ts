import * as fsPromises from 'node:fs/promises';
import { chmod, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginIn, parseHosts } from '../../../src/agents/github-login.ts';
import { type GithubChange, provisionGithub } from '../../../src/auth/github-handoff.ts';
import type { JackinError } from '../../../src/shared/errors.ts';
import { Secret } from '../../../src/shared/secret.ts';
import { makeFaulty, noFault } from '../../fixtures/kimi/faulty-fs.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../fixtures/kimi/tree.ts';

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const isRoot = ME.uid === 0;
const OTHER = 'ghe.example:\n    user: me\n    oauth_token: fake-other\n';

let root: string;
let dir: string;
let file: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  dir = path.join(root, '.config/gh');
  file = path.join(dir, 'hosts.yml');
  await mkdir(path.dirname(dir));
});
afterEach(async () => {
  process.umask(0o022);
  await rm(root, { recursive: true });
});

const write = (token: string): GithubChange => ({ action: 'write', login: { token: new Secret(token), user: 'octocat' } });
const KEEP: GithubChange = { action: 'keep' };
const REMOVE: GithubChange = { action: 'remove' };

const provision = (change: GithubChange) => provisionGithub(dir, ME, change);
const loginNow = async () => loginIn(parseHosts(await readFile(file, 'utf8'))!);

/** What the agent, or its gh, leaves in the directory. */
const plant = async (files: Record<string, string>): Promise<void> => {
  await mkdir(dir, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir, name), text);
};

describe('the GitHub login of an instance', () => {
  it('is the host’s, and is written again at each launch', async () => {
    await provision(write('gho_fake-1'));
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
    expect(await readFile(file, 'utf8')).toContain('git_protocol: https');
    await provision(write('gho_fake-2'));
    expect(await contentOf(dir)).toEqual({ 'hosts.yml': expect.stringContaining('gho_fake-2') });
    expect(await readFile(file, 'utf8')).not.toContain('gho_fake-1');
  });

  it('stays as it is when the host is logged out', async () => {
    await provision(write('gho_fake-1'));
    await provision(KEEP);
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
  });

  it('has a directory in every mode, since that is mounted', async () => {
    await provision(KEEP);
    expect(await readdir(dir)).toEqual([]);
    await provision(REMOVE);
    expect(await readdir(dir)).toEqual([]);
  });

  it('goes with the mode, and nothing but it', async () => {
    await provision(write('gho_fake-1'));
    await plant({ 'config.yml': 'editor: vi\n', 'hosts.yml.mine': 'mine' });
    await provision(REMOVE);
    expect(await contentOf(dir)).toEqual({ 'config.yml': 'editor: vi\n', 'hosts.yml.mine': 'mine' });
  });

  it('leaves a login for another host that was made in the container', async () => {
    await plant({ 'hosts.yml': `${OTHER}github.com:\n    user: inside\n    oauth_token: gho_fake-inside\n` });
    await provision(write('gho_fake-1'));
    expect(await readFile(file, 'utf8')).toContain(OTHER);
    expect(await readFile(file, 'utf8')).not.toContain('inside');
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
  });

  it.each([
    ['malformed', 'github.com: ['],
    ['made to be slow', '- '.repeat(8192)],
    ['huge', 'x'.repeat(2 * 1024 * 1024)],
    ['empty', ''],
  ])('replaces what is %s', async (_what, text) => {
    await plant({ 'hosts.yml': text });
    await provision(write('gho_fake-1'));
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
  });

  it.each([0o000, 0o022, 0o077, 0o777])('is 0600 in 0700 under umask %o, also where the container had loosened it', async (umask) => {
    await mkdir(root, { recursive: true });
    process.umask(umask);
    await provision(write('gho_fake-1'));
    expect(await modesOf(dir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
    await chmod(dir, 0o777);
    await chmod(file, 0o666);
    await provision(write('gho_fake-1'));
    expect(await modesOf(dir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });

  it.runIf(isRoot)('belongs to the user of the container', async () => {
    await provisionGithub(dir, { uid: 4242, gid: 4343 }, write('gho_fake-1'));
    const owners = await Promise.all([dir, file].map(async (place) => lstat(place)));
    expect(owners.map(({ uid, gid }) => [uid, gid])).toEqual([[4242, 4343], [4242, 4343]]);
  });

  it('is in no error', async () => {
    const fault = { ...noFault(), failAt: 6, kind: 'EIO' };
    const failed = provisionGithub(dir, ME, write('gho_fakeSecret'), makeFaulty(fsPromises, fault));
    await expect(failed).rejects.toMatchObject({ code: 'failed' });
    await expect(failed).rejects.not.toThrow('fakeSecret');
  });
});

describe('links that the agent has planted', () => {
  let outside: string;

  beforeEach(async () => {
    outside = path.join(root, 'outside');
    await mkdir(outside);
    await writeFile(path.join(outside, 'canary'), OTHER);
    await mkdir(dir, { recursive: true });
  });

  it.each([
    ['replaced', write('gho_fake-1'), ['hosts.yml']],
    ['removed', REMOVE, []],
  ])('in the place of the file are %s, not followed', async (_what, change, names) => {
    await symlink(path.join(outside, 'canary'), file);
    await provision(change);
    expect(await readFile(path.join(outside, 'canary'), 'utf8')).toBe(OTHER);
    expect(await readdir(dir)).toEqual(names);
    expect(Object.values(await contentOf(dir)).join('')).not.toMatch(/->|fake-other/);
  });

  it('under the name of a leftover are removed, not followed', async () => {
    await symlink(path.join(outside, 'canary'), path.join(dir, '.hosts.yml.0123456789ab.tmp'));
    await provision(KEEP);
    expect(await contentOf(root)).toEqual({ 'outside/canary': OTHER });
  });

  it('in the place of the directory stop the launch', async () => {
    await rm(dir, { recursive: true });
    await symlink(outside, dir);
    for (const change of [write('gho_fake-1'), KEEP, REMOVE]) await expect(provision(change)).rejects.toMatchObject({ code: 'conflict' });
    expect(await readdir(outside)).toEqual(['canary']);
  });

  it('below a directory of the file’s name are left alone, and the login gets its place', async () => {
    await mkdir(file);
    await symlink(outside, path.join(file, 'link'));
    await provision(REMOVE);
    expect(await readdir(dir)).toEqual(['hosts.yml']);
    await provision(write('gho_fake-1'));
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
    expect(await readFile(path.join(outside, 'canary'), 'utf8')).toBe(OTHER);
  });

  it('and named pipes keep nobody waiting', async () => {
    const { execa } = await import('execa');
    await execa('mkfifo', [file]);
    await provision(write('gho_fake-1'));
    expect(await loginNow()).toEqual({ user: 'octocat', token: 'gho_fake-1' });
  });
});

describe('a launch that fails half way', () => {
  it.each([
    ['crash', 'failed'],
    ['ENOSPC', 'disk.full'],
    ['EDQUOT', 'disk.full'],
    ['EIO', 'failed'],
    ['EROFS', 'failed'],
    ['EMFILE', 'failed'],
  ])('leaves the old login or the new one, whole: %s', async (kind, code) => {
    const codes = new Set<string>();
    let step = 1;
    for (let isOver = false; !isOver; step += 1) {
      await rm(dir, { recursive: true, force: true });
      await provision(write('gho_fake-old'));
      const fault = { ...noFault(), failAt: step, kind };
      await provisionGithub(dir, ME, write('gho_fake-new'), makeFaulty(fsPromises, fault)).catch((error: JackinError) => codes.add(error.code));
      isOver = fault.step < step;
      const { token } = (await loginNow())!;
      expect(isOver ? ['gho_fake-new'] : ['gho_fake-old', 'gho_fake-new']).toContain(token);
      await provision(KEEP);
      expect(await readdir(dir)).toEqual(['hosts.yml']);
      await provision(REMOVE);
      expect(await readdir(dir)).toEqual([]);
    }
    expect(step).toBeGreaterThan(5);
    expect([...codes]).toEqual([code]);
  });
});
