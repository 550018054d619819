import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { resolveClosure } from '../../../src/docker/closure.ts';
import { openRegistry, type Manifest, type Registry } from '../../../src/docker/registry.ts';
import { collect } from '../../fakes/collect.ts';
import { kimiPackages, startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

let fake: FakeNpmRegistry | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

const serve = async (packages: FakePackage[]): Promise<Registry> => {
  fake = await startNpmRegistry(packages);
  return await openRegistry(fake.env);
};

describe('the npm registry', () => {
  test('is the one that npm is configured for, by its user file too, but never by the current directory', async () => {
    fake = await startNpmRegistry(kimiPackages());
    const home = await mkdtemp(path.join(tmpdir(), 'jackin-npm-'));
    const before = process.cwd();
    try {
      await writeFile(path.join(home, '.npmrc'), `registry=${fake.env.npm_config_registry}\n`);
      const project = path.join(home, 'project');
      await mkdir(project);
      await writeFile(path.join(project, 'package.json'), '{}');
      await writeFile(path.join(project, '.npmrc'), 'registry=http://127.0.0.1:1\n@moonshot-ai:registry=http://127.0.0.1:1\n');
      process.chdir(project);
      const registry = await openRegistry({ HOME: home, PATH: '/usr/bin' });
      expect(await registry.resolvePackage('@moonshot-ai/kimi-code', 'latest')).toMatchObject({ version: '2.1.0' });
    } finally {
      process.chdir(before);
      await rm(home, { recursive: true });
    }
  });

  test('exact versions and tags ask for one manifest; ranges take the highest match', async () => {
    const registry = await serve(kimiPackages());
    expect((await registry.resolvePackage('ws', '8.1.0')).version).toBe('8.1.0');
    expect((await registry.resolvePackage('ws', 'latest')).version).toBe('9.0.0');
    expect((await registry.resolvePackage('ws', '^8.0.0')).version).toBe('8.20.0');
    expect(fake?.requests).toEqual(['/ws/8.1.0', '/ws/latest', '/ws']);
    await expect(registry.resolvePackage('ws', '^7.0.0')).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('ws@^7.0.0') });
    await expect(registry.resolvePackage('absent', 'latest')).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('does not have it') });
  });

  test.each(['../x', 'a/b/c', '.hidden', 'UPPER', ''])('refuses the name %j', async (name) => {
    const registry = await serve([]);
    await expect(registry.resolvePackage(name, 'latest')).rejects.toMatchObject({ code: 'download.failed' });
    expect(fake?.requests).toEqual([]);
  });

  test('counts the bytes, and hands them out as they are', async () => {
    const registry = await serve(kimiPackages());
    const manifest = await registry.resolvePackage('ws', '8.20.0');
    const seen: [number, number | undefined][] = [];
    const bytes = await collect(await registry.openTarball(manifest, { onBytes: (done, total) => seen.push([done, total]) }));
    expect(seen.at(-1)).toEqual([bytes.length, bytes.length]);
  });

  test('what is not there is an answer for who can do without it', async () => {
    const registry = await serve([{ name: 'a', version: '1.0.0' }]);
    expect(await registry.findPackage('a', '1.0.0')).toMatchObject({ version: '1.0.0' });
    expect(await Promise.all([registry.findPackage('a', '2.0.0'), registry.findPackage('a', '2.x'), registry.findPackage('b', 'latest')])).toEqual([undefined, undefined, undefined]);
    expect([...(await registry.listVersions('a')).keys()]).toEqual(['1.0.0']);
    expect((await registry.listVersions('b')).size).toBe(0);
  });

  test('one version that makes no sense does not hide the others', async () => {
    const registry = await serve([{ name: 'a', version: '1.0.0' }, { name: 'a', version: '../1.1.0' }, { name: 'a', version: '1.2.0' }]);
    expect([...(await registry.listVersions('a')).keys()]).toEqual(['1.0.0', '1.2.0']);
  });

  describe('a tarball that is too big for one piece', () => {
    // Noise, which no compression makes small.
    const content = randomBytes(17 * 1024 * 1024);
    const big = (more: Partial<FakePackage> = {}): FakePackage => ({ name: 'big', version: '1.0.0', entries: [{ name: 'package/noise', content }], ...more });
    const isBig = (request: string): boolean => request.endsWith('.tgz');

    test.each([['asked for in pieces', {}, 2], ['taken as a whole where the registry knows no pieces', { noRanges: true } as const, 1]])('is %s', async (_how, more, requests) => {
      const registry = await serve([big(more)]);
      const seen: [number, number | undefined][] = [];
      const manifest = await registry.resolvePackage('big', 'latest');
      const bytes = await collect(await registry.openTarball(manifest, { onBytes: (done, total) => seen.push([done, total]) }));
      expect(bytes.length).toBeGreaterThan(content.length);
      expect(new Set(seen.map(([, total]) => total))).toEqual(new Set([bytes.length]));
      expect(seen.at(-1)?.[0]).toBe(bytes.length);
      expect(fake?.requests.filter(isBig)).toHaveLength(requests);
    });

    test('is refused when its last piece is not right', async () => {
      const registry = await serve([big({ corrupt: (good) => Buffer.concat([good.subarray(0, -1), Buffer.from([good.at(-1) === 0 ? 1 : 0])]) })]);
      await expect(collect(await registry.openTarball(await registry.resolvePackage('big', 'latest'), {}))).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('SHA-512') });
    });
  });

  test('a digest that is not a SHA-512 is not enough', async () => {
    const registry = await serve([{ name: 'weak', version: '1.0.0', integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' }]);
    const manifest = await registry.resolvePackage('weak', 'latest');
    await expect(registry.openTarball(manifest, {})).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('no SHA-512') });
  });

  test('a tarball with another digest fails at its end', async () => {
    const registry = await serve([{ name: 'bad', version: '1.0.0', files: { a: 'a' }, corrupt: (good) => Buffer.concat([good, Buffer.from('x')]) }]);
    const stream = await registry.openTarball(await registry.resolvePackage('bad', 'latest'), {});
    await expect(collect(stream)).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('SHA-512') });
  });

  test('a registry that cannot be reached: what to check', async () => {
    const registry = await openRegistry({ HOME: '/nonexistent', npm_config_registry: 'http://user:hidden@127.0.0.1:1' });
    const asked = registry.resolvePackage('ws', 'latest');
    await expect(asked).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('127.0.0.1:1) cannot be reached (ECONNREFUSED)'), hint: expect.stringContaining('npm config ls') });
    await expect(asked).rejects.not.toThrow('hidden');
  });

  test('an answer that makes no sense', async () => {
    const server = createServer((_request, response) => void response.end('{"name":"ws","version":"1.0.0/../..","dist":{"tarball":"file:///etc/passwd"}}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const registry = await openRegistry({ HOME: '/nonexistent', npm_config_registry: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
      await expect(registry.resolvePackage('ws', 'latest')).rejects.toThrow(/makes no sense \(version, dist\.tarball, dist\.integrity\)/);
    } finally {
      server.close();
    }
  });

  test('interrupting a download', async () => {
    const registry = await serve([{ name: 'slow', version: '1.0.0', files: { a: 'a' }, stallAfter: 10 }]);
    const abort = new AbortController();
    const stream = await registry.openTarball(await registry.resolvePackage('slow', 'latest'), { signal: abort.signal, onBytes: () => abort.abort() });
    await expect(collect(stream)).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('what a package cannot run without', () => {
  const names = (manifests: Manifest[]): string[] => manifests.map(({ name, version }) => `${name}@${version}`);

  test('its dependencies and theirs, without the optional and the omitted', async () => {
    const registry = await serve(kimiPackages());
    const closure = await resolveClosure(registry, { name: '@moonshot-ai/kimi-code', wanted: 'latest', omit: ['yargs'] });
    expect(names(closure)).toEqual(['@moonshot-ai/kimi-code@2.1.0', 'pngjs@5.0.0', 'qrcode@1.5.4', 'ws@8.20.0']);
  });

  test('circles end', async () => {
    const registry = await serve([
      { name: 'a', version: '1.0.0', dependencies: { b: '1.x' } },
      { name: 'b', version: '1.0.0', dependencies: { a: '1.x' } },
    ]);
    expect(names(await resolveClosure(registry, { name: 'a', wanted: 'latest', omit: [] }))).toEqual(['a@1.0.0', 'b@1.0.0']);
  });

  test('two versions of one package, and sources that are not the registry, are refused', async () => {
    const registry = await serve([
      { name: 'a', version: '1.0.0', dependencies: { b: '1.x', c: '1.x' } },
      { name: 'b', version: '1.0.0', dependencies: { c: '2.x' } },
      { name: 'c', version: '1.0.0' },
      { name: 'c', version: '2.0.0' },
      { name: 'd', version: '1.0.0', dependencies: { e: 'git+ssh://box/e' } },
    ]);
    await expect(resolveClosure(registry, { name: 'a', wanted: 'latest', omit: [] })).rejects.toThrow('b@1.0.0 needs c 2.x');
    await expect(resolveClosure(registry, { name: 'd', wanted: 'latest', omit: [] })).rejects.toThrow('d@1.0.0 needs e from');
  });
});
