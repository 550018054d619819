import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

const dataOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout).data;
const published = (kind: string): Promise<string> => readFile(path.resolve(import.meta.dirname, `../../schemas/${kind}.schema.json`), 'utf8');

describe('config schema', () => {
  it('prints the schema of each kind of file', async () => {
    const { run } = await makeSandbox();
    expect((await run(['config', 'schema'])).stdout).toBe(await published('config'));
    for (const kind of ['config', 'workspace', 'role', 'plan']) {
      expect((await run(['config', 'schema', kind])).stdout).toBe(await published(kind));
      expect(dataOf(await run(['config', 'schema', kind, '--format', 'json']))).toEqual(JSON.parse(await published(kind)));
    }
    expect((await run(['config', 'schema', 'roles'])).code).toBe(2);
  });

  it('stands where the first line of a new file points', async () => {
    const { run, read, config, project } = await makeSandbox();
    await run(['config', 'env', 'set', 'A', 'x']);
    await run(['workspace', 'create', 'app', '--workdir', project, '--mount', project]);
    for (const [file, kind] of [['config.toml', 'config'], ['workspaces/app.toml', 'workspace']] as const) {
      const [, target] = /^#:schema (\S+)\n/.exec(await read(`config/${file}`)) ?? [];
      expect(await readFile(path.resolve(config, path.dirname(file), target!), 'utf8')).toBe(await published(kind));
    }
    // Both are files like any other to their reader.
    expect((await run(['config', 'validate'])).code).toBe(0);
    expect((await run(['workspace', 'list'])).stdout).toContain('app');
  });

  it('is put nowhere for a file that does not point there', async () => {
    const { run, write, config } = await makeSandbox();
    await write('config/config.toml', 'version = "v1alpha6"\n');
    await run(['config', 'env', 'set', 'A', 'x']);
    expect(await readdir(config)).toEqual(['config.toml']);
  });

  it('fails nothing when it cannot be put there', async () => {
    const { run, write, read } = await makeSandbox();
    await write('config/schemas', 'a file in the way');
    expect((await run(['config', 'env', 'set', 'A', 'x'])).code).toBe(0);
    expect(await read('config/config.toml')).toContain('A = "x"');
  });
});

const OLD_WORKSPACE = `version = "v1alpha4"
workdir = "/app"
op_account = "acme"
mounts = [{ src = "/", dst = "/app" }]

[env]
PLAIN = "canary-literal"
TOKEN = "op://Work/x/y"
`;

