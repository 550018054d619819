import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agentPackages, type AgentVolumeOptions, ensureAgentVolume, ensurePackageVolume, newestAgentVolume, newestFirst } from '../../../src/docker/agent-volumes.ts';
import { currentOwner } from '../../../src/shared/owner.ts';
import { fakeEngine, type FakeEngine } from '../../fakes/engine.ts';
import { kimiPackages, startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

const IMAGE = 'fake/construct';
let cache: string;
let engine: FakeEngine;
let registry: FakeNpmRegistry | undefined;

beforeEach(async () => {
  cache = await mkdtemp(path.join(tmpdir(), 'jackin-cache-'));
  engine = fakeEngine({ images: [IMAGE] });
});
afterEach(async () => {
  await registry?.close();
  await rm(cache, { recursive: true });
});

const serve = async (packages: FakePackage[]): Promise<void> => {
  await registry?.close();
  registry = await startNpmRegistry(packages);
};
const options = (more: Partial<AgentVolumeOptions> = {}): AgentVolumeOptions => ({ agent: 'kimi', image: IMAGE, cache, owner: currentOwner(), env: registry?.env ?? {}, ...more });
const ensure = async (more: Partial<AgentVolumeOptions> = {}) => await ensureAgentVolume(engine, options(more), {});
const packagesOf = async (name: string) => await agentPackages(engine, name, options(), {});
const downloads = (): string[] => registry!.requests.filter((request) => request.endsWith('.tgz'));

/** Releases that came later: a new version of the agent, and of something that it needs. */
const later = (): FakePackage[] => [...kimiPackages('2.1.0'), { name: 'ws', version: '8.21.0', files: { 'index.js': 'newer' } }, { ...kimiPackages('2.2.0')[0]! }];

describe('what a volume is made of', () => {
  test('is told by its label, and by its marker where it has none', async () => {
    await serve(kimiPackages('2.1.0'));
    const { name } = await ensure();
    const packages = await packagesOf(name);
    expect(packages.map((one) => `${one.name}@${one.version}`)).toEqual(['@moonshot-ai/kimi-code@2.1.0', 'pngjs@5.0.0', 'qrcode@1.5.4', 'ws@8.20.0']);
    for (const { integrity } of packages) expect(integrity).toMatch(/^sha512-/);
    const unlabelled = { ...engine, volume: async (volume: string) => ({ ...(await engine.volume(volume))!, labels: {} }) };
    expect(await agentPackages(unlabelled, name, options(), {})).toEqual(packages);
    expect(engine.containers()).toEqual([]);
  });

  test('is an error where nobody can tell', async () => {
    await serve(kimiPackages('2.1.0'));
    const { name } = await ensure();
    await expect(packagesOf('jackin-agent-gone')).rejects.toThrow('jackin-agent-gone does not tell what it is made of');
    engine.volumeFiles(name).set('.jackin-complete', { content: Buffer.from('{'), mode: 0o644 });
    const unlabelled = { ...engine, volume: async (volume: string) => ({ ...(await engine.volume(volume))!, labels: {} }) };
    await expect(agentPackages(unlabelled, name, options(), {})).rejects.toThrow('does not tell');
  });
});

describe('an agent of which every package is pinned', () => {
  test('is the same wherever it is downloaded, whatever came out since', async () => {
    await serve(kimiPackages('2.1.0'));
    const first = await ensure();
    const expected = await packagesOf(first.name);
    await engine.removeVolume(first.name);
    await serve(later());
    expect(await ensure({ expected: [...expected].reverse() })).toEqual(first);
    expect(await packagesOf(first.name)).toEqual(expected);
    expect(downloads()).toHaveLength(4);
  });

  test('is taken from the cache, without a word to the registry, although a newer one is there', async () => {
    await serve(kimiPackages('2.1.0'));
    const first = await ensure();
    const expected = await packagesOf(first.name);
    await serve(later());
    const newer = await newestAgentVolume(engine, options(), {});
    expect(newer).toMatchObject({ version: '2.2.0', filled: true });
    await serve([]);
    expect(await ensure({ expected })).toEqual({ ...first, filled: false });
    expect(await ensure()).toEqual({ ...newer, filled: false });
    expect(registry?.requests).toEqual([]);
  });

  test('with another content in the registry is refused, before anything is made', async () => {
    await serve(kimiPackages('2.1.0'));
    const first = await ensure();
    const expected = await packagesOf(first.name);
    await engine.removeVolume(first.name);
    await serve(kimiPackages('2.1.0').map((one) => (one.version === '8.20.0' ? { ...one, files: { 'index.js': 'evil' } } : one)));
    await expect(ensure({ expected })).rejects.toMatchObject({ code: 'conflict', message: 'ws@8.20.0: the npm registry has another content than the one that is pinned' });
    expect(await engine.listVolumes({})).toEqual([]);
    expect(downloads()).toEqual([]);
  });

  test('with another content in the cache is refused', async () => {
    await serve(kimiPackages('2.1.0'));
    const first = await ensure();
    const expected = (await packagesOf(first.name)).map((one) => (one.name === 'ws' ? { ...one, integrity: 'sha512-b3RoZXI=' } : one));
    await expect(ensure({ expected })).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(`the cached volume ${first.name} has another content`) });
  });

  test.each([[[]], [[{ name: 'ws', version: '8.20.0', integrity: 'sha512-x' }]]])('that is not named among them is refused', async (expected) => {
    await serve(kimiPackages('2.1.0'));
    await expect(ensure({ expected })).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('@moonshot-ai/kimi-code') });
  });

  test('as a program goes by its version without the platform', async () => {
    const recipe = { name: 'tool', omit: [], drop: [], platform: { x64: 'tool-linux-x64', arm64: 'tool-linux-arm64' } };
    await serve([
      { name: 'tool', version: '1.0.0-linux-x64', files: { tool: 'program' } },
      { name: 'tool', version: '1.0.0', optionalDependencies: { 'tool-linux-x64': 'npm:tool@1.0.0-linux-x64' } },
    ]);
    const full = { ...options({ cpuInfo: '/nonexistent' }), agent: 'codex' as const, recipe, program: 'tool' };
    const first = await ensurePackageVolume(engine, full, {});
    const expected = await packagesOf(first.name);
    expect(expected).toMatchObject([{ name: 'tool', version: '1.0.0-linux-x64' }]);
    await engine.removeVolume(first.name);
    expect(await ensurePackageVolume(engine, { ...full, expected }, {})).toEqual(first);
  });
});

