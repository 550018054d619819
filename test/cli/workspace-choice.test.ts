import { mkdir, symlink } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makeSandbox } from './run.ts';

const DOWN = '\u001b[B';
const ENTER = '\r';
const CTRL_C = '\u0003';

/** Two workspaces that both mount the current directory. */
const withTwo = async () => {
  const sandbox = await makeSandbox();
  for (const name of ['one', 'two']) {
    await sandbox.write(`config/workspaces/${name}.toml`, `workdir = "/app"\ndefault_role = "agent-smith"\nmounts = [{ src = "${sandbox.project}", dst = "/app" }]\n`);
  }
  return sandbox;
};

const chosen = (stdout: string): string => JSON.parse(stdout.slice(stdout.indexOf('{'))).data.workspace.name;

describe('load without a target, where two workspaces are equally near', () => {
  it('asks on a terminal, and takes the one that was chosen', async () => {
    const { run } = await withTwo();
    const first = await run(['load', '--dry-run', '--format', 'json'], { tty: true, input: ENTER });
    expect(first.stderr).toMatch(/belongs to several workspaces\. Which one\?[\s\S]*one[\s\S]*two/);
    expect(chosen(first.stdout)).toBe('one');
    const second = await run(['load', '--dry-run', '--format', 'json'], { tty: true, input: DOWN + ENTER });
    expect(chosen(second.stdout)).toBe('two');
  });

  it('starts nothing when the question is cancelled', async () => {
    const { run } = await withTwo();
    const { code, stderr, stdout } = await run(['load', '--dry-run'], { tty: true, input: CTRL_C });
    expect(code).toBe(130);
    expect(stderr).toContain('cancelled');
    expect(stdout).toBe('');
  });

  it.each([
    ['with --no-input', ['--no-input'], true],
    ['without a terminal', [], false],
  ])('fails naming both %s', async (_when, flags, tty) => {
    const { run, project } = await withTwo();
    const { code, stderr } = await run(['load', 'agent-smith', '--dry-run', ...flags], { tty });
    expect(code).toBe(2);
    expect(stderr).toContain(`${project} belongs to 2 workspaces that are equally near: one, two`);
    expect(stderr).toContain('`jackin load agent-smith one` or `jackin load agent-smith two`');
  });

  it('needs no answer when the workspace or the directory is named', async () => {
    const { run } = await withTwo();
    expect(chosen((await run(['load', 'agent-smith', 'two', '--dry-run', '--format', 'json'])).stdout)).toBe('two');
    expect(JSON.parse((await run(['load', 'agent-smith', '.', '--dry-run', '--format', 'json'])).stdout).data.workspace.kind).toBe('directory');
  });

  it('tells the commands that explain how to name one', async () => {
    const { run } = await withTwo();
    const { code, stderr } = await run(['config', 'explain']);
    expect(code).toBe(2);
    expect(stderr).toContain('`jackin config explain --workspace one` or `jackin config explain --workspace two`');
    expect((await run(['config', 'explain', 'workdir', '--workspace', 'one'])).code).toBe(0);
  });
});

describe('the workspace of a directory', () => {
  it('is found through links, of the directory and of the mount', async () => {
    const { run, write, root, project } = await makeSandbox();
    await mkdir(`${project}/deep`);
    await symlink(project, `${root}/link`);
    await write('config/workspaces/app.toml', `workdir = "/app"\nmounts = [{ src = "${root}/link", dst = "/app" }]\n`);
    expect(chosen((await run(['load', 'agent-smith', '--dry-run', '--format', 'json'], { cwd: `${project}/deep` })).stdout)).toBe('app');
    await write('config/workspaces/app.toml', `workdir = "/app"\nmounts = [{ src = "${project}", dst = "/app" }]\n`);
    expect(chosen((await run(['load', 'agent-smith', '--dry-run', '--format', 'json'], { cwd: `${root}/link/deep` })).stdout)).toBe('app');
  });

  it('is the deeper one of two, without a question', async () => {
    const { run, write, root, project } = await makeSandbox();
    await write('config/workspaces/whole.toml', `workdir = "/all"\nmounts = [{ src = "${root}", dst = "/all" }]\n`);
    await write('config/workspaces/part.toml', `workdir = "/app"\nmounts = [{ src = "${project}", dst = "/app" }]\n`);
    expect(chosen((await run(['load', 'agent-smith', '--dry-run', '--format', 'json'])).stdout)).toBe('part');
  });
});
