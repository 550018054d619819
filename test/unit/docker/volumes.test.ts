import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS } from '../../../src/agents/agents.ts';
import { agentChecks } from '../../../src/docker/agent-checks.ts';
import { ensureAgentVolume, ensurePackageVolume, type AgentVolumeOptions, type PackageVolumeOptions } from '../../../src/docker/agent-volumes.ts';
import { directoryKey, keyOf } from '../../../src/docker/content-key.ts';
import { ensureRuntimeVolume, runtimeVolumeName } from '../../../src/docker/runtime-volume.ts';
import { volumeMemory } from '../../../src/docker/volume-memory.ts';
import { currentOwner } from '../../../src/shared/owner.ts';
import { fakeEngine, type FakeEngine } from '../../fakes/engine.ts';
import { kimiPackages, startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

const MEBIBYTE = 1024 * 1024;
const IMAGE = 'fake/construct';
let cache: string;
let engine: FakeEngine;
let registry: FakeNpmRegistry;

beforeEach(async () => {
  cache = await mkdtemp(path.join(tmpdir(), 'jackin-cache-'));
  engine = fakeEngine({ images: [IMAGE] });
  registry = await startNpmRegistry(kimiPackages('2.1.0'));
});
afterEach(async () => {
  await registry.close();
  await rm(cache, { recursive: true });
});

const options = (more: Partial<AgentVolumeOptions> = {}): AgentVolumeOptions => ({ agent: 'kimi', image: IMAGE, cache, owner: currentOwner(), env: registry.env, ...more });

const release = async (version: string): Promise<void> => {
  await registry.close();
  registry = await startNpmRegistry(kimiPackages(version));
};

describe('the volume of an agent', () => {
  test('a warm launch asks the network for nothing and the engine once', async () => {
    const first = await ensureAgentVolume(engine, options(), {});
    expect(first).toMatchObject({ version: '2.1.0', filled: true });
    await release('2.2.0');
    engine.calls.length = 0;
    let listed = 0;
    const counted = { ...engine, listVolumes: async (labels: Record<string, string>) => ((listed += 1), await engine.listVolumes(labels)) };
    expect(await ensureAgentVolume(counted, options(), {})).toEqual({ ...first, filled: false });
    expect([registry.requests, engine.calls, listed]).toEqual([[], [], 1]);
  });

  test('a pin that is not cached is downloaded; afterwards the newest that is cached is used', async () => {
    await ensureAgentVolume(engine, options(), {});
    await release('2.10.0');
    expect(await ensureAgentVolume(engine, options({ version: '2.10.0' }), {})).toMatchObject({ version: '2.10.0', filled: true });
    await release('2.9.0');
    expect(await ensureAgentVolume(engine, options({ version: '2.9.0' }), {})).toMatchObject({ version: '2.9.0', filled: true });
    expect(await ensureAgentVolume(engine, options(), {})).toMatchObject({ version: '2.10.0', filled: false });
    expect(await ensureAgentVolume(engine, options({ version: '2.1.0' }), {})).toMatchObject({ version: '2.1.0', filled: false });
  });

  test('a volume without marker is never used, whatever its labels say', async () => {
    const { name } = await ensureAgentVolume(engine, options(), {});
    engine.volumeFiles(name).delete('.jackin-complete');
    engine.volumeFiles(name).set('planted.mjs', { content: Buffer.from('x'), mode: 0o644 });
    const again = await ensureAgentVolume(engine, options({ cache: path.join(cache, 'forgot') }), {});
    expect(again).toMatchObject({ name, filled: true });
    expect(engine.volumeFiles(name).has('planted.mjs')).toBe(false);
  });

  test('a volume that was made anew under its name is not taken for the old one', async () => {
    const { name } = await ensureAgentVolume(engine, options(), {});
    const labels = (await engine.volume(name))?.labels ?? {};
    await engine.removeVolume(name);
    await engine.createVolume(name, labels);
    expect(await ensureAgentVolume(engine, options(), {})).toMatchObject({ name, filled: true });
  });

  test('launches that need it at once fill it once, and the others say what they wait for', async () => {
    const lines: string[] = [];
    const results = await Promise.all([1, 2, 3].map(async () => await ensureAgentVolume(engine, options(), { onLine: (line) => lines.push(line) })));
    expect(results.filter(({ filled }) => filled)).toHaveLength(1);
    expect(registry.requests.filter((request) => request.endsWith('2.1.0.tgz'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes(`(process ${process.pid}) fills`))).toHaveLength(2);
    expect(engine.containers()).toEqual([]);
  });

  test('the engine failing in the middle is the error, and nothing is left', async () => {
    const broken = { ...engine, putArchive: async () => await Promise.reject(new Error('disk broke')) };
    await expect(ensureAgentVolume(broken, options(), {})).rejects.toThrow('disk broke');
    expect(await engine.listVolumes({})).toEqual([]);
    expect(engine.containers()).toEqual([]);
  });

  test('no registry and nothing cached: an error that helps; with something cached: no difference', async () => {
    const offline = { HOME: '/nonexistent', npm_config_registry: 'http://127.0.0.1:1' };
    await expect(ensureAgentVolume(engine, options({ env: offline }), {})).rejects.toMatchObject({ code: 'download.failed', hint: expect.stringContaining('network') });
    await ensureAgentVolume(engine, options(), {});
    expect(await ensureAgentVolume(engine, options({ env: offline }), {})).toMatchObject({ filled: false });
  });

  test.each(AGENT_SLUGS)('the program that starts %s is in its volume', (agent) => {
    const { command } = AGENTS[agent].runtime;
    expect(command.some((part) => part.startsWith(`/jackin/agents/${agent}/`))).toBe(true);
  });
});

describe('the volume of an agent that is a program', () => {
  const recipe = { name: 'tool', omit: [], drop: ['share/'], platform: { x64: 'tool-linux-x64', arm64: 'tool-linux-arm64', x64Baseline: 'tool-linux-x64-baseline', strip: 'vendor/*' } };
  const entries = [
    { name: 'package/package.json', content: '{}' },
    { name: 'package/vendor/x86_64/bin/tool', content: 'program', mode: 0o755 },
    { name: 'package/vendor/x86_64/etc/settings', content: 'settings' },
    { name: 'package/vendor/x86_64/share/songs', content: 'songs' },
    { name: 'package/vendor/x86_64/.jackin-complete', content: 'I am whole' },
  ];
  const noise = [{ name: 'package/vendor/x86_64/bin/tool', content: randomBytes(4 * MEBIBYTE) }];
  const build = (version: string, more: Partial<FakePackage> = {}): FakePackage => ({ name: 'tool-linux-x64', version, entries, ...more });
  const tool = (version: string, named: string = version): FakePackage => ({
    name: 'tool',
    version,
    files: { 'launcher.js': 'no part of the volume' },
    dependencies: { ws: '1.x' },
    optionalDependencies: { 'tool-linux-x64': named, 'tool-linux-x64-baseline': named },
  });
  const serve = async (...packages: FakePackage[]): Promise<void> => {
    await registry.close();
    registry = await startNpmRegistry(packages);
  };
  const ensure = async (more: Partial<PackageVolumeOptions> = {}, signal?: AbortSignal) =>
    await ensurePackageVolume(engine, { ...options(), agent: 'codex', recipe, program: 'bin/tool', cpuInfo: '/nonexistent', ...more }, signal === undefined ? {} : { signal });
  const nothingIsLeft = async (): Promise<void> => {
    expect(await engine.listVolumes({})).toEqual([]);
    expect(engine.containers()).toEqual([]);
  };

  test('holds the files of its build, below its root, programs executable, and nothing else', async () => {
    await serve(build('1.0.0'), tool('1.0.0'));
    const volume = await ensure();
    expect(volume).toMatchObject({ version: '1.0.0', filled: true, name: expect.stringMatching(/^jackin-agent-codex-1\.0\.0-x64-[0-9a-f]{12}$/) });
    const files = engine.volumeFiles(volume.name);
    expect([...files].map(([name, { mode }]) => `${name} ${mode.toString(8)}`).sort()).toEqual(['.jackin-complete 644', 'bin/tool 755', 'etc/settings 644']);
    expect(files.get('.jackin-complete')?.content.toString()).toContain('"version":"1.0.0"');
    expect(registry.requests.filter((request) => request.endsWith('.tgz'))).toEqual(['/tool-linux-x64/-/1.0.0.tgz']);
    expect(await ensure({ env: {} })).toEqual({ ...volume, filled: false });
  });

  test('is found again under what runs and under the release that it was pinned as', async () => {
    await serve(build('3.1.0'), tool('1.0.0', '^3.0.0'));
    const volume = await ensure({ version: '1.0.0' });
    expect(volume).toMatchObject({ version: '3.1.0', filled: true });
    await serve();
    for (const version of ['1.0.0', '3.1.0', undefined]) expect(await ensure({ version })).toEqual({ ...volume, filled: false });
    expect(registry.requests).toEqual([]);
  });

  test('an alias goes by the version without its suffix, pinned or not', async () => {
    await serve(build('0.169.0-linux-x64', { name: 'tool' }), tool('0.169.0', 'npm:tool@0.169.0-linux-x64'));
    const volume = await ensure({ version: '0.169.0' });
    expect(volume).toMatchObject({ version: '0.169.0', name: expect.stringContaining('-codex-0.169.0-x64-') });
    expect(await ensure({ version: '0.169.0', env: {} })).toEqual({ ...volume, filled: false });
    expect(await ensure({ env: {} })).toEqual({ ...volume, filled: false });
  });

  test('an old processor gets a volume of its own', async () => {
    await serve(build('1.0.0'), build('1.0.0', { name: 'tool-linux-x64-baseline' }), tool('1.0.0'));
    const cpuInfo = path.join(cache, 'cpuinfo');
    await writeFile(cpuInfo, 'flags\t: fpu sse2\n');
    const usual = await ensure();
    const baseline = await ensure({ cpuInfo });
    expect(baseline).toMatchObject({ version: '1.0.0', filled: true });
    expect(registry.requests.at(-1)).toBe('/tool-linux-x64-baseline/-/1.0.0.tgz');
    expect([await ensure(), await ensure({ cpuInfo })]).toEqual([{ ...usual, filled: false }, { ...baseline, filled: false }]);
  });

  test('a pinned release without a build is refused before anything is made', async () => {
    await serve(build('1.0.0'), tool('1.0.0'), tool('1.1.0'));
    await expect(ensure({ version: '1.1.0' })).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('tool@1.1.0') });
    expect(engine.calls).toEqual([]);
    expect(await ensure()).toMatchObject({ version: '1.0.0' });
  });

  test.each<[string, Partial<FakePackage>, string]>([
    ['a wrong digest', { integrity: `sha512-${Buffer.alloc(64).toString('base64')}` }, 'SHA-512'],
    ['a tarball that ends in the middle of a file', { entries: noise, corrupt: (good) => good.subarray(0, good.length / 2) }, 'Nothing of it is used'],
    ['a hard link', { entries: [...entries, { name: 'package/vendor/x86_64/bin/other', type: 'link', linkname: 'package/vendor/x86_64/bin/tool' }] }, 'is a link'],
    ['a package without the program', { entries: entries.filter(({ name }) => !name.endsWith('bin/tool')) }, 'tool-linux-x64@1.0.0 has no bin/tool'],
  ])('%s is refused and leaves nothing', async (_what, more, why) => {
    await serve(build('1.0.0', more), tool('1.0.0'));
    await expect(ensure()).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining(why) });
    await nothingIsLeft();
  });

  test.each([['a package', 100], ['a file', 2 * MEBIBYTE]])('an interruption in the middle of %s leaves nothing', async (_what, stallAfter) => {
    await serve(build('1.0.0', { entries: noise, stallAfter }), tool('1.0.0'));
    const abort = new AbortController();
    const filling = ensure({}, abort.signal).catch((error: unknown) => error);
    await expect.poll(() => registry.requests.at(-1)).toContain('.tgz');
    expect(engine.containers()).not.toEqual([]);
    // Long enough for what comes of the file to be on its way to the engine.
    await delay(200);
    abort.abort();
    expect(await filling).toMatchObject({ code: 'interrupted' });
    await nothingIsLeft();
  });
});

