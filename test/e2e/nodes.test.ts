/** The built program on the other versions of Node that it promises. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeWorld } from './world.ts';
import type { World } from './world.ts';

let world: World;
let folder: string;

beforeEach(async () => {
  world = await makeWorld('nodes');
  folder = await mkdtemp(path.join(tmpdir(), 'jackin-node-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await world.remove();
});

// Each is a download of fifty megabytes: a sample of one, or both in the full run.
const VERSIONS = process.env.JACKIN_TEST_FULL === '1' ? ['22', '24'] : ['24'];

describe('the built program', () => {
  test.each(VERSIONS)('launches an agent on Node %s', (version) => {
    const name = `node-linux-${process.arch}`;
    execFileSync('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-save', `${name}@${version}`], { stdio: 'pipe' });
    const node = path.join(folder, 'node_modules', name, 'bin', 'node');
    expect(execFileSync(node, ['--version']).toString()).toMatch(new RegExp(`^v${version}\\.`));
    const run = (...args: string[]) => spawnSync(node, [world.sandbox.cli, ...args], { cwd: world.sandbox.dirs.project, env: world.sandbox.env });
    const loaded = run('load', 'agent-smith', '--prompt', 'hello');
    expect(loaded.stderr.toString()).toContain('No model configured');
    expect(loaded.status).toBe(1);
    expect(run('eject', '--all', '--purge').status).toBe(0);
  });
});
