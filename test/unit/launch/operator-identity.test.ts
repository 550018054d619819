import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readIdentity } from '../../../src/launch/operator-identity.ts';

let root: string;
let env: Record<string, string | undefined>;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'jackin-identity-'));
  env = { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_NOSYSTEM: '1' };
});
afterEach(() => rm(root, { recursive: true, force: true }));

it('is what git knows, with a part of its own for a directory', async () => {
  const work = path.join(root, 'work');
  await mkdir(work);
  execFileSync('git', ['init', '-q', work], { env });
  await writeFile(path.join(root, '.gitconfig'), `[user]\n\tname = Neo Änderson\n\temail = neo@home.test\n[includeIf "gitdir:${work}/"]\n\tpath = ${root}/work.inc\n`);
  await writeFile(path.join(root, 'work.inc'), '[user]\n\temail = neo@work.test\n');
  expect(await readIdentity(root, { env })).toEqual({ name: 'Neo Änderson', email: 'neo@home.test' });
  expect(await readIdentity(work, { env })).toEqual({ name: 'Neo Änderson', email: 'neo@work.test' });
});

it('is that of the directory, wherever git’s own variables point', async () => {
  const other = path.join(root, 'other');
  execFileSync('git', ['init', '-q', other], { env });
  execFileSync('git', ['-C', other, 'config', 'user.name', 'Trinity'], { env });
  expect(await readIdentity(root, { env: { ...env, GIT_DIR: path.join(other, '.git') } })).toEqual({});
});

it('is nobody where git knows nobody, is not there, or its configuration is broken', async () => {
  expect(await readIdentity(root, { env })).toEqual({});
  expect(await readIdentity(path.join(root, 'none'), { env })).toEqual({});
  await writeFile(path.join(root, '.gitconfig'), '[user\nname');
  expect(await readIdentity(root, { env })).toEqual({});
  expect(await readIdentity(root, { env: { ...env, PATH: root } })).toEqual({});
});

it('is never what a repository says, or a file that it names: an agent may have written it', async () => {
  const work = path.join(root, 'work');
  execFileSync('git', ['init', '-q', work], { env });
  await writeFile(path.join(root, 'secret'), '[user]\n\tname = From a file of the host\n');
  await writeFile(path.join(root, '.gitconfig'), '[user]\n\temail = neo@home.test\n');
  for (const [key, value] of [['user.name', 'From the repository'], ['include.path', `${root}/secret`], ['extensions.worktreeConfig', 'true']] as const) {
    execFileSync('git', ['-C', work, 'config', key, value], { env });
  }
  await writeFile(path.join(work, '.git/config.worktree'), '[user]\n\tname = From the worktree\n');
  await mkdir(path.join(work, 'below'));
  expect(await readIdentity(work, { env })).toEqual({ email: 'neo@home.test' });
  expect(await readIdentity(path.join(work, 'below'), { env })).toEqual({ email: 'neo@home.test' });
});

it('runs nothing that a repository names, and does not wait for a git that hangs', async () => {
  execFileSync('git', ['init', '-q', root], { env });
  const trap = path.join(root, 'trap');
  await writeFile(trap, `#!/bin/sh\ntouch ${root}/sprung\n`);
  await chmod(trap, 0o755);
  for (const [key, value] of [['core.fsmonitor', trap], ['core.sshCommand', trap], ['core.pager', trap], ['alias.config', `!${trap}`], ['user.name', 'From the repository']] as const) execFileSync('git', ['-C', root, 'config', key, value], { env });
  expect(await readIdentity(root, { env })).toEqual({});
  await expect(chmod(path.join(root, 'sprung'), 0o600)).rejects.toThrow('ENOENT');
  const bin = path.join(root, 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'git'), '#!/bin/sh\nexec sleep 60\n');
  await chmod(path.join(bin, 'git'), 0o755);
  const began = performance.now();
  expect(await readIdentity(root, { env: { ...env, PATH: `${bin}:${env['PATH']}` } })).toEqual({});
  expect(performance.now() - began).toBeLessThan(10_000);
}, 15_000);