test('a capsule without the terminal module of the engine\'s architecture is refused before anything is made', async () => {
  await writeFile(path.join(cache, 'capsule.mjs'), 'x');
  await writeFile(path.join(cache, 'pty-arm64.node'), 'x');
  await expect(ensureRuntimeVolume(engine, { ...options(), capsuleDir: cache }, {})).rejects.toThrow('pty-x64.node');
  expect(engine.calls).toEqual([]);
});

test('a runtime volume from before, whose Node every session can read, is not used again', async () => {
  await writeFile(path.join(cache, 'capsule.mjs'), 'x');
  await writeFile(path.join(cache, 'pty-x64.node'), 'x');
  const before = `jackin-runtime-${keyOf('1', '24', await directoryKey(cache))}-x64`;
  const name = await runtimeVolumeName(engine, cache);
  expect(name).toMatch(/^jackin-runtime-[0-9a-f]{12}-x64$/);
  expect(name).not.toBe(before);
});

describe('what this host remembers of volumes', () => {
  const volume = { name: 'v', labels: {}, createdAt: '2026-01-01T00:00:00Z' };

  test('is private, bounded, and worth nothing when broken', async () => {
    const memory = volumeMemory(cache);
    expect(await memory.knows(volume)).toBe(false);
    await memory.remember(volume);
    expect(await memory.knows(volume)).toBe(true);
    expect(await memory.knows({ ...volume, createdAt: '2026-01-02T00:00:00Z' })).toBe(false);
    const file = path.join(cache, 'complete-volumes.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    for (let index = 0; index < 201; index += 1) await memory.remember({ ...volume, name: `v${index}` });
    expect(Object.keys(JSON.parse(await readFile(file, 'utf8')) as object)).toHaveLength(200);
    expect(await memory.knows(volume)).toBe(false);
    await writeFile(file, '{');
    expect(await memory.knows({ ...volume, name: 'v200' })).toBe(false);
  });

  test('is written by many at once without an error, and stays whole', async () => {
    const volumes = Array.from({ length: 20 }, (_, index) => ({ ...volume, name: `v${index}` }));
    await Promise.all(volumes.map(async (one) => await volumeMemory(cache).remember(one)));
    expect(await Promise.all(volumes.map(async (one) => await volumeMemory(cache).knows(one)))).toContain(true);
    expect(await readdir(cache)).toEqual(['complete-volumes.json']);
  });

  test('may be lost: where it cannot be written, nothing fails', async () => {
    const file = path.join(cache, 'file');
    await writeFile(file, '');
    const memory = volumeMemory(path.join(file, 'cache'));
    await memory.remember(volume);
    expect(await memory.knows(volume)).toBe(false);
    const checks = agentChecks(path.join(file, 'cache'));
    await checks.note('kimi', new Date(0));
    expect(await checks.at('kimi')).toBeUndefined();
  });

  test('says no to a volume whose time the engine does not tell', async () => {
    const memory = volumeMemory(cache);
    await memory.remember({ ...volume, createdAt: '' });
    expect(await memory.knows({ ...volume, createdAt: '' })).toBe(false);
  });
});
