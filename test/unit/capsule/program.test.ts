import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findProgram, findShell } from '../../../src/capsule/program.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'jackin-program-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const put = async (name: string, mode = 0o644): Promise<string> => {
  const file = path.join(dir, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, '');
  await chmod(file, mode);
  return file;
};
const find = (...argv: string[]) =>
  findProgram(argv, { cwd: dir, path: `${dir}/none:${dir}/bin:${dir}/bin2`, agentsDir: path.join(dir, 'agents') });

describe('the program of a session', () => {
  it('is looked up like a shell does', async () => {
    await put('bin/tool');
    const tool = await put('bin2/tool', 0o755);
    expect(await find('tool')).toEqual({ file: tool });
    expect(await find(tool)).toEqual({ file: tool });
    expect(await find('bin2/tool')).toEqual({ file: tool });
  });

  it('is missing when it is not there, not executable, a directory, or nameless', async () => {
    await put('bin/plain');
    for (const name of ['nothing', 'plain', './bin', path.join(dir, 'bin/plain'), '']) {
      expect(await find(name)).toEqual({ missing: expect.any(String) as string });
    }
  });

  it('needs the whole of the agent volume that it, or its script, lies in', async () => {
    const node = await put('bin/node', 0o755);
    const script = path.join(dir, 'agents/kimi/main.mjs');
    expect(await find(node, script, '--yolo')).toMatchObject({ missing: expect.stringContaining('not complete') as string });
    await put('agents/kimi/.jackin-complete');
    expect(await find(node, script, '--yolo')).toMatchObject({ missing: expect.stringContaining('main.mjs') as string });
    await put('agents/kimi/main.mjs');
    expect(await find(node, script, '--yolo')).toEqual({ file: node });
    const own = await put('agents/codex/bin/codex', 0o755);
    expect(await find(own)).toMatchObject({ missing: expect.stringContaining('codex') as string });
    await put('agents/codex/.jackin-complete');
    expect(await find(own)).toEqual({ file: own });
  });
});

describe('the shell of a container', () => {
  const place = () => ({ cwd: dir, path: `${dir}/bin`, agentsDir: path.join(dir, 'agents') });

  it('is the one that people like best, and where there is none that is said', async () => {
    expect(await findShell(place())).toEqual({ missing: 'there is no shell in the PATH of the container (looked for bash, zsh, fish, sh)' });
    const sh = await put('bin/sh', 0o755);
    expect(await findShell(place())).toEqual({ file: sh });
    const bash = await put('bin/bash', 0o755);
    expect(await findShell(place())).toEqual({ file: bash });
  });
});
