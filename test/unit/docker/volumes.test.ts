import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureAgentVolume, ensureRuntimeVolume, type AgentVolumeOptions } from '../../../src/docker/volumes.ts';
import { volumeMemory } from '../../../src/docker/volume-memory.ts';
import { currentOwner } from '../../../src/shared/owner.ts';
import { fakeEngine, type FakeEngine } from '../../fakes/engine.ts';
import { kimiPackages, startNpmRegistry, type FakeNpmRegistry } from '../../fakes/npm-registry.ts';

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

  test('an agent that cannot be installed yet is said by name', async () => {
    await expect(ensureAgentVolume(engine, options({ agent: 'codex' }), {})).rejects.toThrow('cannot install Codex');
  });
});

test('a capsule without the terminal module of the engine\'s architecture is refused before anything is made', async () => {
  await writeFile(path.join(cache, 'capsule.mjs'), 'x');
  await writeFile(path.join(cache, 'pty-arm64.node'), 'x');
  await expect(ensureRuntimeVolume(engine, { ...options(), capsuleDir: cache }, {})).rejects.toThrow('pty-x64.node');
  expect(engine.calls).toEqual([]);
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

  test('says no to a volume whose time the engine does not tell', async () => {
    const memory = volumeMemory(cache);
    await memory.remember({ ...volume, createdAt: '' });
    expect(await memory.knows({ ...volume, createdAt: '' })).toBe(false);
  });
});
