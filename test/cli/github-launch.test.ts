import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findSecrets } from '../e2e/find-secrets.ts';
import { type FakeCapsule, fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { installFake, installScript } from '../fakes/install.ts';
import { contentOf } from '../fixtures/kimi/tree.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const installation = useInstallation();

const TOKEN = 'gho_canaryQm7vRt2ZxW';
const HOSTS = `github.com:\n    oauth_token: ${TOKEN}\n    user: octocat\n    git_protocol: https\n`;

let sandbox: Sandbox;
let engine: FakeEngine;
let capsule: FakeCapsule;
let bin: string;

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  bin = path.join(sandbox.root, 'bin');
  await mkdir(bin);
});

it('is told about: a launch passes on what the container says of it', async () => {
  capsule = fakeCapsule({ github: 'there is no gh in the container' });
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  expect((await load('')).stderr).toContain('github     in the container: there is no gh in the container\n');
});

const load = async (config: string, more: Record<string, string> = {}): Promise<Run> => {
  await writeFile(path.join(sandbox.config, 'config.toml'), `version = "v1alpha6"\n${config}`);
  const { env, deps } = installation({ PATH: `${bin}:/usr/bin:/bin`, ...more });
  return sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--prompt', 'hi'], { ...(env && { env }), engine, ...(deps && { deps }) });
};

const ghDir = async (): Promise<string> => {
  const data = path.join(sandbox.jackinHome, 'data');
  return path.join(data, (await readdir(data))[0] ?? 'none', '.config/gh');
};

const hostLogin = () => sandbox.write('home/.config/gh/hosts.yml', HOSTS);

describe('GitHub in mode sync', () => {
  it('takes the token from gh, for which it asks once, and hands it over in a private file', async () => {
    await installFake(bin, 'gh');
    const log = path.join(sandbox.root, 'gh.log');
    const { code, stderr } = await load('', { FAKE_GH_KEYRING: TOKEN, FAKE_GH_LOG: log });
    expect(code).toBe(0);
    const hosts = path.join(await ghDir(), 'hosts.yml');
    expect(await readFile(hosts, 'utf8')).toContain(`oauth_token: ${TOKEN}`);
    expect((await stat(hosts)).mode & 0o777).toBe(0o600);
    expect((await readFile(log, 'utf8')).trim()).toBe('auth token --hostname github.com');
    expect(engine.containers()[0]!.spec.mounts).toContainEqual(expect.objectContaining({ target: '/home/agent/.config/gh', readonly: false }));
    expect(capsule.launches[0]!.setup.git.github).toEqual({ mode: 'sync' });
    expect(JSON.stringify(capsule.launches)).not.toContain(TOKEN);
    expect(stderr).not.toContain(TOKEN);
    const written = new Map(Object.entries(await contentOf(sandbox.jackinHome)));
    expect(findSecrets(written, [TOKEN], /\/\.config\/gh\/hosts\.yml$/)).toEqual([]);
  });

  it('takes it from hosts.yml where there is no gh, and says whose it is', async () => {
    await hostLogin();
    const { code, stderr } = await load('');
    expect(code).toBe(0);
    expect(stderr).toContain('github     sync, by default. Login in');
    expect(stderr).toContain('Account octocat.');
    expect(await readFile(path.join(await ghDir(), 'hosts.yml'), 'utf8')).toContain(TOKEN);
  });

  it.each([
    ['nothing at all', async () => undefined, /There is no .*hosts\.yml\. It starts without access to GitHub/],
    ['a gh that fails', async () => installScript(bin, 'gh', 'echo "cannot" >&2; exit 1'), /It starts without access to GitHub/],
  ])('with %s starts all the same, and says that it has no access', async (_what, prepare, says) => {
    await prepare();
    const { code, stderr } = await load('');
    expect(code).toBe(0);
    expect(stderr).toMatch(says);
    expect(await readdir(await ghDir())).toEqual([]);
  });

  it('leaves a token of [github.env] out, and says so', async () => {
    await hostLogin();
    const { stderr } = await load('[github.env]\nGH_TOKEN = "gho_other"\nGH_HOST = "git.example.test"\n');
    expect(stderr).toMatch(/GH_TOKEN \(global .*config\.toml:3\)\) goes to no session: github is set to sync by default/);
    expect(capsule.launches[0]!.session.env).toMatchObject({ GH_HOST: 'git.example.test' });
    expect(capsule.launches[0]!.session.env).not.toHaveProperty('GH_TOKEN');
  });
});