describe('config migrate', () => {
  it('shows in a dry run what would change, as a diff, and writes nothing', async () => {
    const { run, write, read, config, jackinHome } = await makeSandbox();
    await write('config/workspaces/app.toml', OLD_WORKSPACE);
    const { code, stdout } = await run(['config', 'migrate', '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toContain(`--- ${config}/workspaces/app.toml (v1alpha4)\n+++ ${config}/workspaces/app.toml (v1alpha6)\n@@ -1,`);
    expect(stdout).toMatch(/^-version = "v1alpha4"\n\+version = "v1alpha6"$/m);
    expect(stdout).toMatch(/^-op_account = "acme"$/m);
    expect(stdout).toMatch(/^\+TOKEN = \{ op = "op:\/\/Work\/x\/y", account = "acme" \}$/m);
    expect(stdout).toContain('nothing was written: this was a dry run');
    expect(stdout).not.toContain('canary');
    expect(await read('config/workspaces/app.toml')).toBe(OLD_WORKSPACE);
    await expect(readdir(jackinHome)).rejects.toThrow(/ENOENT/);
  });

  it('writes the newest version and says where the text before is kept', async () => {
    const { run, write, read } = await makeSandbox();
    await write('config/workspaces/app.toml', OLD_WORKSPACE);
    const { files } = dataOf(await run(['config', 'migrate', '--format', 'json']));
    expect(files).toMatchObject([{ from: 'v1alpha4', to: 'v1alpha6', is_new: false }]);
    expect(JSON.stringify(files)).not.toContain('canary');
    expect(await readFile(files[0].backup, 'utf8')).toBe(OLD_WORKSPACE);
    expect(await read('config/workspaces/app.toml')).toContain('version = "v1alpha6"');
    expect((await run(['config', 'migrate'])).stdout).toBe('every file has the newest version already\n');
  });

  it('is not done by commands that only read', async () => {
    const { run, write, read, config, jackinHome } = await makeSandbox();
    await write('config/workspaces/app.toml', OLD_WORKSPACE);
    for (const words of [['show'], ['explain', '--workspace', 'app'], ['auth', 'show'], ['env', 'list'], ['mount', 'list'], ['trust', 'list'], ['validate']]) {
      expect((await run(['config', ...words])).code).toBe(0);
    }
    expect((await run(['workspace', 'list'])).code).toBe(0);
    expect((await run(['workspace', 'show', 'app'])).code).toBe(0);
    expect(await read('config/workspaces/app.toml')).toBe(OLD_WORKSPACE);
    expect(await readdir(config)).toEqual(['workspaces']);
    await expect(readdir(jackinHome)).rejects.toThrow(/ENOENT/);
  });

  it('shows a workspace that gets a file of its own', async () => {
    const { run, write, read, config } = await makeSandbox();
    await write('config/config.toml', '# mine\n[workspaces.app]\nworkdir = "/app"\nmounts = [{ src = "/", dst = "/app" }]\n');
    const { stdout } = await run(['config', 'migrate', '--dry-run']);
    expect(stdout).toContain(`--- /dev/null\n+++ ${config}/workspaces/app.toml (v1alpha6)\n`);
    expect(stdout).toContain(`--- ${config}/config.toml (legacy)\n`);
    expect((await run(['workspace', 'remove', 'app'])).code).toBe(6);
    expect((await run(['config', 'migrate'])).code).toBe(0);
    expect(await read('config/workspaces/app.toml')).toContain('workdir = "/app"');
  });

  it('refuses what it does not know, and leaves it untouched', async () => {
    const { run, write, read } = await makeSandbox();
    await write('config/config.toml', 'version = "v9"\n');
    const { code, stderr } = await run(['config', 'migrate']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/v9/);
    expect(await read('config/config.toml')).toBe('version = "v9"\n');
  });
});

describe('every command of config and workspace', () => {
  const quiet = [
    ['config', 'path'], ['config', 'validate'], ['config', 'show'], ['config', 'explain'], ['config', 'migrate'], ['config', 'schema'], ['config', 'auth', 'show'],
    ['config', 'auth', 'set', 'sync'], ['config', 'env', 'set', 'A', 'x'], ['config', 'env', 'list'], ['config', 'env', 'unset', 'A'], ['config', 'mount', 'list'],
    ['config', 'git', 'dco', 'enable'], ['config', 'trust', 'grant', 'neo'], ['config', 'trust', 'list'], ['config', 'trust', 'revoke', 'neo'],
    ['workspace', 'list'], ['workspace', 'show', 'app'], ['workspace', 'edit', 'app', '--git-pull'], ['workspace', 'env', 'set', 'app', 'A', 'x'],
    ['workspace', 'env', 'list', 'app'], ['workspace', 'env', 'unset', 'app', 'A'], ['workspace', 'prune'], ['workspace', 'remove', 'app', '--yes'],
  ]; // prettier-ignore

  it('takes --no-input and --format json, and answers in one envelope', async () => {
    const { run, write } = await makeSandbox();
    await write('config/workspaces/app.toml', 'workdir = "/app"\nmounts = [{ src = "/", dst = "/app" }]\n');
    for (const words of quiet) {
      const { code, stdout, stderr } = await run([...words, '--no-input', '--format', 'json']);
      expect([words, code, stderr]).toEqual([words, 0, '']);
      expect(JSON.parse(stdout)).toEqual({ schema_version: 'v1', data: expect.anything() });
    }
  });
});
