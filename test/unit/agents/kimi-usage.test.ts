import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseUsage, type QuotaWindow } from '../../../src/agents/kimi-usage.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const read = (body: unknown) => parseUsage(JSON.stringify(body), NOW);
const windows = (body: unknown): [string, number, string | null][] => read(body)!.windows.map(({ name, used_percent: used, resets_at: at }: QuotaWindow) => [name, used, at]);

describe('shares by name', () => {
  it('are the 5h, the weekly and the monthly limit, in this order', () => {
    const usages = {
      limit_month_code: { used_ratio: 0.15 },
      limit_month_total: { used_ratio: '0.2' },
      limit_7d: { used_ratio: 0.4, reset_time: '2026-11-27T00:00:00.123456789Z' },
      limit_5h: { used_ratio: 0.12, reset_time: '2026-11-21T15:00:00Z' },
    };
    expect(windows({ usages })).toEqual([
      ['5h limit', 12, '2026-11-21T15:00:00.000Z'],
      ['Weekly limit', 40, '2026-11-27T00:00:00.123Z'],
      ['Monthly limit', 20, null],
    ]);
    expect(read({ usages })!.windows[2]!.code_percent).toBe(15);
    expect(windows({ usages: { limit_month_code: { used_ratio: 0.15 } } })).toEqual([['Monthly limit (coding)', 15, null]]);
  });

  it.each([
    [0, 0], [0.0001, 1], [0.07, 7], [0.12, 12], [0.121, 13], [0.29, 29], [0.999, 100], [1, 100], [1.7, 100], [-0.5, 0], ['0.401', 41],
  ])('of %j are %i percent', (ratio, percent) => {
    expect(windows({ usages: { limit_5h: { used_ratio: ratio } } })).toEqual([['5h limit', percent, null]]);
  }); // prettier-ignore

  it.each([undefined, null, '', 'many', {}, [], true])('that are none (%j) are left out', (ratio) => {
    expect(windows({ usages: { limit_5h: { used_ratio: ratio }, limit_7d: { used_ratio: 0.5 } } })).toEqual([['Weekly limit', 50, null]]);
  });

  it('go before counts that stand in the same answer', () => {
    expect(windows({ usages: { limit_5h: { used_ratio: 0.5 } }, usage: { used: 1, limit: 100 } })).toEqual([['5h limit', 50, null]]);
  });
});

describe('counts', () => {
  it('are the limits that are listed, then the weekly one', () => {
    const body = {
      usage: { used: '40', limit: '1000', resetTime: '2026-11-27T00:00:00Z' },
      limits: [{ window: { duration: 300, timeUnit: 'TIME_UNIT_MINUTE' }, detail: { used: '1', limit: '100', resetTime: '2026-11-21T13:00:00Z' } }],
    };
    expect(windows(body)).toEqual([['5h limit', 1, '2026-11-21T13:00:00.000Z'], ['Weekly limit', 4, '2026-11-27T00:00:00.000Z']]);
  });

  it.each([
    [{ window: { duration: 5, timeUnit: 'TIME_UNIT_HOUR' } }, '5h limit'],
    [{ window: { duration: '1', timeUnit: 'TIME_UNIT_DAY' } }, '1d limit'],
    [{ window: { duration: 7, timeUnit: 'TIME_UNIT_DAY' } }, 'Weekly limit'],
    [{ window: { duration: 1, timeUnit: 'TIME_UNIT_WEEK' } }, 'Weekly limit'],
    [{ window: { duration: 90, timeUnit: 'TIME_UNIT_MINUTE' } }, '90m limit'],
    [{ window: { duration: 5, timeUnit: 'FORTNIGHT' } }, 'Limit 1'],
    [{ window: { duration: 5, timeUnit: 'constructor' } }, 'Limit 1'],
    [{ window: { duration: 1e308, timeUnit: 'TIME_UNIT_WEEK' } }, 'Limit 1'],
    [{ name: ' \u001B\u0007 ' }, 'Limit 1'],
    [{}, 'Limit 1'],
    [{ name: 'Mine' }, 'Mine'],
    [{ title: 'Titled', window: { duration: 300, timeUnit: 'TIME_UNIT_MINUTE' } }, 'Titled'],
    [{ detail: { scope: 'Scoped' } }, 'Scoped'],
    [{ name: 'a\u001b[31m\nb' }, 'a [31m b'],
  ])('of %j are called %s', (item, name) => {
    expect(windows({ limits: [{ used: 1, limit: 2, ...item }] })).toEqual([[name, 50, null]]);
  });

  it.each([
    [{ used: 1, limit: 4 }, 25],
    [{ remaining: '3', limit: '4' }, 25],
    [{ used: 9, limit: 4 }, 100],
    [{ remaining: 9, limit: 4 }, 0],
  ])('%j are %i percent, in detail or directly', (detail, percent) => {
    expect(windows({ limits: [{ name: 'x', detail }, { name: 'x', ...detail }] })).toEqual([['x', percent, null], ['x', percent, null]]);
  });

  it.each([{ used: 1 }, { limit: 5 }, { used: 0, limit: 0 }, { used: 'x', limit: 5 }, {}, { used: 1, limit: -1 }])('that tell too little are left out: %j', (usage) => {
    expect(windows({ usage, limits: [usage, null, 'x'] })).toEqual([]);
  });

  it.each(['reset_at', 'resetAt', 'reset_time', 'resetTime'])('are reset at %s', (key) => {
    expect(windows({ usage: { used: 1, limit: 2, [key]: '2026-11-22T00:00:00+02:00' } })).toEqual([['Weekly limit', 50, '2026-11-21T22:00:00.000Z']]);
    expect(windows({ usage: { used: 1, limit: 2, [key]: 'soon' } })).toEqual([['Weekly limit', 50, null]]);
  });

  it.each(['reset_in', 'resetIn', 'ttl'])('are reset %s seconds from now', (key) => {
    expect(windows({ usage: { used: 1, limit: 2, [key]: '3600' } })).toEqual([['Weekly limit', 50, '2026-11-21T13:00:00.000Z']]);
    expect(windows({ usage: { used: 1, limit: 2, [key]: 1e300 } })).toEqual([['Weekly limit', 50, null]]);
  });
});

