import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { AgentPackage } from '../../../src/agents/agents.ts';
import { placeStripped, platformDependency, resolvePlatform } from '../../../src/docker/platform-package.ts';
import { openRegistry } from '../../../src/docker/registry.ts';
import { startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

const LINUX = 'tool-linux-x64';
let fake: FakeNpmRegistry | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

const release = (version: string, build: string = version, name = 'tool'): FakePackage => ({ name, version, optionalDependencies: { [LINUX]: build } });
const build = (version: string, name = LINUX): FakePackage => ({ name, version });
const aliased = (version: string): FakePackage => release(version, `npm:tool@${version}-linux-x64`);

const resolve = async (packages: FakePackage[], pinned?: string) => {
  fake = await startNpmRegistry(packages);
  const lines: string[] = [];
  const request = { name: 'tool', dependency: LINUX, pinned };
  const found = await resolvePlatform(await openRegistry(fake.env), request, { onLine: (line) => lines.push(line) });
  return { lines, runs: `${found.manifest.name}@${found.manifest.version}`, version: found.version, release: found.release };
};

describe('the build of a release for this machine', () => {
  test('is the version that the release names, not the newest of the build\'s own package', async () => {
    const found = await resolve([build('1.0.0'), build('1.1.0'), build('1.2.0'), release('1.0.0'), release('1.1.0')]);
    expect(found).toEqual({ lines: [], runs: `${LINUX}@1.1.0`, version: '1.1.0', release: '1.1.0' });
    expect(fake?.requests).toEqual(['/tool/latest', `/${LINUX}/1.1.0`]);
  });

  test('can be named by a range; what runs is what counts', async () => {
    const found = await resolve([build('3.1.0'), build('3.9.0'), build('4.0.0'), release('1.0.0', '^3.0.0')]);
    expect(found).toEqual({ lines: [], runs: `${LINUX}@3.9.0`, version: '3.9.0', release: '1.0.0' });
  });

  test('can be an alias: a version of the same package, called by the version of its release', async () => {
    const found = await resolve([build('1.0.0-linux-x64', 'tool'), build('1.0.0-darwin-x64', 'tool'), aliased('1.0.0')]);
    expect(found).toEqual({ lines: [], runs: 'tool@1.0.0-linux-x64', version: '1.0.0', release: '1.0.0' });
  });

  test('can be an alias of a package with a scope', async () => {
    const found = await resolve([build('1.0.0-linux-x64', '@maker/tool'), release('1.0.0', 'npm:@maker/tool@1.0.0-linux-x64')]);
    expect(found).toMatchObject({ runs: '@maker/tool@1.0.0-linux-x64', version: '1.0.0' });
  });

  test('is that of the pinned release', async () => {
    const packages = [build('1.0.0'), build('1.1.0'), release('1.0.0'), release('1.1.0')];
    expect(await resolve(packages, '1.0.0')).toMatchObject({ lines: [], runs: `${LINUX}@1.0.0`, version: '1.0.0' });
  });

  test('a pinned release without it is an error, never another version', async () => {
    const packages = [build('1.0.0'), build('1.2.0'), release('1.0.0'), release('1.1.0'), release('1.2.0')];
    await expect(resolve(packages, '1.1.0')).rejects.toMatchObject({
      code: 'download.failed',
      message: `the npm registry does not have the part of tool@1.1.0 for this machine (${LINUX})`,
      hint: expect.stringContaining('pin another version'),
    });
    expect(fake?.requests).toEqual(['/tool/1.1.0', `/${LINUX}/1.1.0`]);
  });

  test('a pinned release that does not exist is an error that says so', async () => {
    await expect(resolve([build('1.0.0'), release('1.0.0')], '9.9.9')).rejects.toThrow('tool@9.9.9');
  });
});

describe('a latest release without a build for this machine', () => {
  test('gives way to the newest that has one; a line says so, and no request is made per version', async () => {
    const found = await resolve([build('1.9.0'), build('1.10.0'), ...['1.9.0', '1.10.0', '1.11.0', '1.12.0'].map((version) => release(version))]);
    expect(found).toMatchObject({ runs: `${LINUX}@1.10.0`, version: '1.10.0', release: '1.10.0' });
    expect(found.lines).toEqual([`the npm registry does not have the part of tool@1.12.0 for this machine (${LINUX}): using 1.10.0 instead, the newest version that is whole`]);
    expect(fake?.requests).toEqual(['/tool/latest', `/${LINUX}/1.12.0`, '/tool', `/${LINUX}`]);
  });

  test('the order is that of versions, not of names, and nothing above the latest is taken', async () => {
    const packages = ['1.9.0', '1.10.0', '2.0.0', '1.11.0'].map((version) => release(version));
    expect(await resolve([build('1.9.0'), build('1.10.0'), build('2.0.0'), ...packages])).toMatchObject({ version: '1.10.0' });
  });

  test('an alias is walked back as well, and previews are passed over', async () => {
    const found = await resolve([build('0.1.0-linux-x64', 'tool'), build('0.2.0-alpha.1-linux-x64', 'tool'), build('0.3.0-darwin-x64', 'tool'), aliased('0.1.0'), aliased('0.2.0-alpha.1'), aliased('0.3.0')]);
    expect(found).toMatchObject({ runs: 'tool@0.1.0-linux-x64', version: '0.1.0', lines: [expect.stringContaining('using 0.1.0 instead')] });
  });

  test('where every version looks like a preview, as with a commit in its name, they are none', async () => {
    const found = await resolve([build('0.0.1790142911-g7618fb'), release('0.0.1790142911-g7618fb'), release('0.0.1790712063-gb89205')]);
    expect(found).toMatchObject({ version: '0.0.1790142911-g7618fb', release: '0.0.1790142911-g7618fb' });
  });

  const many = Array.from({ length: 21 }, (_, index) => release(`1.${index + 1}.0`));

  test('the twentieth before it is still found', async () => {
    expect(await resolve([build('1.1.0'), build('7.0.0'), ...many])).toMatchObject({ version: '1.1.0', release: '1.1.0' });
  });

  test('one that is older is not worth it: the newest build there is', async () => {
    const found = await resolve([build('1.0.0'), build('7.0.0'), build('6.0.0'), build('8.0.0-beta'), release('1.0.0'), ...many]);
    expect(found).toMatchObject({ runs: `${LINUX}@7.0.0`, version: '7.0.0', release: undefined });
    expect(found.lines).toEqual([expect.stringContaining('using 7.0.0 instead, the newest of that part')]);
  });

  test('the newest build of an alias is one for this machine', async () => {
    const found = await resolve([build('0.8.0-linux-x64', 'tool'), build('0.9.0-linux-x64', 'tool'), build('0.9.5-darwin-x64', 'tool'), aliased('1.0.0')]);
    expect(found).toMatchObject({ runs: 'tool@0.9.0-linux-x64', version: '0.9.0', release: undefined });
  });

  test.each([
    ['that names none at all', [{ name: 'tool', version: '1.1.0' }]],
    ['that names one outside the registry', [release('1.1.0', 'git+ssh://box/tool')]],
  ])('and one %s count as without', async (_what, latest) => {
    expect(await resolve([build('1.0.0'), release('1.0.0'), ...latest])).toMatchObject({ version: '1.0.0' });
  });

  test('no build of any version: an error that names the missing part', async () => {
    await expect(resolve([release('1.0.0'), release('1.1.0')])).rejects.toMatchObject({
      code: 'download.failed',
      message: `the npm registry does not have the part of tool@1.1.0 for this machine (${LINUX}), nor that of another version`,
    });
  });
});

const recipe = (platform: AgentPackage['platform'], drop: string[] = []): AgentPackage => ({ name: 'tool', omit: [], drop, ...(platform === undefined ? {} : { platform }) });

describe('which build a machine needs', () => {
  const both = { x64: 'fast', arm64: 'arm', x64Baseline: 'baseline' };
  const needed = async (flags: string | undefined, arch: 'x64' | 'arm64', platform: AgentPackage['platform'] = both): Promise<string | undefined> => {
    const directory = await mkdtemp(path.join(tmpdir(), 'jackin-cpu-'));
    const file = path.join(directory, 'cpuinfo');
    try {
      if (flags !== undefined) await writeFile(file, `processor\t: 0\n${flags}\nbugs\t\t: none\n`);
      return await platformDependency(recipe(platform), arch, file);
    } finally {
      await rm(directory, { recursive: true });
    }
  };

  test.each<[string, string | undefined, 'x64' | 'arm64', string]>([
    ['an x64 processor with AVX2', 'flags\t\t: fpu sse2 avx avx2 bmi1', 'x64', 'fast'],
    ['an x64 processor without', 'flags\t\t: fpu sse2 avx bmi1', 'x64', 'baseline'],
    ['one with a flag that only begins like it', 'flags\t\t: fpu avx2_made_up', 'x64', 'baseline'],
    ['a machine that does not list its flags', 'Features\t: fp asimd', 'x64', 'fast'],
    ['a machine without such a list', undefined, 'x64', 'fast'],
    ['arm64', 'flags\t\t: fpu', 'arm64', 'arm'],
  ])('%s', async (_what, flags, arch, name) => {
    expect(await needed(flags, arch)).toBe(name);
  });

  test('an agent with one build for x64 has no other; an agent that is no program has none', async () => {
    expect(await needed('flags\t: fpu', 'x64', { x64: 'only', arm64: 'arm' })).toBe('only');
    expect(await platformDependency(recipe(undefined), 'x64', '/nonexistent')).toBeUndefined();
  });
});

describe('where the files of a build go', () => {
  test('to the root of the volume, as they stand', () => {
    expect(placeStripped(recipe({ x64: '', arm64: '' }))('bin/tool')).toBe('bin/tool');
  });

  test('without the leading directories that differ from machine to machine; what is outside of them is left out', () => {
    const place = placeStripped(recipe({ x64: '', arm64: '', strip: 'vendor/*' }, ['resources/voice/']));
    expect(place('vendor/x86_64-linux/bin/tool')).toBe('bin/tool');
    expect(place('vendor/x86_64-linux/resources/sandbox')).toBe('resources/sandbox');
    for (const file of ['package.json', 'vendor/readme', 'other/x/bin/tool', 'vendor/x86_64-linux/resources/voice/lib.so']) expect(place(file)).toBeUndefined();
  });

  test('never over what jackin keeps in a volume', () => {
    const place = placeStripped(recipe({ x64: '', arm64: '' }));
    expect([place('.jackin-complete'), place('bin/.jackin-complete')]).toEqual([undefined, 'bin/.jackin-complete']);
  });
});
