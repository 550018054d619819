/** A role's hooks, on the real engine: in their order before the real agent, and a failing one stops the launch. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { leftoversOf, makeWorld, writeLogin, type World } from './world.ts';

let world: World;
let role: string;

beforeEach(async () => {
  world = await makeWorld('hooks');
  role = path.join(world.sandbox.dirs.temp, 'hooked');
  await mkdir(path.join(role, 'hooks'), { recursive: true });
  const manifest = [
    'version = "v1alpha6"',
    'dockerfile = "Dockerfile"',
    'agents = ["kimi"]',
    '[kimi]',
    '[hooks]',
    'setup_once = "hooks/once.sh"',
    'source = "hooks/env.sh"',
    'preflight = "hooks/check.sh"',
    '',
  ];
  await writeFile(path.join(role, 'jackin.role.toml'), manifest.join('\n'));
  await writeFile(path.join(role, 'Dockerfile'), 'FROM projectjackin/construct:trixie\n');
  await writeFile(path.join(role, 'hooks/once.sh'), 'echo once >> "$JACKIN_WORKDIR/order"\n');
  await writeFile(path.join(role, 'hooks/env.sh'), 'export FROM_HOOK="a value" PATH="$PATH:/opt/hooked"; echo source >> order; exit 0\n');
  await writeFile(path.join(role, 'hooks/check.sh'), '#!/bin/bash\necho "preflight $FROM_HOOK" >> "$JACKIN_WORKDIR/order"\n');
});

afterEach(async () => {
  await world.remove();
});

const load = (words: string[], env?: Record<string, string>) =>
  world.jackin(['load', role, world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network, '--no-input', ...words], env);

test('run before the agent, in their order, and are announced', async () => {
  const login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
  await world.config('');
  await world.serve({ logins: [login] });
  const { code, stdout, stderr } = await load(['--prompt', 'hello']);

  expect(stderr).toContain('hooks      setup_once, source, preflight of the role run first');
  expect(stderr).toMatch(/running setup_once[\s\S]*running source[\s\S]*running preflight/);
  expect(stdout).toContain('fake kimi heard: hello');
  expect(code).toBe(0);
  expect(await readFile(path.join(world.sandbox.dirs.project, 'order'), 'utf8')).toBe('once\nsource\npreflight a value\n');
});

test('one that fails stops the launch with its output, without the values of the operator, and nothing is left', async () => {
  const canary = 'not-a-real-secret-canary';
  await world.config('[env]\nKIMI_DISABLE_TELEMETRY = "1"\nMY_TOKEN = "$MY_TOKEN"\n');
  await writeFile(path.join(role, 'hooks/once.sh'), 'echo "looking for $MY_TOKEN"\nseq 1 30\necho this is why\nexit 3\n');

  const { code, stdout, stderr } = await load(['--prompt', 'hello'], { MY_TOKEN: canary });

  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/the role's hook setup_once ended with exit code 3\n {2}\| … 12 lines before\n {2}\| 12\n[\s\S]* {2}\| this is why\n/);
  expect(stderr).not.toContain(canary);
  expect(await leftoversOf(world)).toEqual({ containers: [], networks: [], volumes: [], data: [] });
});
