/** A role's life on the real engine, from a real git server: first trust, build, launch, update, branch, pin, a remote that moves. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GitServer, startGitServer } from '../fakes/git-server.ts';
import { makeRoleRepository, MANIFEST, type RoleRepository } from '../fakes/role-repository.ts';
import { makeWorld, type World, writeLogin } from './world.ts';

const KEY = 'acme/backend';
const FROM = 'FROM projectjackin/construct:trixie\n';

let world: World;
let server: GitServer;
let source: RoleRepository;
let root: string;

beforeAll(async () => {
  world = await makeWorld('roles');
  root = path.join(world.sandbox.dirs.temp, 'served');
  source = makeRoleRepository(path.join(root, 'backend'), { Dockerfile: `${FROM}COPY tool /usr/local/bin/tool\n`, tool: '#!/bin/sh\necho first\n' });
  source.git('update-index', '--chmod=+x', 'tool');
  source.write('hook.sh', 'tool >> "$JACKIN_WORKDIR/said"\n');
  source.write('jackin.role.toml', `${MANIFEST}[hooks]\npreflight = "hook.sh"\n`);
  source.write('tool', '#!/bin/sh\necho first\n', 0o755);
  source.commit('A tool and a hook');
  server = await startGitServer(root);
  await world.config(`[roles."${KEY}"]\ngit = "${server.url('backend/.git')}"\n`);
  const login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
  await world.serve({ logins: [login] });
});

afterAll(async () => {
  await server?.close();
  await world?.remove();
});

const jackin = (words: string[]) => world.jackin(words, server.env);
const load = (words: string[] = []) => jackin(['load', KEY, world.sandbox.dirs.project, '--network', world.sandbox.network, '--no-input', '--prompt', 'hello', ...words]);
const whole = () => source.git('rev-parse', 'HEAD');
const head = () => whole().slice(0, 12);
/** What the role's hook has written down in all launches so far. */
const said = () => readFile(path.join(world.sandbox.dirs.project, 'said'), 'utf8');

test('first trust: nothing is built without it; a grant for the commit that was looked at lets it run', async () => {
  const refused = await load();
  expect(refused.code).toBe(6);
  expect(refused.stderr).toContain(`is not trusted at ${head()}`);
  expect(await world.containers()).toEqual([]);

  expect((await jackin(['config', 'trust', 'grant', KEY, '--commit', whole()])).code).toBe(0);
  const { code, stdout, stderr } = await load();
  expect(stderr).toContain(`commit ${head()}`);
  expect(stdout).toContain('fake kimi heard: hello');
  expect(code).toBe(0);
  expect(await said()).toBe('first\n');
});

test('a second launch asks no server and builds nothing', async () => {
  const asked = server.requests.length;
  const { code, stderr } = await load();
  expect(code).toBe(0);
  expect(server.requests).toHaveLength(asked);
  expect(stderr).not.toMatch(/^image /m);
});

test('an update that changes what runs waits for a word, and then is built', async () => {
  source.write('tool', '#!/bin/sh\necho second\n');
  source.commit('Another tool');
  expect((await jackin(['role', 'update', KEY, '--no-input'])).stdout).toContain('is not trusted');
  expect((await load()).code).toBe(0);
  expect(await said()).toBe('first\nfirst\nfirst\n');
  expect((await load(['--trust', whole()])).code).toBe(0);
  expect(await said()).toBe('first\nfirst\nfirst\nsecond\n');
});

test('a branch has its own image, and leaves the role as it is', async () => {
  source.git('checkout', '--quiet', '-b', 'feat/x');
  source.write('tool', '#!/bin/sh\necho branch\n');
  source.commit('On a branch');
  const commit = whole();
  source.git('checkout', '--quiet', 'main');
  expect((await load(['--role-branch', 'feat/x'])).code).toBe(6);
  expect((await load(['--role-branch', 'feat/x', '--trust', commit])).code).toBe(0);
  expect((await load()).code).toBe(0);
  expect((await said()).split('\n').slice(-3)).toEqual(['branch', 'second', '']);
});

test('a pin holds the commit and every package; --locked refuses anything else', async () => {
  const pinned = head();
  const { stdout } = await jackin(['role', 'pin', KEY, '--format', 'json']);
  const { file, lock } = JSON.parse(stdout).data;
  expect(lock.commit.slice(0, 12)).toBe(pinned);
  expect(lock.agents.kimi.packages.map(({ name }: { name: string }) => name)).toContain('@moonshot-ai/kimi-code');
  expect((await load(['--locked'])).code).toBe(0);

  source.write('tool', '#!/bin/sh\necho third\n');
  source.commit('A third tool');
  expect((await jackin(['role', 'update', KEY])).stdout).toContain(`${pinned} is pinned and stays in use`);
  expect((await load(['--locked'])).code).toBe(0);
  expect((await said()).endsWith('second\n')).toBe(true);

  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/construct = ".*"/, 'construct = "jackin-local/construct:0123456789ab"'));
  expect(await load(['--locked'])).toMatchObject({ code: 8, stderr: expect.stringContaining('jackin-local/construct:0123456789ab is pinned') });
  expect((await jackin(['role', 'pin', KEY, '--remove'])).code).toBe(0);
});

test('a remote that moved stops the launch, and is asked about', async () => {
  source.git('clone', '--quiet', '--bare', '.', path.join(root, 'moved.git'));
  await world.config(`[roles."${KEY}"]\ngit = "${server.url('moved.git')}"\n`);
  const { code, stderr } = await load();
  expect(code).toBe(8);
  expect(stderr).toContain('now comes from');
  expect((await jackin(['role', 'update', KEY, '--replace', '--no-input'])).stdout).toContain('is not trusted');
  expect((await load()).code).toBe(6);
  expect((await load(['--trust', whole()])).code).toBe(0);
});
