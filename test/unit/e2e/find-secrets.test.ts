import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findSecrets } from '../../e2e/find-secrets.ts';

const NOWHERE = /^$/;
const secret = fc.string({ minLength: 16, maxLength: 60, unit: 'grapheme-ascii' });
const around = fc.string({ maxLength: 12, unit: 'grapheme-ascii' });

const wrappers: Record<string, (text: string) => string> = {
  plain: (text) => text,
  base64: (text) => Buffer.from(text).toString('base64'),
  base64url: (text) => Buffer.from(text).toString('base64url'),
  'a URL': (text) => encodeURIComponent(text),
  JSON: (text) => JSON.stringify({ text }),
};

test.each(Object.entries(wrappers))('a secret is found in %s, whatever stands around it', (_name, wrap) => {
  fc.assert(
    fc.property(secret, around, around, (hidden, before, after) => {
      const traces = new Map([['here', wrap(before + hidden + after)], ['there', 'nothing']]);
      expect(findSecrets(traces, [hidden], NOWHERE)).toEqual(['here']);
    }),
  );
});

test('a place that may hold it is left out', () => {
  const traces = new Map([['data/x/home/a', 'a-secret-of-mine'], ['data/x/state/a', 'a-secret-of-mine']]);
  expect(findSecrets(traces, ['a-secret-of-mine'], /\/home\//)).toEqual(['data/x/state/a']);
});