describe('extra usage', () => {
  const wallet = (changes: object = {}, balance: object = {}) => ({
    boosterWallet: {
      balance: { type: 'BOOSTER', amount: '2000000000', amountLeft: '1500000000', ...balance },
      monthlyChargeLimitEnabled: true, monthlyChargeLimit: { priceInCents: '5000', currency: 'eur' }, monthlyUsed: { priceInCents: '1250' }, ...changes,
    },
  }); // prettier-ignore

  it('is told in hundredths of its currency', () => {
    expect(read(wallet())).toEqual({ windows: [], extra: { currency: 'EUR', total_cents: 2000, left_cents: 1500, monthly_limit_cents: 5000, monthly_used_cents: 1250 } });
    expect(read(wallet({ monthlyChargeLimit: undefined, monthlyUsed: undefined }))!.extra).toMatchObject({ currency: 'USD', monthly_limit_cents: null, monthly_used_cents: 0 });
  });

  it.each([{ monthlyChargeLimitEnabled: false }, { monthlyChargeLimit: { priceInCents: 0 } }])('has no limit with %j', (changes) => {
    expect(read(wallet(changes))!.extra!.monthly_limit_cents).toBeNull();
  });

  it('counts less than a cent as one, and nothing as nothing', () => {
    expect(read(wallet({}, { amountLeft: '1' }))!.extra!.left_cents).toBe(1);
    expect(read(wallet({}, { amountLeft: '0' }))!.extra!.left_cents).toBe(0);
  });

  it.each([{ type: 'OTHER' }, { amount: '0' }, { amount: undefined }, { amount: '-5' }])('is none with %j', (balance) => {
    expect(read(wallet({}, balance))!.extra).toBeNull();
  });
});

describe('an answer', () => {
  it.each(['', '[]', 'null', '{}', '<html>', '{"usages": 3}', '"usage"', '{"limits": {}}'])('that is no usage is told from one: %s', (text) => {
    expect(parseUsage(text, NOW)).toBeUndefined();
  });

  it('of any form breaks nothing, and no percent leaves its range', () => {
    const usage = fc.record({ usages: fc.dictionary(fc.constantFrom('limit_5h', 'limit_7d', 'limit_month_total', 'limit_month_code'), fc.anything()), usage: fc.anything(), limits: fc.array(fc.anything()), boosterWallet: fc.anything() }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.oneof(usage, fc.anything()), (value) => {
        let text: string | undefined;
        try {
          text = JSON.stringify(value);
        } catch {
          return;
        }
        for (const { used_percent: used } of parseUsage(text ?? '', NOW)?.windows ?? []) expect(used >= 0 && used <= 100 && Number.isInteger(used)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
