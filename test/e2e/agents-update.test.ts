/** A new version of an agent, beside instances that run: the real CLI, engine and agent. Kimi 2.0.2 and 2.1.0 come from the npm registry. */
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import { makeWorld, writeLogin } from './world.ts';
import type { World } from './world.ts';

const OLD = '2.0.2';
const NO_REGISTRY = { npm_config_registry: 'http://127.0.0.1:1', NPM_CONFIG_REGISTRY: 'http://127.0.0.1:1' };
const MAIN = '/jackin/agents/kimi/node_modules/@moonshot-ai/kimi-code/dist/main.mjs';

const engine = connectEngine();
let world: World;

beforeEach(async () => {
  world = await makeWorld('update');
});
afterEach(async () => {
  await world.remove();
});

interface Listed {
  agents: { agent: string; versions: { version: string; next: boolean; used_by: { container: string; running: boolean }[] }[] }[];
}

const succeed = async (args: string[], env = {}): Promise<string> => {
  const { code, stdout, stderr } = await world.jackin(args, env);
  expect([code, stderr.split('\n').filter((line) => line.startsWith('error'))]).toEqual([0, []]);
  return stdout;
};

/** Starts an instance and gives the name of its container. */
const start = async (env = {}): Promise<string> => {
  const before = await world.containers();
  await succeed(['load', 'agent-smith', world.sandbox.dirs.project, '--agent', 'kimi', '--detach', '--no-input'], env);
  const [container, ...others] = (await world.containers()).filter((name) => !before.includes(name));
  expect(others).toEqual([]);
  return container!;
};

/** What the agent in a container says of itself. */
const versionIn = async (container: string): Promise<string> => {
  const { code, stdout } = await engine.exec(container, ['/jackin/runtime/bin/node', MAIN, '--version']);
  expect(code).toBe(0);
  return stdout.trim();
};

test('running instances stay on the version that they were started with', async () => {
  await succeed(['agents', 'update', 'kimi', '--version', OLD]);
  await world.config(`[agents.kimi]\nversion = "${OLD}"\n`);
  const early = await start();
  expect(await versionIn(early)).toContain(OLD);

  await world.config('');
  expect(await succeed(['agents', 'update', 'kimi'])).toMatch(/^kimi: (\d+\.\d+\.\d+ is there already|.* → \d+\.\d+\.\d+)\n/);
  expect(await versionIn(early)).toContain(OLD);
  const late = await start();
  const newer = await versionIn(late);
  expect(newer).not.toContain(OLD);

  const { data } = JSON.parse(await succeed(['agents', 'list', '--format', 'json'])) as { data: Listed };
  const versions = data.agents.find(({ agent }) => agent === 'kimi')!.versions;
  const usersOf = (container: string) => versions.filter(({ used_by: users }) => users.some((user) => user.container === container && user.running));
  expect(usersOf(early)).toMatchObject([{ version: OLD, next: false }]);
  expect(usersOf(late)).toMatchObject([{ next: true }]);
  expect(newer).toContain(usersOf(late)[0]!.version);
});

test('after a prewarm, a launch works although the registry is gone', async () => {
  const login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
  await world.config('');
  await world.serve({ logins: [login] });
  expect(await succeed(['prewarm'])).toMatch(/^agent-smith: \S+, kimi \d+\.\d+\.\d+: ready\n$/);
  const { code, stdout, stderr } = await world.prompt('hello', NO_REGISTRY);
  expect([code, stdout.trim()]).toEqual([0, '• fake kimi heard: hello']);
  expect(stderr).not.toContain('registry');
});
