import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formsOf } from '../../../src/auth/secret-forms.ts';
import { createFinder, isTooShort, sameSecrets } from '../../../src/auth/secret-scan.ts';
import { Secret } from '../../../src/shared/secret.ts';

const TOKEN = 'fake-token/+=with "quotes", <tags> & 0123456789';

const finderOf = (...values: string[]) => createFinder(values.map((value) => new Secret(value)));
const formsIn = (text: string | Buffer, value = TOKEN): string[] => finderOf(value).hitsIn(text).map(({ form }) => form).sort();

/** Everything that a program may make of a secret before it writes it somewhere. */
const WRAPPERS: Record<string, (secret: string) => string> = {
  'as it is': (secret) => secret,
  'in base64': (secret) => Buffer.from(secret).toString('base64'),
  'in base64 of something longer': (secret) => Buffer.from(`{"token":"${secret}","more":1}`).toString('base64'),
  'in base64 behind a user name': (secret) => Buffer.from(`me:${secret}`).toString('base64'),
  'in base64 for addresses': (secret) => Buffer.from(`x${secret}`).toString('base64url'),
  'in base64, wrapped as by `base64`': (secret) => Buffer.from('x'.repeat(70) + secret).toString('base64').replaceAll(/.{76}/g, '$&\n'),
  'in base64, wrapped as in mail': (secret) => Buffer.from('x'.repeat(50) + secret).toString('base64').replaceAll(/.{64}/g, '$&\r\n'),
  'on two lines of a terminal': (secret) => `${Array.from(secret).slice(0, 7).join('')}\r\n${Array.from(secret).slice(7).join('')}`,
  'in an address': (secret) => `https://example.test/?t=${encodeURIComponent(secret)}`,
  'in an address with small digits': (secret) => encodeURIComponent(secret).replaceAll(/%../g, (escape) => escape.toLowerCase()),
  'in a form': (secret) => new URLSearchParams({ t: secret }).toString(),
  'in JSON': (secret) => JSON.stringify({ t: secret }),
  'in JSON in JSON': (secret) => JSON.stringify(JSON.stringify({ t: secret })),
  'in JSON of Go': (secret) => JSON.stringify(secret).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
  'in JSON with escaped slashes': (secret) => JSON.stringify(secret).replaceAll('/', '\\/'),
  'in hex': (secret) => Buffer.from(secret).toString('hex'),
  'in hex with capitals': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
};

describe('a secret is found', () => {
  test.each(Object.entries(WRAPPERS))('%s', (_name, wrap) => {
    expect(formsIn(`before ${wrap(TOKEN)} after`)).not.toEqual([]);
  });

  test('whatever it is, whatever is around it, and wherever the pieces of the text are cut', () => {
    const printable = fc.string({ minLength: 8, maxLength: 400, unit: 'grapheme-ascii' });
    const secret = fc.oneof(printable, fc.string({ minLength: 8, maxLength: 60, unit: 'grapheme' }), fc.base64String({ minLength: 12, maxLength: 300 }));
    const wrapper = fc.constantFrom(...Object.values(WRAPPERS));
    fc.assert(
      fc.property(secret, wrapper, fc.string(), fc.string(), fc.array(fc.nat(60), { maxLength: 40 }), (value, wrap, before, after, cuts) => {
        // Such a one is not looked for.
        fc.pre(!isTooShort(new Secret(value)));
        const text = Buffer.from(before + wrap(value) + after);
        const scan = finderOf(value, 'another-fake-secret-of-some-length').start();
        let at = 0;
        for (const cut of cuts) {
          scan.push(text.subarray(at, at + cut));
          at += cut;
        }
        scan.push(text.subarray(Math.min(at, text.length)));
        expect(scan.hits().map(({ secret: index }) => index)).toContain(0);
      }),
      { numRuns: 500 },
    );
  });

  test('and nothing is found where it is not', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 10, maxLength: 60, unit: 'grapheme-ascii' }), fc.string({ maxLength: 2000, unit: 'grapheme-ascii' }), (value, text) => {
        const plain = Buffer.from(text.replaceAll(/[\r\n]/g, ''));
        fc.pre(formsOf(value).every(({ bytes }) => !plain.includes(bytes)));
        expect(formsIn(text, value)).toEqual([]);
      }),
    );
  });

  test('by all its forms at once, each named once', () => {
    const text = `${TOKEN} ${TOKEN} ${Buffer.from(TOKEN).toString('base64')} ${encodeURIComponent(TOKEN)} ${JSON.stringify(TOKEN)} ${Buffer.from(TOKEN).toString('hex')}`;
    expect(formsIn(text)).toEqual(['JSON', 'URL', 'base64', 'hex', 'plain']);
  });

  test('and told apart from others, also those that begin alike', () => {
    const finder = finderOf('fake-token-one-1111111111', 'fake-token-one-2222222222', 'fake-token');
    expect(finder.hitsIn('x fake-token-one-2222222222')).toEqual([{ secret: 1, form: 'plain' }, { secret: 2, form: 'plain' }]);
  });

  test('by its end, when it is very long: another one with the same beginning is another one', () => {
    const header = 'h'.repeat(3000);
    expect(formsIn(`${header}mine-0123456789`, `${header}mine-0123456789`)).toEqual(['plain']);
    expect(formsIn(`${header}other-987654321`, `${header}mine-0123456789`)).toEqual([]);
  });

  test('over several lines, as a key in PEM, also when it is indented otherwise', () => {
    const pem = `-----BEGIN FAKE KEY-----\n${'QUJD'.repeat(20)}\n${'REVG'.repeat(20)}\n-----END FAKE KEY-----\n`;
    expect(formsIn(`x${pem.replaceAll('\n', '\r\n')}y`, pem)).toEqual(['plain']);
    expect(formsIn(JSON.stringify({ pem }), pem)).toEqual(['JSON']);
  });
});

test('without secrets nothing is found', () => {
  expect(createFinder([]).hitsIn('anything')).toEqual([]);
});

test('what is too short would be found everywhere, and line breaks do not make it longer', () => {
  expect(isTooShort(new Secret('1234567'))).toBe(true);
  expect(isTooShort(new Secret('1234\n\n\n\n567'))).toBe(true);
  expect(isTooShort(new Secret('12345678'))).toBe(false);
  expect(() => finderOf('1234567')).toThrow('too short');
});

test('the same secret under two names is one', () => {
  expect(sameSecrets(['a', 'b', 'a'].map((value) => new Secret(value)))).toEqual([0, 1, 0]);
});

describe('a name that holds a secret', () => {
  test('is masked, part by part', () => {
    expect(finderOf('fake-token-123').mask('/tmp/fake-token-123.txt/notes')).toBe('/tmp/[secret]/notes');
    expect(finderOf('fake-token-123').mask('/tmp/notes')).toBe('/tmp/notes');
  });

  test('is masked as a whole when the secret has slashes itself', () => {
    expect(finderOf('fake/token/123').mask('/tmp/fake/token/123.txt')).toBe('[secret]');
  });
});

test('an image is searched in a few seconds, however many secrets there are', () => {
  const finder = finderOf(...Array.from({ length: 100 }, (_, index) => `fake-token-${index}-${'0123456789'.repeat(5)}`));
  const chunk = Buffer.from(Array.from({ length: 1 << 20 }, (_, index) => (index * 7919) % 251));
  const scan = finder.start();
  const start = performance.now();
  for (let count = 0; count < 64; count += 1) scan.push(chunk);
  // About 5 ms for each megabyte; looking for one form after the other would take a hundred times as long.
  expect(performance.now() - start).toBeLessThan(5000);
});
