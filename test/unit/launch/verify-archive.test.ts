import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { createFinder } from '../../../src/auth/secret-scan.ts';
import { scanFileSystem, scanImage } from '../../../src/launch/verify-archive.ts';
import { type Look, lookAt, type PlaceReport } from '../../../src/launch/verify-place.ts';
import { Secret } from '../../../src/shared/secret.ts';

const TOKEN = 'fake-token-0123456789';

const tarOf = async (files: Record<string, string | Buffer>): Promise<Buffer> => {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content);
  tar.finalize();
  return Buffer.concat(await Readable.from(tar).toArray());
};

/** In pieces, as an engine sends it. */
const streamed = (bytes: Buffer, size = 1000): Readable =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
    { objectMode: false },
  );

const look = async (scan: typeof scanImage, bytes: Buffer, size?: number): Promise<PlaceReport> => {
  const finder = createFinder([new Secret(TOKEN)]);
  const run = async (found: Look): Promise<string> => {
    const { files, layers } = await scan(found, streamed(bytes, size));
    return `${files} ${layers}`;
  };
  return await lookAt({ place: 'image', run }, finder, new AbortController().signal);
};

const wheres = ({ findings }: PlaceReport): string[] => findings.map(({ where }) => where);

const LAYER = 'a'.repeat(64);

describe('an image', () => {
  test('is searched layer by layer, and the file is named', async () => {
    const layer = await tarOf({ 'etc/one': 'nothing', 'root/.config': `x${TOKEN}`, big: 'b'.repeat(300_000) + TOKEN });
    const image = await tarOf({ [`${LAYER}/json`]: '{}', [`${LAYER}/layer.tar`]: layer, 'manifest.json': '[]' });
    const report = await look(scanImage, image);
    expect(report).toMatchObject({ result: 'found', what: '3 1' });
    expect(wheres(report)).toEqual([`layer ${LAYER.slice(0, 12)}/root/.config`, `layer ${LAYER.slice(0, 12)}/big`]);
  });

  test('in the newer form, its layers packed with gzip', async () => {
    const blob = `blobs/sha256/${'b'.repeat(64)}`;
    const image = await tarOf({ [blob]: gzipSync(await tarOf({ 'tmp/leak': TOKEN })), 'index.json': '{}' });
    expect(wheres(await look(scanImage, image, 100))).toEqual([`layer ${'b'.repeat(12)}/tmp/leak`]);
  });

  test('is searched in what is said of it, and in the names of files', async () => {
    const image = await tarOf({ 'config.json': JSON.stringify({ Env: [`A=${TOKEN}`] }), [`${LAYER}/layer.tar`]: await tarOf({ [`tmp/${TOKEN}`]: '' }) });
    const report = await look(scanImage, image);
    expect(wheres(report)).toEqual(['config.json', `name layer ${LAYER.slice(0, 12)}/tmp/[secret]`]);
    expect(JSON.stringify(report)).not.toContain(TOKEN);
  });

  test('with a layer that cannot be read says so instead of passing', async () => {
    const zstd = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(600)]);
    const image = await tarOf({ 'blobs/sha256/one': zstd, 'config.json': TOKEN });
    const report = await look(scanImage, image);
    expect(wheres(report)).toEqual(['config.json']);
    expect(report.what).toContain('not looked at: blobs/sha256/one is compressed with zstd');
    expect(await look(scanImage, await tarOf({ 'blobs/sha256/one': zstd }))).toMatchObject({ result: 'failed' });
  });

  test.each([
    ['cut off in the middle of a layer', 0.5],
    ['cut off at its end', 0.9],
  ])('that is %s was not looked at, but what was found counts', async (_what, part) => {
    const layer = await tarOf({ first: TOKEN, second: 'x'.repeat(100_000) });
    const image = await tarOf({ [`${LAYER}/layer.tar`]: layer });
    const whole = await look(scanImage, image);
    const cut = await look(scanImage, image.subarray(0, image.length * part));
    expect([whole.result, cut.result]).toEqual(['found', 'found']);
    expect(cut.what).toMatch(/^after .*: /);
    const clean = await tarOf({ [`${LAYER}/layer.tar`]: await tarOf({ second: 'x'.repeat(100_000) }) });
    expect((await look(scanImage, clean.subarray(0, clean.length * part))).result).toBe('failed');
  });

  test('that is no archive at all was not looked at', async () => {
    expect((await look(scanImage, Buffer.alloc(3000, 'x'))).result).toBe('failed');
  });

  test('with a broken packed layer was not looked at', async () => {
    const broken = gzipSync(await tarOf({ a: Buffer.from(Array.from({ length: 9000 }, (_, index) => (index * 7919) % 256)) }));
    broken.fill(0, 100, 300);
    expect((await look(scanImage, await tarOf({ 'blobs/sha256/one': broken }))).result).toBe('failed');
  });
});

test('a file system is searched file by file', async () => {
  const report = await look(scanFileSystem, await tarOf({ './usr/local/leak': Buffer.from(TOKEN).toString('base64'), 'etc/passwd': 'root' }));
  expect(report).toMatchObject({ what: '2 0', findings: [{ where: '/usr/local/leak', form: 'base64' }] });
});
