import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { DOCKERFILE, makeRoleRepository, MANIFEST, type RoleRepository } from '../fakes/role-repository.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const KEY = 'acme/backend';

let sandbox: Sandbox;
let engine: FakeEngine;
let source: RoleRepository;

beforeEach(async () => {
  sandbox = await makeSandbox();
  engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  source = makeRoleRepository(path.join(sandbox.root, 'source'));
  await configure('');
});

const configure = (more: string) => sandbox.write('config/config.toml', `version = "v1alpha6"\n[roles."${KEY}"]\ngit = ${JSON.stringify(source.dir)}\n${more}`);
const run = (argv: string[], options: RunOptions = {}) => {
  const { env, deps } = installation();
  return sandbox.run(argv, { engine, ...options, env: { ...env, ...options.env }, deps: { ...deps, ...options.deps } });
};
const load = (role: string, words: string[] = [], options: RunOptions = {}) => run(['load', role, '--prompt', 'hi', ...words], options);
const yes = { tty: true, input: 'y' };
const planOf = async (role: string) => JSON.parse((await run(['load', role, '--dry-run', '--format', 'json'])).stdout).data;

describe('a role from git that is pinned', () => {
  let lock: string;
  let pinned: string;
  beforeEach(async () => {
    await load(KEY, [], yes);
    await run(['role', 'pin', KEY]);
    lock = path.join(sandbox.jackinHome, 'roles', 'acme.backend', 'jackin.lock');
    pinned = source.git('rev-parse', 'HEAD');
  });

  it('has its commit, construct and every package with its digest written down', async () => {
    const text = await readFile(lock, 'utf8');
    expect(text).toContain(`commit = "${pinned}"`);
    expect(text).toMatch(/construct = "jackin-local\/construct:[0-9a-f]{12}"/);
    expect(text.match(/integrity = "sha512-/g)?.length).toBeGreaterThan(1);
    const { agent, role } = await planOf(KEY);
    expect(role.lock).toBe(lock);
    expect(agent.packages.length).toBeGreaterThan(1);
    expect(agent.version).toBe(agent.packages.find(({ name }: { name: string }) => name.includes('kimi')).version);
    expect((await load(KEY, ['--locked'])).code).toBe(0);
  });

  it('stays at its commit, whatever is fetched, until it is pinned again', async () => {
    source.write('README.md', 'Newer.\n');
    const newer = source.commit('Docs');
    expect((await run(['role', 'update', KEY])).stdout).toContain(`${pinned.slice(0, 12)} is pinned and stays in use`);
    expect((await planOf(KEY)).role.source.commit).toBe(pinned);
    expect((await load(KEY, ['--locked'])).code).toBe(0);
    await run(['role', 'pin', KEY]);
    expect((await planOf(KEY)).role.source.commit).toBe(newer);
  });

  it('is refused by --locked where something is not as it is written, and says so otherwise', async () => {
    const text = await readFile(lock, 'utf8');
    await writeFile(lock, text.replace(/construct:[0-9a-f]{12}/, 'construct:0123456789ab'));
    const { code, stderr } = await load(KEY, ['--locked']);
    expect(code).toBe(8);
    expect(stderr).toContain('jackin-local/construct:0123456789ab is pinned');
    expect((await load(KEY)).stderr).toMatch(/note +not as in .*jackin.lock: the construct is/);
    await writeFile(lock, text);
    await configure('[agents.kimi]\nversion = "9.9.9"\n');
    expect(await load(KEY, ['--locked'])).toMatchObject({ code: 8, stderr: expect.stringContaining('kimi is 9.9.9') });
  });

  it('refuses an agent with another content under the same version', async () => {
    const text = await readFile(lock, 'utf8');
    await writeFile(lock, text.replace(/integrity = "sha512-..../, 'integrity = "sha512-AAAA'));
    const { code, stderr } = await load(KEY, ['--locked']);
    expect(code).toBe(8);
    expect(stderr).toContain('has another content than the one that is pinned');
  });

  it('tells where a lock that was damaged is wrong', async () => {
    await writeFile(lock, 'version = 1\nrole = "x"\ncommitt = "y"\n');
    const { code, stderr } = await load(KEY);
    expect(code).toBe(3);
    expect(stderr).toContain(`${lock}:3:1`);
  });

  it('is shown in the list, and free again after --remove', async () => {
    expect((await run(['role', 'list'])).stdout).toMatch(/acme\/backend .* yes +\//);
    expect((await run(['role', 'pin', KEY, '--remove'])).stdout).toContain('no longer pinned');
    expect((await planOf(KEY)).role.lock).toBeNull();
    expect(await load(KEY, ['--locked'])).toMatchObject({ code: 8, stderr: expect.stringContaining(`jackin role pin ${KEY}`) });
    expect((await run(['role', 'pin', KEY, '--remove'])).stdout).toContain('was not pinned');
  });

  it('is never replaced by a newer commit that is trusted: it needs its own word', async () => {
    source.write('Dockerfile', `${DOCKERFILE}RUN true\n`);
    const newer = source.commit('Change');
    await run(['config', 'trust', 'grant', KEY, '--commit', newer]);
    const { code, stderr } = await load(KEY);
    expect(code).toBe(6);
    expect(stderr).toContain(`it is older than ${newer.slice(0, 12)}, which is trusted`);
    const [, grant = ''] = /`jackin (config trust grant .*)`/.exec(stderr) ?? [];
    expect((await run(grant.split(' '))).code).toBe(0);
    expect((await load(KEY, ['--locked'])).code).toBe(0);
  });

  it('and whose commit is gone from its source stops the launch', async () => {
    source.git('checkout', '--quiet', '--orphan', 'new');
    source.commit('Rewritten');
    source.git('branch', '-M', 'main');
    await run(['role', 'update', KEY, '--replace']);
    expect(await load(KEY)).toMatchObject({ code: 8, stderr: expect.stringContaining('is pinned to') });
  });
});

describe('a folder that is pinned', () => {
  it('has its lock among its files, and is no longer what was pinned when one of them changes', async () => {
    const folder = path.join(sandbox.root, 'my-role');
    await sandbox.write('my-role/jackin.role.toml', MANIFEST);
    await sandbox.write('my-role/Dockerfile', DOCKERFILE);
    expect((await run(['role', 'pin', folder])).code).toBe(0);
    expect(await readFile(path.join(folder, 'jackin.lock'), 'utf8')).toContain('content = "');
    expect((await load(folder, ['--locked'])).code).toBe(0);
    await sandbox.write('my-role/Dockerfile', `${DOCKERFILE}RUN true\n`);
    expect(await load(folder, ['--locked'])).toMatchObject({ code: 8, stderr: expect.stringContaining('its files are not those that were pinned') });
    await sandbox.write('my-role/jackin.role.toml', 'broken');
    expect((await run(['role', 'pin', folder, '--remove'])).stdout).toContain('no longer pinned');
  });

  it('pins the agents that are named, and none that the role does not have', async () => {
    expect((await run(['role', 'pin', 'agent-smith', '--agent', 'kimi'])).stdout).toContain('kimi 2');
    expect((await run(['role', 'pin', KEY, '--agent', 'claude'], yes)).code).toBe(2);
    expect((await run(['role', 'pin', KEY, '--agent', 'nope'])).code).toBe(2);
  });

  it('is not pinned before it is trusted', async () => {
    expect((await run(['role', 'pin', KEY])).code).toBe(6);
  });
});
