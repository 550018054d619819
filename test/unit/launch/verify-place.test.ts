import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { createFinder } from '../../../src/auth/secret-scan.ts';
import { countText, lookAt, type PlaceToLook, sizeText } from '../../../src/launch/verify-place.ts';
import { Secret } from '../../../src/shared/secret.ts';

const TOKEN = 'fake-token-0123456789';
const finder = createFinder([new Secret(TOKEN)]);
const calm = new AbortController().signal;

const at = async (run: PlaceToLook['run'], limitMs?: number) => await lookAt({ place: 'log', run }, finder, calm, limitMs);

async function* broken(): AsyncGenerator<Buffer> {
  yield Buffer.from(`x ${TOKEN} `);
  throw new Error(`the disk with ${TOKEN} is gone`);
}

async function* endless(): AsyncGenerator<Buffer> {
  for (;;) {
    yield Buffer.alloc(10);
    await sleep(1);
  }
}

describe('a place', () => {
  test('without a secret is clean, with one it names it once for each form and where', async () => {
    expect(await at(async (look) => (look.text('a', 'nothing'), 'one text'))).toEqual({ place: 'log', result: 'clean', what: 'one text', findings: [] });
    const twice = await at(async (look) => {
      look.text('a', TOKEN);
      look.text('a', `again ${TOKEN}`);
      look.text(`b ${TOKEN}`, encodeURIComponent(TOKEN));
      return 'three texts';
    });
    expect(twice).toMatchObject({ result: 'found', findings: [{ where: 'a', secret: 0, form: 'plain' }, { where: '[secret]', form: 'plain' }] });
  });

  test('that is not there says why', async () => {
    expect(await at(async () => ({ absent: 'it does not run' }))).toMatchObject({ result: 'absent', what: 'it does not run' });
  });

  test('that fails tells why without the secret, and what it had found counts', async () => {
    const report = await at(async (look) => (await look.stream('a', broken()), 'all'));
    expect(report).toMatchObject({ result: 'found', what: 'after 24 bytes: [secret]', findings: [{ where: 'a' }] });
    expect(await at(async () => Promise.reject(new Error('refused')))).toMatchObject({ result: 'failed', what: 'after 0 bytes: refused' });
  });

  test('of which a part could not be looked at is not clean', async () => {
    const report = await at(async (look) => {
      for (let count = 0; count < 25; count += 1) look.miss(`file-${count}`, 'may not be read');
      return 'the rest';
    });
    expect(report.result).toBe('failed');
    expect(report.what).toMatch(/^the rest; not looked at: file-0 may not be read; .* and 5 more$/);
  });

  test('that never ends is given up after a limit', { timeout: 3000 }, async () => {
    expect(await at(async (look) => (await look.stream('a', endless()), 'all'), 60)).toMatchObject({ result: 'failed', what: expect.stringContaining('it took longer than') });
  });

  test('is left at once by an interruption, which is no finding', { timeout: 3000 }, async () => {
    const interruption = new AbortController();
    const looking = lookAt({ place: 'log', run: async (look) => (await look.stream('a', endless()), 'all') }, finder, interruption.signal);
    interruption.abort();
    await expect(looking).rejects.toThrow(/abort/i);
  });
});

test('sizes and counts are told in few words', () => {
  expect([0, 1, 999, 1000, 12_345, 266_000_000, 3_000_000_000].map(sizeText)).toEqual(['0 bytes', '1 byte', '999 bytes', '1.0 kB', '12 kB', '266 MB', '3.0 GB']);
  expect([countText(1, 'process'), countText(2, 'process'), countText(1, 'file'), countText(0, 'file')]).toEqual(['1 process', '2 processes', '1 file', '0 files']);
});