test('the newest that the registry has is looked for although something is cached, and downloaded once', async () => {
  await serve(kimiPackages('2.1.0'));
  const first = await ensure();
  expect(await newestAgentVolume(engine, options(), {})).toEqual({ ...first, filled: false });
  await serve(kimiPackages('2.2.0'));
  const next = await newestAgentVolume(engine, options(), {});
  expect(next).toMatchObject({ version: '2.2.0', filled: true });
  expect(await newestAgentVolume(engine, options(), {})).toEqual({ ...next, filled: false });
  expect(downloads()).toHaveLength(4);
});

test.each([
  [['2.9.0', '2.10.0', '2.1.0'], ['2.10.0', '2.9.0', '2.1.0']],
  [['2.9.0', '3.0.0-rc.1', '10.0.0', 'nonsense'], ['10.0.0', '3.0.0-rc.1', '2.9.0', 'nonsense']],
  [['0.0.1790142911-g7618fb', '0.0.1790712063-g11'], ['0.0.1790712063-g11', '0.0.1790142911-g7618fb']],
])('of %j the newest is the first of %j', async (versions, sorted) => {
  const volumes = versions.map((version) => ({ name: version, labels: { 'jackin.agent.version': version }, createdAt: '' }));
  expect((await newestFirst(volumes)).map(({ name }) => name)).toEqual(sorted);
});

test('a download tells how far it is', async () => {
  await serve(kimiPackages('2.1.0'));
  const told: [string, number | undefined, number | undefined][] = [];
  await ensureAgentVolume(engine, options(), { onLine: (line, bytes) => void told.push([line, bytes?.done, bytes?.total]) });
  const [line, done, total] = told.filter(([text]) => text === 'downloading ws@8.20.0').at(-1)!;
  expect([line, done]).toEqual(['downloading ws@8.20.0', total]);
  expect(total).toBeGreaterThan(0);
});
