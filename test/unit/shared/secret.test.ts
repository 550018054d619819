import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Secret } from '../../../src/shared/secret.ts';

it('a secret shows itself to nobody who does not ask by name', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 12 }), (value) => {
      const secret = new Secret(value);
      const shown = [String(secret), ['', secret].join(''), JSON.stringify({ secret }), inspect(secret), inspect({ deep: [secret] }, { showHidden: true })];
      for (const text of shown) {
        expect(text).toContain('[secret]');
        expect(text.replaceAll('[secret]', '')).not.toContain(value);
      }
      expect(secret.reveal()).toBe(value);
    }),
  );
});
