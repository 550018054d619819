/** git_pull_on_entry on the real engine: fetched on the host, brought in by the container's user, whatever an agent left there. */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type GitServer, startGitServer } from '../fakes/git-server.ts';
import { gitEnv, makeRoleRepository } from '../fakes/role-repository.ts';
import { makeWorld, writeLogin, type World } from './world.ts';

const AGENT = 1234;

let world: World;
let server: GitServer;

beforeEach(async () => {
  world = await makeWorld('git-pull');
  mkdirSync(path.join(world.sandbox.dirs.temp, 'served'));
  server = await startGitServer(path.join(world.sandbox.dirs.temp, 'served'));
});

afterEach(async () => {
  await server.close();
  await world.remove();
});

test('new commits are there before the agent starts; what an agent has planted reaches nothing of the host', async () => {
  const { dirs, network } = world.sandbox;
  const source = makeRoleRepository(path.join(dirs.temp, 'served', 'app'), { a: '1\n' });
  const clone = path.join(dirs.project, 'app');
  const git = (...args: string[]) => execFileSync('git', ['-C', clone, ...args], { env: gitEnv, stdio: 'pipe' });
  execFileSync('git', ['clone', '--quiet', source.dir, clone], { env: gitEnv });
  git('remote', 'set-url', 'origin', server.url('app/.git'));
  source.write('a', '2\n');
  source.commit('two');
  const outside = path.join(dirs.temp, 'operators-file');
  writeFileSync(outside, 'mine\n');
  const ran = path.join(dirs.temp, 'ran');
  symlinkSync(outside, path.join(clone, '.git/FETCH_HEAD'));
  writeFileSync(path.join(clone, '.git/hooks/post-merge'), `#!/bin/sh\ntouch ${ran}\ntouch ../ran\n`, { mode: 0o755 });
  git('config', 'core.fsmonitor', `touch ${ran}`);
  git('config', 'remote.origin.uploadpack', `touch ${ran}; git-upload-pack`);
  writeFileSync(path.join(clone, 'mine'), 'not committed');
  execFileSync('chown', ['-R', `${AGENT}:${AGENT}`, dirs.project]);

  const login = await writeLogin(path.join(dirs.userHome, '.kimi-code'));
  await world.config('');
  await world.serve({ logins: [login] });
  const created = await world.jackin(['workspace', 'create', 'shop', '--workdir', clone, '--mount', clone, '--git-pull']);
  expect(created.stderr).toContain(`${clone} is pulled from ${server.url('app/.git')}`);
  const load = ['load', 'agent-smith', 'shop', '--agent', 'kimi', '--network', network, '--no-input', '--prompt', 'hello'];
  const { code, stdout, stderr } = await world.jackin(load, server.env);

  expect(stderr).toContain(`git        ${clone}: pulled main, 1 new commit`);
  expect([code, stdout]).toEqual([0, expect.stringContaining('fake kimi heard: hello') as string]);
  expect(readFileSync(path.join(clone, 'a'), 'utf8')).toBe('2\n');
  expect(readFileSync(path.join(clone, 'mine'), 'utf8')).toBe('not committed');
  expect(lstatSync(path.join(clone, 'a')).uid).toBe(AGENT);
  expect(lstatSync(path.join(clone, '.git/refs/remotes/origin/main')).uid).toBe(AGENT);
  expect(readFileSync(outside, 'utf8')).toBe('mine\n');
  expect(existsSync(ran)).toBe(false);
  expect(existsSync(path.join(dirs.project, 'ran'))).toBe(false);
});
