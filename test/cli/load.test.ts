import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { PlanSchema } from '../../src/plan/plan.ts';
import { makeSandbox } from './run.ts';

const credential = (expiresAt: number) =>
  JSON.stringify({ access_token: 'canary-access', refresh_token: 'canary-refresh', expires_at: expiresAt, scope: 'kimi-code', token_type: 'Bearer', expires_in: 900 });

const KIMI_CONFIG = `default_model = "kimi-code/kimi-for-coding"
[providers."managed:kimi-code"]
type = "kimi"
api_key = ""
base_url = "https://api.kimi.com/coding/v1"
oauth = { storage = "file", key = "oauth/kimi-code" }
[models."kimi-code/kimi-for-coding"]
provider = "managed:kimi-code"
model = "kimi-for-coding"
max_context_size = 262144
`;

const withLogin = async () => {
  const sandbox = await makeSandbox();
  await sandbox.write('home/.kimi-code/config.toml', KIMI_CONFIG);
  await sandbox.write('home/.kimi-code/credentials/kimi-code.json', credential(1795270000));
  await sandbox.write('home/.kimi-code/device_id', 'device');
  return sandbox;
};

describe('load --dry-run', () => {
  it('prints a plan that keeps its schema, without an engine and without a secret', async () => {
    const { run, project } = await withLogin();
    const { code, stdout } = await run(['load', 'agent-smith', '--dry-run', '--format', 'json']);
    expect(code).toBe(0);
    const { schema_version, data } = JSON.parse(stdout);
    expect(schema_version).toBe('v1');
    const plan = PlanSchema.parse(data);
    expect(plan.workspace.workdir).toBe(project);
    expect(plan.auth.find(({ agent }) => agent === 'kimi')!.login).toMatchObject({ state: 'live', generation: 'kimi-code' });
    expect(stdout).not.toContain('canary');
  });

  it('writes nothing, not even the jackin home', async () => {
    const { run, jackinHome } = await makeSandbox();
    await run(['load', 'agent-smith', '--dry-run']);
    const { code } = await run(['config', 'validate']);
    expect(code).toBe(0);
    await expect(readdir(jackinHome)).rejects.toThrow(/ENOENT/);
  });

  it('tells a person which login it is, from where, until when, and what becomes of a copy', async () => {
    const { run, home } = await withLogin();
    const { stdout } = await run(['load', 'agent-smith', '--dry-run']);
    expect(stdout).toContain(`Login in ${home}/.kimi-code`);
    expect(stdout).toMatch(/access until 2026-11-2\d \d\d:\d\dZ/);
    expect(stdout).toMatch(/copy of a login that rotates: .*refreshes second is logged out/);
  });

  it('refuses a file as the place to work in', async () => {
    const { run, write } = await makeSandbox();
    const file = await write('project/notes.txt', 'x');
    const { code, stderr } = await run(['load', 'agent-smith', file, '--dry-run']);
    expect(code).toBe(2);
    expect(stderr).toContain(`workdir ${file} is not a directory`);
  });

  it('refuses a mount inside another one that has no place for it: the engine would make that, as root', async () => {
    const { run, write, project, root } = await makeSandbox();
    await write('data/x', '');
    const load = () => run(['load', 'agent-smith', '--mount', `${root}/data:${project}/vendor/data`, '--dry-run']);
    expect(await load()).toMatchObject({ code: 2, stderr: expect.stringContaining(`has no ${project}/vendor/data to put it on (command line)`) });
    await write('project/vendor/data/.keep', '');
    expect((await load()).code).toBe(0);
  });

  it('keeps a directory’s name on its line, whatever it holds', async () => {
    const { run, write, project } = await makeSandbox();
    const name = 'app\nlogin      kimi: forged';
    await write(`project/${name}/x`, '');
    const { stdout } = await run(['load', 'agent-smith', path.join(project, name), '--dry-run']);
    expect(stdout).toContain('app');
    expect(stdout).not.toMatch(/^login {6}kimi: forged/m);
  });

  it('says what to run when there is no login', async () => {
    const { run } = await makeSandbox();
    const { code, stdout } = await run(['load', 'agent-smith', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/There is no Kimi login in .*It starts logged out: run `kimi login` on the host/);
  });

  it('uses the workspace that is saved for this directory, and its default role', async () => {
    const { run, write, project } = await makeSandbox();
    await write('config/workspaces/app.toml', `workdir = "${project}"\ndefault_role = "agent-smith"\nmounts = [{ src = "${project}", dst = "${project}" }]\n`);
    const { stdout } = await run(['load', '--dry-run', '--format', 'json']);
    expect(JSON.parse(stdout).data).toMatchObject({ workspace: { kind: 'saved', name: 'app' }, role: { key: 'agent-smith' } });
  });

  it('takes a folder as a role', async () => {
    const { run, write } = await makeSandbox();
    await write('project/my-role/jackin.role.toml', 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\nmodel = "k2"\n');
    await write('project/my-role/Dockerfile', 'FROM projectjackin/construct:trixie\n');
    const { stdout } = await run(['load', './my-role', '--dry-run', '--format', 'json']);
    expect(JSON.parse(stdout).data).toMatchObject({ role: { key: 'my-role', source: { kind: 'folder' } }, agent: { model: { passed: 'k2' } } });
  });

  it('passes what stands behind -- to the agent', async () => {
    const { run } = await makeSandbox();
    const { stdout } = await run(['load', 'agent-smith', '--dry-run', '--format', 'json', '--', '--auto', '--format', 'x']);
    expect(JSON.parse(stdout).data.session.argv.slice(2)).toEqual(['--auto', '--format', 'x']);
  });
});

describe('load with bad input', () => {
  const cases: [what: string, argv: string[], code: number, message: RegExp][] = [
    ['no terminal', ['load', 'agent-smith'], 2, /no terminal.*\n.*--prompt TEXT.*--detach/],
    ['unknown role', ['load', 'agent-smit', '--dry-run'], 7, /no role "agent-smit"\n.*did you mean "agent-smith"\?/],
    ['unknown workspace', ['load', 'agent-smith', 'nope', '--dry-run'], 7, /no workspace "nope"/],
    ['a role name with ..', ['load', 'a/../b', '--dry-run'], 2, /not a role/],
    ['a role name with a flag', ['load', 'Agent_Smith', '--dry-run'], 2, /not a role/],
    ['a workspace name with ..', ['load', 'agent-smith', 'a..b', '--dry-run'], 2, /not a workspace name/],
    ['a workspace name with a slash', ['load', 'agent-smith', 'a/b', '--dry-run'], 2, /not a workspace name/],
    ['a workspace name of 10 kB', ['load', 'agent-smith', 'a'.repeat(10_000), '--dry-run'], 2, /not a workspace name/],
    ['a missing mount', ['load', 'agent-smith', '--mount', '/no/such/place', '--dry-run'], 7, /mount source \/no\/such\/place does not exist/],
    ['a mount that makes no sense', ['load', 'agent-smith', '--mount', 'a:b:c:d', '--dry-run'], 2, /expected path, path:ro/],
    ['an agent that there is not', ['load', 'agent-smith', '--agent', 'grok', '--dry-run'], 2, /Allowed choices are claude/],
    ['two ways to run', ['load', 'agent-smith', '--detach', '--prompt', 'x'], 2, /exclude each other/],
    ['no role at all', ['load', '--dry-run'], 2, /no role was named/],
    ['an unknown command', ['laod'], 2, /Did you mean load\?/],
    ['an unknown option', ['load', 'agent-smith', '--dry-rn'], 2, /Did you mean --dry-run\?/],
  ];
  it.each(cases)('%s', async (_what, argv, code, message) => {
    const { run } = await makeSandbox();
    const result = await run(argv);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
  });

  it('reports a broken configuration with its place, and starts nothing', async () => {
    const { run, write, config } = await makeSandbox();
    await write('config/config.toml', 'version = "v1alpha6"\n[kimi\n');
    const { code, stderr } = await run(['load', 'agent-smith', '--detach']);
    expect(code).toBe(3);
    expect(stderr).toContain(`${config}/config.toml:2:`);
  });

  it('says the same as JSON', async () => {
    const { run } = await makeSandbox();
    const { code, stdout, stderr } = await run(['load', 'nope', '--dry-run', '--format', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ schema_version: 'v1', error: { code: 'not-found', exit_code: 7, origin: 'jackin' } });
    expect(code).toBe(7);
    expect(stderr).not.toContain('error');
  });

  it('asks for consent before it mounts a home, and without a person stops with exit 6', async () => {
    const { run, home } = await makeSandbox();
    const { code, stderr } = await run(['load', 'agent-smith', home, '--detach']);
    expect(code).toBe(6);
    expect(stderr).toContain(`--allow-mount ${home}`);
  });

  it('stops before the engine is asked when the key is missing', async () => {
    const { run, write } = await makeSandbox();
    await write('config/config.toml', '[kimi]\nauth_forward = "api_key"\n');
    const { code, stderr } = await run(['load', 'agent-smith', '--detach']);
    expect(code).toBe(4);
    expect(stderr).toMatch(/mode:\n(.*\n)*.*global \(.*config\.toml:2\): api_key\n(.*\n)*key:\n/);
  });

  it('says so when no engine answers', async () => {
    const { run } = await makeSandbox();
    expect((await run(['load', 'agent-smith', '--detach'])).code).toBe(5);
  });
});