describe('GitHub in mode token', () => {
  const config = '[github]\nauth_forward = "token"\n[github.env]\nGH_TOKEN = "$MY_TOKEN"\n';

  it('gives the sessions the token under both names, and no file', async () => {
    await hostLogin();
    const { code } = await load(config, { MY_TOKEN: TOKEN });
    expect(code).toBe(0);
    expect(capsule.launches[0]!.session.env).toMatchObject({ GH_TOKEN: TOKEN, GITHUB_TOKEN: TOKEN });
    expect(await readdir(await ghDir())).toEqual([]);
    expect(engine.containers()[0]!.spec.env.join('\n')).not.toContain(TOKEN);
    expect(findSecrets(new Map(Object.entries(await contentOf(sandbox.jackinHome))), [TOKEN], /^$/)).toEqual([]);
  });

  it('without the token stops with 4 before anything is made, and says who wanted it', async () => {
    const { code, stderr } = await load(config);
    expect(code).toBe(4);
    expect(stderr).toContain('github is set to token, which needs GH_TOKEN');
    expect(stderr).toMatch(/auth_forward at global \(.*config\.toml:3\): token/);
    expect(stderr).toMatch(/GH_TOKEN: \$MY_TOKEN, which is not set on the host, at global/);
    expect(engine.containers()).toEqual([]);
  });
});

it('GitHub in mode ignore is nothing: no file, no variable', async () => {
  await hostLogin();
  const { code } = await load('[github]\nauth_forward = "ignore"\n[github.env]\nGH_TOKEN = "gho_other"\nGH_HOST = "git.example.test"\n');
  expect(code).toBe(0);
  expect(await readdir(await ghDir())).toEqual([]);
  expect(Object.keys(capsule.launches[0]!.session.env).filter((name) => name.startsWith('G'))).toEqual([]);
});

describe('variables of the operator', () => {
  it('are counted by where they come from, and only those that somebody gets are asked for', async () => {
    await installFake(bin, 'op');
    const log = path.join(sandbox.root, 'op.log');
    const op = JSON.stringify({ 'op://Work/api/token': 'fake\nvalue', 'op://Work/claude/key': 'fake-claude-key' });
    const config = '[env]\nA = "op://Work/api/token"\nB = "$HOST_B"\nC = "plain"\nANTHROPIC_API_KEY = "op://Work/claude/key"\n';
    const { code, stderr } = await load(config, { FAKE_OP: op, FAKE_OP_LOG: log, HOST_B: 'b' });
    expect(code).toBe(0);
    expect(stderr).toContain('env        3 resolved (1 op://, 1 host ref, 1 literal)');
    expect(await readFile(log, 'utf8')).not.toContain('claude');
    expect(capsule.launches[0]!.session.env).toMatchObject({ A: 'fake\nvalue', B: 'b', C: 'plain' });
    expect(findSecrets(new Map(Object.entries(await contentOf(sandbox.jackinHome))), ['fake\nvalue'], /^$/)).toEqual([]);
  });

  it('go before those of the role, which are there otherwise', async () => {
    const folder = path.join(sandbox.root, 'my-role');
    await mkdir(folder);
    await writeFile(path.join(folder, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
    const manifest = 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n[env.REGION]\ndefault = "role"\n[env.LEVEL]\ndefault = "role"\n';
    await writeFile(path.join(folder, 'jackin.role.toml'), manifest);
    await writeFile(path.join(sandbox.config, 'config.toml'), 'version = "v1alpha6"\n[env]\nREGION = "operator"\n');
    const { env, deps } = installation({ PATH: '/usr/bin:/bin' });
    const { code } = await sandbox.run(['load', folder, '--prompt', 'hi'], { ...(env && { env }), engine, ...(deps && { deps }) });
    expect(code).toBe(0);
    expect(capsule.launches[0]!.session.env).toMatchObject({ REGION: 'operator', LEVEL: 'role' });
  });
});
