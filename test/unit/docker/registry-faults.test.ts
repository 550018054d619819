import { randomBytes } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { DOWNLOAD_LIMITS } from '../../../src/docker/download-limits.ts';
import { openRegistry } from '../../../src/docker/registry.ts';
import { collect } from '../../fakes/collect.ts';
import { type Disturbed, startNpmRegistry, type FakeNpmRegistry, type FakePackage } from '../../fakes/npm-registry.ts';

const MEBIBYTE = 1024 * 1024;
const LIMITS = { ...DOWNLOAD_LIMITS, silenceMs: 300, pauseMs: 5, retries: 2 };

let fake: FakeNpmRegistry | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

const isTarball = ({ path }: { path: string }): boolean => path.endsWith('.tgz');

/** The first byte that was asked for, by request. */
const starts: number[] = [];

const noise = randomBytes(3 * MEBIBYTE);
const download = async (disturb: (disturbed: Disturbed & { body: Buffer }) => boolean, more: Partial<FakePackage> = {}, limits = LIMITS): Promise<Buffer> => {
  starts.length = 0;
  const big: FakePackage = { name: 'big', version: '1.0.0', entries: [{ name: 'package/noise', content: noise }], ...more };
  fake = await startNpmRegistry([big], (disturbed) => {
    if (!isTarball(disturbed)) return false;
    starts.push(Number(/^bytes=(\d+)-/.exec(disturbed.request.headers.range ?? '')?.[1]));
    return disturb(disturbed as Disturbed & { body: Buffer });
  });
  const registry = await openRegistry(fake.env, limits);
  return await collect(await registry.openTarball(await registry.resolvePackage('big', 'latest'), {}));
};

