import { mkdir, readdir, rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

const dataOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout).data;

/** A saved workspace with a comment at every place. */
const withApp = async () => {
  const sandbox = await makeSandbox();
  const { project } = sandbox;
  await mkdir(`${project}/lib`);
  const text = `# mine
version = "v1alpha6"
workdir = "${project}" # start here
default_role = "agent-smith"

# what it sees
[[mounts]]
src = "${project}"
dst = "${project}"
isolation = "shared"

# logins
[kimi]
auth_forward = 'sync'
`;
  const file = await sandbox.write('config/workspaces/app.toml', text);
  const edit = (...words: string[]) => sandbox.run(['workspace', 'edit', 'app', ...words]);
  return { ...sandbox, text, file, edit, saved: () => sandbox.read('config/workspaces/app.toml') };
};

describe('workspace create', () => {
  it('saves every field that there is a flag for', async () => {
    const { run, project, read } = await makeSandbox();
    const flags = ['--allowed-role', 'agent-smith', '--allowed-role', 'ns/neo', '--default-agent', 'kimi', '--keep-awake', '--git-pull', '--mount-isolation', `${project}=worktree`];
    expect((await run(['workspace', 'create', 'app', '--workdir', project, '--mount', project, ...flags])).code).toBe(0);
    const text = await read('config/workspaces/app.toml');
    expect(text).toMatch(/^#:schema \.\.\/schemas\/workspace\.schema\.json\nversion = "v1alpha6"\n/);
    expect(dataOf(await run(['workspace', 'show', 'app', '--format', 'json']))).toMatchObject({
      allowed_roles: ['agent-smith', 'ns/neo'],
      default_agent: 'kimi',
      git_pull_on_entry: true,
      keep_awake: { enabled: true },
      mounts: [{ src: project, dst: project, readonly: false, isolation: 'worktree' }],
    });
  });

  it('leaves out a mount that another one covers, and says so', async () => {
    const { run, project } = await makeSandbox();
    await mkdir(`${project}/lib`);
    const { stderr } = await run(['workspace', 'create', 'app', '--workdir', project, '--mount', `${project}/lib`, '--mount', project]);
    expect(stderr).toBe(`${project}/lib is left out: the mount ${project} shows the same files there\n`);
    expect(dataOf(await run(['workspace', 'show', 'app', '--format', 'json'])).mounts).toHaveLength(1);
  });

  it.each([
    ['the same files with another access', ['--mount', 'PROJECT/lib:ro'], /show the same files with different access/],
    ['an isolation that there is not', ['--mount-isolation', 'PROJECT=overlay'], /expected the destination of a mount, "=" and one of shared, worktree, clone/],
    ['an isolation of a mount that there is not', ['--mount-isolation', '/nope=clone'], /--mount-isolation \/nope: no mount has this destination/],
    ['a role that is none', ['--allowed-role', 'Neo!'], /A role is a name/],
  ])('refuses %s', async (_what, flags, message) => {
    const { run, project, config } = await makeSandbox();
    await mkdir(`${project}/lib`);
    const { code, stderr } = await run(['workspace', 'create', 'app', '--workdir', project, '--mount', project, ...flags.map((flag) => flag.replace('PROJECT', project))]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(await readdir(config)).toEqual([]);
  });
});

describe('workspace list and show', () => {
  it('print what is saved', async () => {
    const { run, project, file } = await withApp();
    expect((await run(['workspace', 'list'])).stdout).toMatch(/^NAME +WORKDIR +MOUNTS +ROLE +AGENT\napp +.*project +1 +agent-smith +-\n$/);
    const { stdout } = await run(['workspace', 'show', 'app']);
    expect(stdout).toMatch(new RegExp(`^file +${file}$`, 'm'));
    expect(stdout).toMatch(/^kimi\.auth_forward +sync$/m);
    expect(stdout).toContain(`${project}  ${project}  writable  shared`);
    expect(dataOf(await run(['workspace', 'list', '--format', 'json'])).workspaces).toMatchObject([{ name: 'app', default_role: 'agent-smith', last_role: null }]);
  });

  it('say so when there is none, or not this one', async () => {
    const { run } = await makeSandbox();
    expect((await run(['workspace', 'list'])).stdout).toBe('no workspaces\n');
    expect(await run(['workspace', 'show', 'app'])).toMatchObject({ code: 7, stderr: expect.stringContaining('there is no workspace "app"') });
    expect((await run(['workspace', 'show', '../app'])).code).toBe(2);
  });
});

describe('workspace edit', () => {
  it('changes what was named, and no comment, order or quoting of the rest', async () => {
    const { edit, saved, text } = await withApp();
    const { code } = await edit('--default-agent', 'kimi', '--git-pull', '--clear-default-role');
    expect(code).toBe(0);
    expect(await saved()).toBe(text.replace('default_role = "agent-smith"\n', 'default_agent = "kimi"\ngit_pull_on_entry = true\n'));
    await edit('--clear-default-agent', '--no-git-pull', '--default-role', 'agent-smith');
    expect(await saved()).toBe(text);
  });

  it('adds, changes and removes mounts', async () => {
    const { edit, saved, project, root } = await withApp();
    await edit('--mount', `${root}:/all:ro`, '--mount-isolation', `${project}=clone`);
    expect(await saved()).toContain(`src = "${project}"\ndst = "${project}"\nisolation = "clone"\n\n[[mounts]]\nsrc = "${root}"\ndst = "/all"\nreadonly = true\nisolation = "shared"\n`);
    await edit('--mount', `${project}:/all`);
    expect(await saved()).toContain(`src = "${project}"\ndst = "/all"\nreadonly = false\n`);
    await edit('--remove-destination', '/all', '--mount-isolation', `${project}=shared`);
    expect(await saved()).not.toContain('/all');
  });

  it('changes the roles that may run', async () => {
    const { edit, saved } = await withApp();
    await edit('--allowed-role', 'agent-smith', '--allowed-role', 'neo');
    expect(await saved()).toMatch(/allowed_roles = \[ *"agent-smith", "neo" *\]/);
    await edit('--remove-allowed-role', 'neo', '--remove-allowed-role', 'agent-smith');
    expect(await saved()).not.toContain('allowed_roles');
  });

  it('says when it is so already', async () => {
    const { edit, saved, text, file } = await withApp();
    const { code, stdout } = await edit('--default-role', 'agent-smith', '--no-keep-awake');
    expect([code, stdout]).toEqual([0, `${file} says so already\n`]);
    expect(await saved()).toBe(text);
  });

  it('asks before a mount is left out that another one covers', async () => {
    const { run, edit, saved, project, root } = await withApp();
    const question = await edit('--mount', `${root}:${root}`);
    expect(question.code).toBe(6);
    expect(question.stderr).toContain(`${project} is left out: the mount ${root} shows the same files there`);
    expect(question.stderr).toContain('--yes');
    const words = ['workspace', 'edit', 'app', '--mount', `${root}:${root}`];
    expect((await run(words, { tty: true, input: 'n' })).code).toBe(6);
    expect((await run([...words, '--no-input'], { tty: true })).code).toBe(6);
    expect(await saved()).toContain(`dst = "${project}"`);
    expect((await run(words, { tty: true, input: 'y' })).code).toBe(0);
    expect(await saved()).not.toContain(`dst = "${project}"`);
    expect(await saved()).toContain('# what it sees');
  });

  it('takes --yes for an answer, and tells it in JSON', async () => {
    const { edit, project } = await withApp();
    const { code, stdout } = await edit('--mount', `${project}/lib`, '--yes', '--format', 'json');
    expect(code).toBe(0);
    expect(dataOf({ stdout })).toMatchObject({ name: 'app', changed: false, collapsed: [{ dst: `${project}/lib`, covered_by: project }] });
  });

  it.each<[string, string[], number, RegExp]>([
    ['nothing at all', [], 2, /nothing was named to change/],
    ['a destination that there is not', ['--remove-destination', '/nope'], 2, /--remove-destination \/nope: no mount has this destination/],
    ['the only mount', ['--remove-destination', '.'], 2, /at least one mount is needed/],
    ['a workdir outside of every mount', ['--workdir', '/nowhere'], 2, /outside every mount/],
    ['a default role that is not allowed', ['--allowed-role', 'neo'], 2, /default_role "agent-smith" is not in allowed_roles/],
    ['setting and clearing', ['--default-role', 'x', '--clear-default-role'], 2, /exclude each other/],
    ['a mount source that there is not', ['--mount', '/no/such'], 7, /mount source \/no\/such does not exist/],
  ])('refuses %s, and leaves the file as it was', async (_what, flags, expected, message) => {
    const { edit, saved, text } = await withApp();
    const { code, stderr } = await edit(...flags);
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
    expect(await saved()).toBe(text);
  });

  it('names the nearest workspace for one that there is not', async () => {
    const { run } = await withApp();
    expect(await run(['workspace', 'edit', 'apo', '--git-pull'])).toMatchObject({ code: 7, stderr: expect.stringContaining('did you mean "app"?') });
  });
});

describe('workspace remove', () => {
  it('asks first, and needs --yes where nobody can be asked', async () => {
    const { run, file, config } = await withApp();
    const refused = await run(['workspace', 'remove', 'app']);
    expect(refused.code).toBe(6);
    expect(refused.stderr).toMatch(/Remove the workspace app .*app\.toml\)\?\n.*--yes/);
    expect((await run(['workspace', 'remove', 'app'], { tty: true, input: '\r' })).code).toBe(6);
    expect((await run(['workspace', 'remove', 'app'], { tty: true, input: '\u0003' })).code).toBe(130);
    expect(await readdir(`${config}/workspaces`)).toEqual(['app.toml']);
    expect((await run(['workspace', 'remove', 'app'], { tty: true, input: 'y' })).stdout).toBe(`removed ${file}\n`);
    expect(await readdir(`${config}/workspaces`)).toEqual([]);
  });

  it('removes one that cannot be read any more', async () => {
    const { run, write } = await makeSandbox();
    await write('config/workspaces/broken.toml', 'not toml [');
    expect((await run(['workspace', 'remove', 'broken', '--yes'])).code).toBe(0);
  });

  it('names the nearest for one that there is not, without a question', async () => {
    const { run } = await withApp();
    expect(await run(['workspace', 'remove', 'ap'])).toMatchObject({ code: 7, stderr: expect.stringContaining('did you mean "app"?') });
    expect((await run(['workspace', 'remove', '../app', '--yes'])).code).toBe(2);
  });
});

describe('workspace prune', () => {
  it('lists and removes those of which every mount source is gone', async () => {
    const { run, write, project, config, home } = await withApp();
    await mkdir(`${project}/half`);
    await write('config/workspaces/gone.toml', 'workdir = "/app"\nmounts = [{ src = "~/gone", dst = "/app" }]\n');
    await write('config/workspaces/half.toml', `workdir = "/app"\nmounts = [{ src = "${project}/half", dst = "/app" }, { src = "/no/such", dst = "/b" }]\n`);
    const refused = await run(['workspace', 'prune']);
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain('gone: nothing is left of ~/gone');
    expect(refused.stderr).not.toContain('half');
    await mkdir(`${home}/gone`);
    expect((await run(['workspace', 'prune', '--yes'])).stdout).toBe('nothing to prune\n');
    await rm(`${home}/gone`, { recursive: true });
    expect(dataOf(await run(['workspace', 'prune', '--yes', '--format', 'json'])).removed).toEqual([{ name: 'gone', file: `${config}/workspaces/gone.toml` }]);
    expect((await readdir(`${config}/workspaces`)).sort()).toEqual(['app.toml', 'half.toml']);
  });
});
