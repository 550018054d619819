import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensurePackageVolume, type PackageVolumeOptions } from '../../../src/docker/agent-volumes.ts';
import { DOWNLOAD_LIMITS } from '../../../src/docker/download-limits.ts';
import { currentOwner } from '../../../src/shared/owner.ts';
import { fakeEngine, type FakeEngine } from '../../fakes/engine.ts';
import { startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

const IMAGE = 'fake/construct';
const MEBIBYTE = 1024 * 1024;
const LIMITS = { ...DOWNLOAD_LIMITS, silenceMs: 300, pauseMs: 5, retries: 1, unpackedBytes: 4 * MEBIBYTE, entries: 50 };

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

const recipe = { name: 'tool', omit: [], drop: [] };
const good = { name: 'package/run.mjs', content: 'good' };

const install = async (tool: Partial<FakePackage>, more: Partial<PackageVolumeOptions> = {}) => {
  registry = await startNpmRegistry([{ name: 'tool', version: '1.0.0', entries: [good], ...tool }]);
  const options: PackageVolumeOptions = { agent: 'kimi', recipe, program: 'node_modules/tool/run.mjs', image: IMAGE, cache, owner: currentOwner(), env: registry.env, limits: LIMITS, ...more };
  return await ensurePackageVolume(engine, options, {});
};

const integrityOf = (body: Buffer): string => `sha512-${createHash('sha512').update(body).digest('base64')}`;

/** Served instead of a tarball, with the digest that belongs to it. */
const instead = (body: Buffer): Partial<FakePackage> => ({ corrupt: () => body, integrity: integrityOf(body) });

const link = { name: 'package/other', linkname: 'run.mjs' };

describe('a package', () => {
  test.each<[string, Partial<FakePackage>, string]>([
    ['with a file above itself', { entries: [good, { name: 'package/../../../etc/passwd', content: 'x' }] }, 'leaves the package'],
    ['with an absolute path', { entries: [good, { name: '/etc/passwd', content: 'x' }] }, 'leaves the package'],
    ['with a backslash in a path', { entries: [good, { name: 'package\\..\\x', content: 'x' }] }, 'leaves the package'],
    ['with a link', { entries: [good, { ...link, type: 'symlink' }] }, 'is a symlink'],
    ['with a link that leads out', { entries: [good, { name: 'package/etc', linkname: '/etc', type: 'symlink' }] }, 'is a symlink'],
    ['with a hard link', { entries: [good, { ...link, type: 'link' }] }, 'is a link'],
    ['with a device', { entries: [good, { name: 'package/sda', type: 'block-device', devmajor: 8, devminor: 0 }] }, 'is a block-device'],
    ['with a character device', { entries: [good, { name: 'package/mem', type: 'character-device', devmajor: 1, devminor: 1 }] }, 'is a character-device'],
    ['with a pipe', { entries: [good, { name: 'package/pipe', type: 'fifo' }] }, 'is a fifo'],
    ['with two files of one name', { entries: [good, { ...good, content: 'evil' }] }, '"run.mjs" is in it twice'],
    ['with two spellings of one name', { entries: [good, { name: 'package/./run.mjs', content: 'evil' }] }, 'is in it twice'],
    ['with a name that would write to a terminal', { entries: [good, { name: 'package/\u001b[2Jx', content: 'x' }] }, 'control characters'],
    ['with a line break in a name', { entries: [good, { name: 'package/a\nb', content: 'x' }] }, 'control characters'],
    ['with more files than any agent has', { entries: [good, ...Array.from({ length: 60 }, (_, index) => ({ name: `package/${index}`, content: '' }))] }, 'more than 50 files'],
    ['that expands without end', instead(gzipSync(Buffer.alloc(64 * MEBIBYTE))), `unpacked it has more than ${4 * MEBIBYTE} bytes`],
    ['with one file that is too big', { entries: [good, { name: 'package/big', content: Buffer.alloc(8 * MEBIBYTE) }] }, 'unpacked it has more than'],
    ['with a wrong digest', { integrity: integrityOf(Buffer.from('another')) }, 'SHA-512'],
    ['with another byte at its end', { corrupt: (body) => Buffer.concat([body, Buffer.from('x')]) }, 'Nothing of it is used'],
    ['that was cut short before its digest was made', instead(gzipSync(Buffer.from('package/run.mjs')).subarray(0, 20)), 'not a whole package'],
    ['that is no archive', instead(Buffer.from('<html>Sign in</html>')), 'not a whole package'],
    ['that is nothing', instead(Buffer.alloc(0)), 'HTTP status 416'],
    ['that says nothing any more in the middle', { stallAfter: 20 }, 'went silent'],
    ['without its program', { entries: [{ name: 'package/readme', content: 'x' }] }, 'tool@1.0.0 has no node_modules/tool/run.mjs'],
  ])('%s is refused in one sentence, and leaves neither volume nor container', async (_what, tool, why) => {
    const error: unknown = await install(tool).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'download.failed', message: expect.stringContaining(why) });
    expect((error as Error).message).not.toMatch(/\p{Cc}/u);
    expect(await engine.listVolumes({})).toEqual([]);
    expect(engine.containers()).toEqual([]);
  });

  test('that is fine is taken', async () => {
    expect(await install({})).toMatchObject({ version: '1.0.0', filled: true });
  });

  test('that follows one which is refused is not waited for', async () => {
    const entries = [good, { ...link, type: 'symlink' as const }];
    registry = await startNpmRegistry([
      { name: 'tool', version: '1.0.0', entries, dependencies: { slow: '1.0.0', gone: '1.0.0' } },
      { name: 'slow', version: '1.0.0', files: { a: 'a' }, stallAfter: 10 },
      { name: 'gone', version: '1.0.0', files: { a: 'a' }, integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' },
    ]);
    const options: PackageVolumeOptions = { agent: 'kimi', recipe, program: 'run', image: IMAGE, cache, owner: currentOwner(), env: registry.env, limits: { ...LIMITS, silenceMs: 60_000 } };
    const began = Date.now();
    await expect(ensurePackageVolume(engine, options, {})).rejects.toThrow('is a symlink');
    expect(Date.now() - began).toBeLessThan(5000);
    expect(await engine.listVolumes({})).toEqual([]);
  });
});
