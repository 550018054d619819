import { describe, expect, it } from 'vitest';
import { backOff, untilDue } from '../../../src/keeper/schedule.ts';

const NOW = { wall: 1_800_000_000_000, elapsed: 5000 };
const token = (left: number, expiresIn = 900) => ({ accessToken: 'fake', refreshToken: 'fake', expiresAt: NOW.wall / 1000 + left, expiresIn, scope: '', tokenType: 'Bearer' });

describe('a token is renewed', () => {
  it('at half of its life, and never after: a kimi that shares the directory would be there first', () => {
    expect(untilDue(token(900), NOW, NOW, 0)).toBe(450_000);
    expect(untilDue(token(451), NOW, NOW, 0)).toBe(1000);
    expect(untilDue(token(450), NOW, NOW, 0)).toBe(0);
    for (const luck of [0.1, 0.5, 0.999]) {
      const early = untilDue(token(900), NOW, NOW, luck);
      expect(early).toBeLessThan(450_000);
      expect(early).toBeGreaterThan(445_000);
    }
  });

  it('at once when it is over', () => {
    expect(untilDue(token(-5), NOW, undefined, 0)).toBeLessThan(0);
  });

  it('when five minutes are left, if it does not tell how long it lives', () => {
    expect(untilDue(token(400, 0), NOW, undefined, 0)).toBe(100_000);
  });

  it('by the clock that cannot be set, when the other one was set back', () => {
    const setBack = { wall: NOW.wall - 3_600_000, elapsed: NOW.elapsed + 100_000 };
    expect(untilDue(token(900), setBack, NOW, 0)).toBe(350_000);
    // By so little that nothing looks wrong: the life of the token is over all the same.
    expect(untilDue(token(900), { wall: NOW.wall + 400_000 - 300_000, elapsed: NOW.elapsed + 400_000 }, NOW, 0)).toBe(50_000);
    // A process that has never seen it before cannot tell how old it is.
    expect(untilDue(token(900), setBack, undefined, 0)).toBe(0);
  });
});

it('failures are followed by longer and longer pauses, up to five minutes', () => {
  expect([1, 2, 3, 9, 10, 50].map((failures) => backOff(failures, 0))).toEqual([1000, 2000, 4000, 256_000, 300_000, 300_000]);
  expect(backOff(1, 0.9)).toBeGreaterThan(1000);
});
