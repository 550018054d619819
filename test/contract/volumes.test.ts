import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/docker/engine.ts';
import { copyAgentInto } from '../../src/docker/copy-agent.ts';
import { volumeMemory } from '../../src/docker/volume-memory.ts';
import { ensureAgentVolume, ensurePackageVolume, type AgentVolumeOptions } from '../../src/docker/agent-volumes.ts';
import { ensureRuntimeVolume } from '../../src/docker/runtime-volume.ts';
import { currentOwner } from '../../src/shared/owner.ts';
import { collect } from '../fakes/collect.ts';
import { kimiPackages, startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../fakes/npm-registry.ts';
import { containerSpec, packageRoot, realConstruct, realEngine, testScope } from './support.ts';

const run = promisify(execFile);
const bundle = path.join(packageRoot, 'node_modules', '.cache', `jackin-fill-${process.pid}.mjs`);

describe('volumes on the real engine', () => {
  const scope = testScope();
  let engine: Engine;
  let image: string;
  let registry: FakeNpmRegistry | undefined;
  let version = '';
  let serial = 0;

  beforeAll(async () => {
    engine = await realEngine();
    image = (await realConstruct(engine)).reference;
    await build({ entryPoints: [path.join(packageRoot, 'test/fakes/fill-process.ts')], outfile: bundle, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
  }, 300_000);

  /** A registry with a version of Kimi that no other test and no launch uses. */
  const serve = async (change: (kimi: FakePackage) => FakePackage = (kimi) => kimi, fresh = true): Promise<AgentVolumeOptions> => {
    await registry?.close();
    if (fresh) version = `0.0.${process.pid}-test.${(serial += 1)}`;
    const [kimi, ...others] = kimiPackages(version);
    registry = await startNpmRegistry([change(kimi as FakePackage), ...others]);
    return { agent: 'kimi', version, image, cache: await scope.temporary(), owner: currentOwner(), env: registry.env };
  };

  const leftovers = async (): Promise<string[]> => {
    const volumes = await engine.listVolumes({ 'jackin.agent.version': version });
    const fills = await engine.listContainers({ 'jackin.kind': 'fill' });
    return [...volumes.map(({ name }) => name), ...fills.map(({ name }) => name).filter((name) => name.includes(version))];
  };

  afterEach(async () => {
    await registry?.close();
    registry = undefined;
    for (const fill of await engine.listContainers({ 'jackin.kind': 'fill' })) if (fill.name.includes(version)) await engine.removeContainer(fill.id);
    for (const volume of await engine.listVolumes({ 'jackin.agent.version': version })) await engine.removeVolume(volume.name);
  });
  afterAll(async () => {
    await scope.clean(engine);
    await rm(bundle, { force: true });
  });

  const inside = async (volume: string, script: string): Promise<string> => {
    const mounts = [{ kind: 'volume', source: volume, target: '/v', readonly: true } as const];
    const id = await engine.createContainer(containerSpec(`${scope.id}-look`, image, scope.labels, { mounts }));
    try {
      await engine.startContainer(id);
      const shell = await engine.exec(id, ['/bin/sh', '-c', script]);
      shell.stdin.end();
      shell.stderr.resume();
      return (await collect(shell.stdout)).toString();
    } finally {
      await engine.removeContainer(id);
    }
  };

  test('an agent joins a container that was made without it, whole or not at all', async () => {
    const options = await serve();
    const volume = await ensureAgentVolume(engine, options, {});
    const mounts = [{ kind: 'volume', source: volume.name, target: '/jackin/agents/mounted', readonly: true } as const];
    const container = await engine.createContainer(containerSpec(`${scope.id}-join`, image, scope.labels, { mounts }));
    await engine.startContainer(container);
    const shell = async (script: string): Promise<string> => {
      const { stdin, stdout, stderr } = await engine.exec(container, ['/bin/sh', '-c', script]);
      stdin.end();
      stderr.resume();
      return (await collect(stdout)).toString();
    };
    const copy = { volume: volume.name, image, owner: currentOwner(), memory: volumeMemory(options.cache), container, agent: 'kimi' };
    const broken = { ...engine, putArchive: async (id: string, place: string, tar: Readable) => (id === container ? Promise.reject(new Error('the disk is full')) : engine.putArchive(id, place, tar)) };
    await expect(copyAgentInto(broken, copy, {})).rejects.toThrow('the disk is full');
    expect(await shell('ls -a /jackin/agents')).not.toContain('kimi');
    await copyAgentInto(engine, copy, {});
    const list = (place: string) => `cd /jackin/agents/${place} && find . -type f | sort | xargs sha256sum; find . -type f -perm /111 | sort`;
    expect(await shell(list('kimi'))).toBe(await shell(list('mounted')));
    expect(await shell(list('kimi'))).toContain('./.jackin-complete');
    expect(await shell('cd /jackin/agents/kimi; touch x 2>&1; find . -writable')).toMatch(/Permission denied\n$/);
    expect(await leftovers()).toEqual([volume.name]);
    await engine.removeContainer(container);
  });

  test('an agent volume holds the package and what it needs, readable by any uid, and is filled once', async () => {
    const options = await serve();
    const first = await ensureAgentVolume(engine, options, {});
    expect(first).toMatchObject({ version, filled: true, name: expect.stringMatching(/^jackin-agent-kimi-0\.0\..*-(x64|arm64)-[0-9a-f]{12}$/) });
    const files = (await inside(first.name, 'cd /v && find . -type f -readable | sort')).split('\n').filter(Boolean);
    expect(files).toEqual([
      './.jackin-complete',
      './node_modules/@moonshot-ai/kimi-code/dist/main.mjs',
      './node_modules/@moonshot-ai/kimi-code/package.json',
      './node_modules/pngjs/index.js',
      './node_modules/qrcode/index.js',
      './node_modules/ws/index.js',
    ]);
    expect(await inside(first.name, 'cat /v/node_modules/ws/index.js')).toBe('ws');
    expect(await engine.volume(first.name)).toMatchObject({ labels: { 'jackin.managed': 'true', 'jackin.agent': 'kimi' } });

    await registry?.close();
    const asked = registry?.requests.length;
    expect(await ensureAgentVolume(engine, options, {})).toEqual({ ...first, filled: false });
    // Also when this host has forgotten what it knew: the volume's own marker tells.
    expect(await ensureAgentVolume(engine, { ...options, cache: await scope.temporary() }, {})).toEqual({ ...first, filled: false });
    expect(registry?.requests.length).toBe(asked);
    expect(await leftovers()).toEqual([first.name]);
  });

  test('the volume of an agent that is a program holds its build, which any uid can run', async () => {
    const options = await serve();
    const platform = { x64: 'tool-linux', arm64: 'tool-linux', strip: 'vendor/*' };
    const program = { name: 'package/vendor/some-cpu/bin/tool', content: '#!/bin/sh\necho "$(id -u) runs $0"\n', mode: 0o755 };
    await registry?.close();
    registry = await startNpmRegistry([
      { name: 'tool', version: `${version}-some-cpu`, entries: [program, { name: 'package/package.json', content: '{}' }] },
      { name: 'tool', version, optionalDependencies: { 'tool-linux': `npm:tool@${version}-some-cpu` } },
    ]);
    const recipe = { name: 'tool', omit: [], drop: [], platform };
    const volume = await ensurePackageVolume(engine, { ...options, env: registry.env, agent: 'codex', recipe, program: 'bin/tool' }, {});
    expect(volume).toMatchObject({ version, filled: true });
    expect((await inside(volume.name, 'cd /v && find . -type f | sort && bin/tool')).split('\n').filter(Boolean)).toEqual(['./.jackin-complete', './bin/tool', expect.stringMatching(/^\d+ runs bin\/tool$/)]);
    expect(await leftovers()).toEqual([volume.name]);
  });

  test('two processes that need the same volume fill it once', async () => {
    const options = await serve();
    const argument = JSON.stringify({ version, image, cache: options.cache, env: options.env });
    const results = await Promise.all([1, 2, 3].map(async () => await run(process.execPath, [bundle, argument])));
    const filled = results.map(({ stdout }) => (JSON.parse(stdout) as { filled: boolean }).filled);
    expect(filled.filter(Boolean)).toHaveLength(1);
    expect(registry?.requests.filter((request) => request.endsWith(`/${version}.tgz`))).toHaveLength(1);
    expect(await leftovers()).toHaveLength(1);
  });

  test('what a killed process left half-filled is filled again by the next', async () => {
    const options = await serve((kimi) => ({ ...kimi, stallAfter: 100 }));
    const child = spawn(process.execPath, [bundle, JSON.stringify({ version, image, cache: options.cache, env: options.env })]);
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await expect.poll(() => said, { timeout: 20_000 }).toContain('downloading @moonshot-ai/kimi-code');
    await expect.poll(async () => (await leftovers()).length, { timeout: 20_000 }).toBe(3);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await leftovers()).toHaveLength(3);

    const result = await ensureAgentVolume(engine, await serve((kimi) => kimi, false), {});
    expect(result).toMatchObject({ version, filled: true });
    expect(await leftovers()).toEqual([result.name]);
    expect(await inside(result.name, 'ls /v/.jackin-complete')).toContain('.jackin-complete');
  });

  test.each([['a package', 100], ['a file', 2 * 1024 * 1024]])('an interruption in the middle of %s leaves nothing', async (_what, stallAfter) => {
    const noise = [{ name: 'package/dist/main.mjs', content: randomBytes(4 * 1024 * 1024) }];
    const options = await serve((kimi) => ({ ...kimi, entries: noise, stallAfter }));
    const abort = new AbortController();
    const filling = ensureAgentVolume(engine, options, { signal: abort.signal });
    const ended = filling.catch((error: unknown) => error);
    await expect.poll(async () => (await leftovers()).length, { timeout: 20_000 }).toBe(3);
    // Long enough for what comes of the file to be on its way to the engine.
    await delay(200);
    abort.abort();
    expect(await ended).toMatchObject({ code: 'interrupted' });
    expect(await leftovers()).toEqual([]);
  });

  const evil = (name: string, more: object = {}): Partial<FakePackage> => ({ entries: [{ name: 'package/dist/main.mjs', content: 'x' }, { name, ...more }] });
  test.each<[string, Partial<FakePackage>, string]>([
    ['a wrong digest', { integrity: `sha512-${Buffer.alloc(64).toString('base64')}` }, 'SHA-512'],
    ['a changed byte', { corrupt: (good) => Buffer.concat([good.subarray(0, -1), Buffer.from([255])]) }, 'Nothing of it is used'],
    ['a truncated tarball', { corrupt: (good) => good.subarray(0, good.length / 2) }, 'Nothing of it is used'],
    ['a path that climbs out', evil('package/../../../etc/passwd', { content: 'x' }), 'leaves the package'],
    ['an absolute path', evil('/etc/passwd', { content: 'x' }), 'leaves the package'],
    ['a link', evil('package/link', { type: 'symlink', linkname: '/etc/passwd' }), 'is a symlink'],
    ['a device', evil('package/device', { type: 'character-device' }), 'is a character-device'],
  ])('%s is refused and leaves nothing', async (_name, change, why) => {
    const options = await serve((kimi) => ({ ...kimi, ...change }));
    const filling = ensureAgentVolume(engine, options, {});
    await expect(filling).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining(why) });
    expect(await leftovers()).toEqual([]);
  });

  test('the runtime volume holds Node and the capsule for this architecture only', async () => {
    const { arch } = engine;
    const capsuleDir = await scope.temporary();
    await mkdir(path.join(capsuleDir, 'chunks'));
    for (const name of ['capsule.mjs', 'connect.mjs', 'pty-x64.node', 'pty-arm64.node', 'chunks/a.mjs']) await writeFile(path.join(capsuleDir, name), scope.id);
    const entries = [{ name: 'package/bin/node', content: 'node', mode: 0o755 }, { name: 'package/include/node.h', content: 'h' }];
    registry = await startNpmRegistry(['22.1.0', '24.9.0', '24.21.0', '26.0.0'].map((each) => ({ name: `node-linux-${arch}`, version: each, entries })));
    const options = { capsuleDir, image, cache: await scope.temporary(), owner: currentOwner(), env: registry.env };
    const volume = await ensureRuntimeVolume(engine, options, {});
    try {
      const files = (await inside(volume.name, 'cd /v && find . -type f | sort; stat -c %a bin/node capsule/capsule.mjs')).split('\n').filter(Boolean);
      expect(files).toEqual(['./.jackin-complete', './bin/node', './capsule/capsule.mjs', './capsule/chunks/a.mjs', './capsule/connect.mjs', `./capsule/pty-${arch}.node`, '111', '644']);
      expect(await inside(volume.name, 'cat /v/bin/node 2>&1')).toBe('cat: /v/bin/node: Permission denied\n');
      expect(registry.requests.at(-1)).toContain('24.21.0.tgz');
      expect(await ensureRuntimeVolume(engine, options, {})).toEqual({ ...volume, filled: false });
    } finally {
      await engine.removeVolume(volume.name);
    }
  });
});
