import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

describe('workspace create', () => {
  it('saves a file that load takes', async () => {
    const { run, read, project } = await makeSandbox();
    const created = await run(['workspace', 'create', 'my-app', '--workdir', project, '--mount', project, '--default-role', 'agent-smith', '--default-agent', 'kimi']);
    expect(created.code).toBe(0);
    expect(await read('config/workspaces/my-app.toml')).toBe(
      `#:schema ../schemas/workspace.schema.json\nversion = "v1alpha6"\nworkdir = "${project}"\ndefault_role = "agent-smith"\ndefault_agent = "kimi"\n\n[[mounts]]\nsrc = "${project}"\ndst = "${project}"\nreadonly = false\nisolation = "shared"\n`,
    );
    const plan = JSON.parse((await run(['load', 'agent-smith', 'my-app', '--dry-run', '--format', 'json'])).stdout);
    expect(plan.data).toMatchObject({ workspace: { name: 'my-app', kind: 'saved' }, agent: { slug: 'kimi', decided_by: { layer: 'workspace' } } });
  });

  it('never replaces one', async () => {
    const { run, write, read, project } = await makeSandbox();
    await write('config/workspaces/my-app.toml', '# mine\n');
    const { code, stderr } = await run(['workspace', 'create', 'my-app', '--workdir', project, '--mount', project]);
    expect(code).toBe(8);
    expect(stderr).toContain('exists already');
    expect(await read('config/workspaces/my-app.toml')).toBe('# mine\n');
  });

  it.each([
    ['../evil', 2],
    ['a/b', 2],
    ['-x', 2],
    ['', 2],
  ])('refuses the name %j', async (name, expected) => {
    const { run, project } = await makeSandbox();
    expect((await run(['workspace', 'create', '--workdir', project, '--mount', project, '--', name].filter((word) => word !== '--'))).code).toBe(expected);
  });

  it('refuses what load would refuse, before it is written', async () => {
    const { run, project } = await makeSandbox();
    const outside = await run(['workspace', 'create', 'w', '--workdir', '/elsewhere', '--mount', project]);
    expect(outside.code).toBe(2);
    expect(outside.stderr).toContain('outside every mount');
    expect((await run(['workspace', 'create', 'w', '--workdir', project, '--mount', '/no/such'])).code).toBe(7);
  });

  it('of twenty at once, one wins and the others are told', async () => {
    const { run, project } = await makeSandbox();
    const runs = await Promise.all(Array.from({ length: 20 }, () => run(['workspace', 'create', 'w', '--workdir', project, '--mount', project])));
    expect(runs.map(({ code }) => code).sort((a, b) => a - b)).toEqual([0, ...Array.from({ length: 19 }, () => 8)]);
  });

  it('takes over the lock of a dead process', async () => {
    const { run, write, project } = await makeSandbox();
    await write('config/config.lock', JSON.stringify({ pid: 999_999_999, started: '1', boot: 'another' }));
    expect((await run(['workspace', 'create', 'w', '--workdir', project, '--mount', project])).code).toBe(0);
  });
});

describe('configuration files', () => {
  it('that are not text, not files or links to nowhere are told apart from absent ones', async () => {
    const { run, write, root, config } = await makeSandbox();
    await write('config/config.toml', '');
    const file = `${config}/config.toml`;
    const failsWith = async (message: RegExp) => {
      const { code, stderr } = await run(['config', 'validate']);
      expect(stderr).toMatch(message);
      expect(code).toBe(3);
    };
    await writeFile(file, Buffer.from([0xff, 0xfe]));
    await failsWith(/is not UTF-8 text/);
    await rm(file);
    await mkdir(file);
    await failsWith(/is a directory/);
    await rm(file, { recursive: true });
    await symlink(`${root}/elsewhere.toml`, file);
    await write('elsewhere.toml', 'verion = 1\n');
    await failsWith(/config\.toml:1:1: unknown key "verion"/);
  });

  it('are all checked at once', async () => {
    const { run, write } = await makeSandbox();
    await write('config/config.toml', 'a = 1\n');
    await write('config/workspaces/x.toml', 'b = 1\n');
    const { code, stderr } = await run(['config', 'validate']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/config\.toml:1:1: unknown key "a"[\s\S]*x\.toml:1:1: unknown key "b"/);
  });

  it('path prints the sandbox, not the home', async () => {
    const { run, config, jackinHome } = await makeSandbox();
    const { stdout } = await run(['config', 'path', '--format', 'json']);
    expect(JSON.parse(stdout).data).toEqual({ config: `${config}/config.toml`, workspaces: `${config}/workspaces`, home: jackinHome });
  });
});