/** Says that all of the rest comes, sends a part of it, and leaves. */
const cut = ({ response, body }: Disturbed & { body: Buffer }, from: number, bytes: number): true => {
  response.writeHead(206, { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}`, 'content-length': body.length - from });
  response.write(body.subarray(from, from + bytes), () => response.destroy());
  return true;
};

describe('a download', () => {
  test('goes on from the byte where the connection broke', async () => {
    const bytes = await download((disturbed) => disturbed.time < 3 && cut(disturbed, starts.at(-1)!, 500_000));
    expect(bytes.length).toBeGreaterThan(noise.length);
    expect(starts).toHaveLength(3);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBeGreaterThan(starts[1]!);
  });

  test('that gets on is not given up, however often it breaks; one that does not is', async () => {
    await download((disturbed) => cut(disturbed, starts.at(-1)!, 1.2 * MEBIBYTE) && disturbed.time > 0);
    expect(starts.length).toBeGreaterThan(LIMITS.retries);
    await expect(download((disturbed) => cut(disturbed, starts.at(-1)!, 1000))).rejects.toMatchObject({ code: 'download.failed', message: expect.stringMatching(/^downloading big@1\.0\.0: the npm registry \(127\.0\.0\.1:\d+\) broke the connection again and again\. Nothing of it is used$/) });
    expect(starts).toHaveLength(LIMITS.retries + 1);
  });

  test('begins anew where the registry knows no pieces, and the bytes that were there already do not count twice', async () => {
    const whole = async ({ time, response, body }: Disturbed & { body: Buffer }): Promise<void> => {
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, time === 1 ? MEBIBYTE : body.length), () => (time === 1 ? response.destroy() : response.end()));
    };
    const bytes = await download((disturbed) => (void whole(disturbed), true));
    expect(bytes.length).toBeGreaterThan(noise.length);
    expect(starts).toHaveLength(2);
  });

  test('with another byte somewhere is refused, although it was put together from pieces', async () => {
    const broken = download((disturbed) => disturbed.time === 1 && cut(disturbed, 0, 500_000), {
      corrupt: (good) => Buffer.concat([good.subarray(0, 100), Buffer.from([good[100]! ^ 1]), good.subarray(101)]),
    });
    await expect(broken).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('SHA-512') });
  });

  test('that falls silent goes on with the next try, and one that stays silent ends', async () => {
    const silent = ({ response, body }: Disturbed & { body: Buffer }): true => {
      response.writeHead(206, { 'content-range': `bytes ${starts.at(-1)}-${body.length - 1}/${body.length}` });
      response.write(body.subarray(starts.at(-1), starts.at(-1)! + 1000));
      return true;
    };
    expect((await download((disturbed) => disturbed.time === 1 && silent(disturbed))).length).toBeGreaterThan(noise.length);
    expect(starts).toEqual([0, 1000]);
    const began = Date.now();
    await expect(download(silent)).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('went silent') });
    expect(Date.now() - began).toBeLessThan(5000);
  });

  test('that never begins ends as well', async () => {
    await expect(download(() => true)).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining('went silent') });
  });

  test.each<[string, (disturbed: Disturbed & { body: Buffer }) => boolean, string]>([
    ['brings more than it says', ({ response, body }) => (response.writeHead(206, { 'content-range': `bytes 0-9/${body.length}` }).end(body), true), 'sent more than it had said'],
    ['brings another part', ({ response, body }) => (response.writeHead(206, { 'content-range': `bytes 7-9/${body.length}` }).end(body.subarray(7, 10)), true), 'sent another part than it was asked for'],
    ['brings a part of nothing', ({ response }) => (response.writeHead(206, { 'content-range': 'bytes 0-9/x' }).end('x'), true), 'sent another part than it was asked for'],
    ['is bigger than any agent', ({ response }) => (response.writeHead(206, { 'content-range': 'bytes 0-9/9999999999' }).end('0123456789'), true), 'wants to send 9999999999 bytes'],
    ['has no end', ({ response }) => (response.writeHead(200).end(Buffer.alloc(5 * MEBIBYTE)), true), 'far more than any agent has'],
  ])('of what %s is refused at once', async (_what, disturb, why) => {
    await expect(download(disturb, {}, { ...LIMITS, tarballBytes: 4 * MEBIBYTE })).rejects.toMatchObject({ code: 'download.failed', message: expect.stringContaining(why) });
    expect(starts).toHaveLength(1);
  });
});

describe('a registry that', () => {
  const ask = async (disturb: (disturbed: Disturbed) => boolean, limits = LIMITS) => {
    fake = await startNpmRegistry([{ name: 'a', version: '1.0.0' }], disturb);
    return await (await openRegistry(fake.env, limits)).resolvePackage('a', 'latest');
  };
  const status = (code: number, headers: Record<string, string> = {}) => ({ response }: Disturbed): boolean => (response.writeHead(code, headers).end('{"error":"no"}'), true);

  test.each<[string, (disturbed: Disturbed) => boolean, RegExp, RegExp, number]>([
    ['wants a login', status(401), /wants a login \(HTTP status 401\)$/, /npm login/, 1],
    ['wants a login in its own way', status(401, { 'www-authenticate': 'Basic' }), /wants a login \(HTTP status 401\)$/, /npm login/, 1],
    ['refuses', status(403), /refuses it \(HTTP status 403\)$/, /npm config ls/, 1],
    ['does not have it', status(404), /does not have it$/, /^$/, 1],
    ['is asked too often', status(429), /asked too often \(HTTP status 429\)$/, /later/, 3],
    ['wants more rest than one has', status(429, { 'retry-after': '3600' }), /wants 3600 s of rest$/, /later/, 1],
    ['is broken', status(500), /answered with HTTP status 500$/, /later/, 3],
    ['is a page to log in to a network', ({ response }) => (response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>'), true), /did not answer in JSON/, /network/, 1],
    ['says nothing', () => true, /went silent/, /network/, 3],
    ['hangs up', ({ request }) => (request.socket.destroy(), true), /broke the connection/, /network/, 3],
  ])('%s: one sentence', async (_what, disturb, why, hint, requests) => {
    const error: unknown = await ask(disturb).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'download.failed', message: expect.stringMatching(why) });
    expect((error as { hint?: string }).hint ?? '').toMatch(hint);
    expect((error as Error).message.split('\n')).toHaveLength(1);
    expect(fake?.requests).toHaveLength(requests);
  });

  test('is tired is asked again after the rest that it wants', async () => {
    const began = Date.now();
    const manifest = await ask((disturbed) => disturbed.time === 1 && status(429, { 'retry-after': '1' })(disturbed));
    expect(manifest.version).toBe('1.0.0');
    expect(Date.now() - began).toBeGreaterThanOrEqual(1000);
  });

  test('has no address', async () => {
    const registry = await openRegistry({ HOME: '/nonexistent', npm_config_registry: 'http://registry.invalid' }, LIMITS);
    await expect(registry.resolvePackage('a', 'latest')).rejects.toMatchObject({ code: 'download.failed', message: expect.stringMatching(/registry\.invalid\) cannot be found: its name has no address/) });
  });

  test('has a certificate that nobody signed', async () => {
    const { execFileSync } = await import('node:child_process');
    const { mkdtempSync, readFileSync, rmSync } = await import('node:fs');
    const dir = mkdtempSync('/tmp/jackin-tls-');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${dir}/key`, '-out', `${dir}/cert`, '-subj', '/CN=localhost', '-days', '1'], { stdio: 'ignore' });
    const server = createServer({ key: readFileSync(`${dir}/key`), cert: readFileSync(`${dir}/cert`) });
    rmSync(dir, { recursive: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const registry = await openRegistry({ HOME: '/nonexistent', npm_config_registry: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }, LIMITS);
      await expect(registry.resolvePackage('a', 'latest')).rejects.toMatchObject({ code: 'download.failed', message: expect.stringMatching(/certificate that is not trusted here/), hint: expect.stringContaining('cafile') });
    } finally {
      server.close();
    }
  });
});
