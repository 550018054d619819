import { chmod, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const installation = useInstallation();

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await makeSandbox();
});

const role = (...argv: string[]): Promise<Run> => sandbox.run(['role', ...argv]);
const at = (name: string): string => path.join(sandbox.project, name);
const dataOf = (run: Run) => (JSON.parse(run.stdout) as { data: Record<string, unknown> }).data;

const MANIFEST = 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n\n[kimi]\n';
const DOCKERFILE = 'FROM projectjackin/construct:trixie\n';

describe('role create', () => {
  it('writes a role that is right, and that a load builds and starts', async () => {
    const { code, stdout } = await role('create', './new/my-role', '--agent', 'kimi', '--agent', 'codex', '--name', 'The "Smith"');
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(`\`jackin load ${at('new/my-role')}\``) });
    expect(await role('validate', 'new/my-role')).toMatchObject({ code: 0, stdout: `${at('new/my-role')}: a role that can be loaded\n` });
    const { env, deps } = installation();
    const engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
    const loaded = await sandbox.run(['load', './new/my-role', '--agent', 'kimi', '--detach'], { env, deps, engine });
    expect(loaded).toMatchObject({ code: 0 });
    expect(loaded.stderr).toContain('role       The "Smith" (my-role, folder)');
    expect(engine.dockerfiles.at(-1)).toContain('What is installed here, the agent has.');
  });

  it('takes every agent, and the name of the folder, where none is named', async () => {
    await role('create', 'api-tools');
    const manifest = await sandbox.read('project/api-tools/jackin.role.toml');
    expect(manifest).toContain('agents = ["claude", "codex", "amp", "kimi", "opencode"]');
    expect(manifest).toContain('name = "Api Tools"');
  });

  it('takes a folder that is empty, and no other', async () => {
    await sandbox.write('project/full/notes.md', 'mine\n');
    expect(await role('create', 'full')).toMatchObject({ code: 8, stderr: expect.stringContaining('is not empty: nothing was written') });
    expect(await readdir(at('full'))).toEqual(['notes.md']);
    expect((await role('create', 'full/notes.md')).code).toBe(8);
    expect((await role('create', '.')).code).toBe(8);
    expect((await role('create', 'full/inner')).code).toBe(0);
    expect((await role('create', 'full/inner')).code).toBe(8);
  });

  it.each(['', 'two\nlines', 'x'.repeat(81)])('refuses the name %j', async (name) => {
    expect((await role('create', 'r', '--name', name)).code).toBe(2);
    expect(await readdir(sandbox.project)).toEqual([]);
  });
});

describe('role validate', () => {
  const write = async (manifest: string, dockerfile = DOCKERFILE): Promise<void> => {
    await sandbox.write('project/jackin.role.toml', manifest);
    await sandbox.write('project/Dockerfile', dockerfile);
  };

  it('looks at the directory that it is run in, and tells all that is wrong, with exit code 3', async () => {
    await write(`${MANIFEST}auth_forward = "ignore"\nmodle = "k"\n`);
    const { code, stdout } = await role('validate');
    expect(code).toBe(3);
    expect(stdout).toBe(
      [
        `${sandbox.project}: 2 problems`,
        `${at('jackin.role.toml')}:6:1: kimi.auth_forward: a role never says how somebody is logged in; this belongs in the operator’s own configuration`,
        `    auth_forward = …`,
        '    ^',
        `${at('jackin.role.toml')}:7:1: unknown key "modle" in [kimi]; did you mean "model"?`,
        '    modle = …',
        '    ^',
        '',
      ].join('\n'),
    );
  });

  it('looks at the Dockerfile and at what is built from', async () => {
    await write(MANIFEST, 'FROM example.test/other:1\n');
    await sandbox.write('project/inner/x', '');
    const { code, stdout } = await role('validate', '--format', 'json');
    expect(code).toBe(3);
    expect(JSON.parse(stdout).data).toMatchObject({ valid: false, problems: [{ file: null, message: expect.stringContaining('Dockerfile:1: the final FROM is example.test/other:1') }] });
  });

  it('tells what has no effect, and that is no problem', async () => {
    await write(`${MANIFEST}[docker]\ndind = "none"\n`);
    const { code, stdout } = await role('validate', '--format', 'json');
    expect({ code, data: JSON.parse(stdout).data }).toEqual({
      code: 0,
      data: { folder: sandbox.project, valid: true, problems: [], more_problems: 0, notes: [`${at('jackin.role.toml')}:6: docker has no effect in this version of jackin`] },
    });
    const loaded = await sandbox.run(['load', '.', '--dry-run']);
    expect(loaded.stdout).toContain('docker has no effect in this version of jackin');
  });

  it('of what is no role says so', async () => {
    expect(await role('validate')).toMatchObject({ code: 7, stderr: expect.stringContaining('is not a role') });
    expect((await role('validate', 'nowhere')).code).toBe(7);
  });
});

describe('role migrate', () => {
  const OLD = '# a role of mine\ndockerfile = "Dockerfile" # here\nversion = "v1alpha3" # old\n\n[claude]\n  # and this\n';

  it('changes the version and nothing else, in one step and with the mode that the file has', async () => {
    const file = await sandbox.write('project/jackin.role.toml', OLD);
    await chmod(file, 0o640);
    expect(await role('migrate', '.')).toMatchObject({ code: 0, stdout: `${file}: v1alpha3 is now v1alpha6\n` });
    expect(await sandbox.read('project/jackin.role.toml')).toBe('version = "v1alpha6" # old\n\n# a role of mine\ndockerfile = "Dockerfile" # here\n\n[claude]\n  # and this\n');
    expect((await stat(file)).mode & 0o777).toBe(0o640);
    expect(await readdir(sandbox.project)).toEqual(['jackin.role.toml']);
    expect((await role('migrate', '.')).stdout).toBe(`${file} has the newest version already\n`);
  });

  it('shows what it would change in a dry run', async () => {
    await sandbox.write('project/jackin.role.toml', OLD);
    const dry = await role('migrate', '.', '--dry-run', '--format', 'json');
    expect(dataOf(dry)).toMatchObject({ dry_run: true, from: 'v1alpha3', to: 'v1alpha6', changed: true, diff: expect.stringContaining('+version = "v1alpha6"') });
    expect(await sandbox.read('project/jackin.role.toml')).toBe(OLD);
  });

  it('gives a manifest a version that has none, and then a load takes it', async () => {
    await sandbox.write('project/jackin.role.toml', '# mine\ndockerfile = "Dockerfile"\n\n[claude]\n');
    await sandbox.write('project/Dockerfile', DOCKERFILE);
    const refused = await sandbox.run(['load', '.', '--dry-run']);
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining(`\`jackin role migrate ${sandbox.project}\``) });
    expect((await role('migrate', '.')).code).toBe(0);
    expect(await sandbox.read('project/jackin.role.toml')).toBe('version = "v1alpha6"\n\n# mine\ndockerfile = "Dockerfile"\n\n[claude]\n');
    expect((await sandbox.run(['load', '.', '--dry-run'])).code).toBe(0);
  });

  it.each(['version = "v1"', 'version = "v1alpha7"', 'version = 3', 'version = '])('leaves what it does not understand as it is: %s', async (text) => {
    await sandbox.write('project/jackin.role.toml', `${text}\n`);
    expect((await role('migrate', '.')).code).toBe(3);
    expect(await sandbox.read('project/jackin.role.toml')).toBe(`${text}\n`);
  });
});
