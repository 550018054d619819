import { isTable, type Table, tableOf, textOf } from './judge.ts';

/**
 * What Kimi's `/usages` answers: how much of each quota is used. There are two forms
 * of it, and which one the server sends depends on the server; both come down to this.
 */

export interface QuotaWindow {
  /** For a person, such as `5h limit`. */
  name: string;
  /** Whole percent, 0 to 100, rounded up: what is nearly used up never shows as less. */
  used_percent: number;
  /** Share of coding in it, in percent, where the server tells. */
  code_percent: number | null;
  /** ISO 8601; null when the server does not tell. */
  resets_at: string | null;
}

/** Extra usage that was paid for. Amounts in hundredths of the currency. */
export interface ExtraUsage {
  currency: string;
  total_cents: number;
  left_cents: number;
  /** Null: no limit. */
  monthly_limit_cents: number | null;
  monthly_used_cents: number;
}

export interface KimiUsage {
  windows: QuotaWindow[];
  extra: ExtraUsage | null;
}

/** Numbers come as numbers and as decimal strings. */
const numberOf = (value: unknown): number | undefined => {
  const number = typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
};

/** 0.07 * 100 is a hair more than 7, which is no reason to show 8. */
const percentOf = (ratio: number): number => Math.min(100, Math.max(0, Math.ceil(Number((ratio * 100).toFixed(6)))));

const RESET_TIMES = ['reset_time', 'resetTime', 'reset_at', 'resetAt'];
const RESET_SECONDS = ['reset_in', 'resetIn', 'ttl'];

const isoOf = (time: number): string | null => {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
};

const resetOf = (entry: Table, now: Date): string | null => {
  const text = RESET_TIMES.map((key) => textOf(entry, key)).find((one) => one !== undefined);
  if (text !== undefined) return isoOf(Date.parse(text));
  const seconds = RESET_SECONDS.map((key) => numberOf(entry[key])).find((one) => one !== undefined);
  return seconds === undefined ? null : isoOf(now.getTime() + seconds * 1000);
};

/** The newer form: a share of each limit, by name. */
const windowsByName = (usages: Table, now: Date): QuotaWindow[] => {
  const read = (key: string): { entry: Table; ratio: number } | undefined => {
    const entry = tableOf(usages, key);
    const ratio = numberOf(entry['used_ratio']);
    return ratio === undefined ? undefined : { entry, ratio };
  };
  const row = (name: string, key: string): QuotaWindow[] => {
    const found = read(key);
    return found === undefined ? [] : [{ name, used_percent: percentOf(found.ratio), code_percent: null, resets_at: resetOf(found.entry, now) }];
  };
  const total = row('Monthly limit', 'limit_month_total');
  const code = row('Monthly limit (coding)', 'limit_month_code');
  const month = total.length === 0 ? code : total.map((window) => ({ ...window, code_percent: code[0]?.used_percent ?? null, resets_at: window.resets_at ?? code[0]?.resets_at ?? null }));
  return [...row('5h limit', 'limit_5h'), ...row('Weekly limit', 'limit_7d'), ...month];
};

const WEEK = 7 * 24 * 60;
const MINUTES: ReadonlyMap<string, number> = new Map([['MINUTE', 1], ['HOUR', 60], ['DAY', 24 * 60], ['WEEK', WEEK]]);

/** `5h limit` for 300 minutes: the largest unit that the length is a whole number of. */
const nameOfLength = (minutes: number): string => {
  if (minutes === WEEK) return 'Weekly limit';
  const units: [string, number][] = [['d', 24 * 60], ['h', 60], ['m', 1]]; // prettier-ignore
  const [unit, length] = units.find(([, size]) => minutes % size === 0) ?? ['m', 1];
  return `${minutes / length}${unit} limit`;
};

const nameOfWindow = (item: Table, index: number): string => {
  const given = ['name', 'title', 'scope'].map((key) => textOf(item, key) ?? textOf(tableOf(item, 'detail'), key)).find((name) => name !== undefined);
  const name = given?.replaceAll(/[^\p{L}\p{N}\p{P}\p{S}]+/gu, ' ').trim().slice(0, 40);
  if (name) return name;
  const window = tableOf(item, 'window');
  const unit = MINUTES.get((textOf(window, 'timeUnit') ?? textOf(window, 'time_unit') ?? '').replace(/^TIME_UNIT_/, ''));
  const minutes = (numberOf(window['duration']) ?? 0) * (unit ?? 0);
  return minutes > 0 && Number.isSafeInteger(minutes) ? nameOfLength(minutes) : `Limit ${index + 1}`;
};

/** The older form: so much of a limit, which may be told as what is left of it. */
const countedWindow = (name: string, detail: Table, now: Date): QuotaWindow[] => {
  const limit = numberOf(detail['limit']);
  const left = numberOf(detail['remaining']);
  const used = numberOf(detail['used']) ?? (limit === undefined || left === undefined ? undefined : limit - left);
  if (limit === undefined || limit <= 0 || used === undefined) return [];
  return [{ name, used_percent: percentOf(used / limit), code_percent: null, resets_at: resetOf(detail, now) }];
};

const windowsByCount = (body: Table, now: Date): QuotaWindow[] => {
  const limits = Array.isArray(body['limits']) ? body['limits'].filter(isTable) : [];
  const listed = limits.flatMap((item, index) => countedWindow(nameOfWindow(item, index), { ...item, ...tableOf(item, 'detail') }, now));
  return [...listed, ...countedWindow('Weekly limit', tableOf(body, 'usage'), now)];
};

/** Fixed point, in millionths of a cent; less than a cent that is there counts as one. */
const centsOf = (value: unknown): number => {
  const cents = (numberOf(value) ?? 0) / 1_000_000;
  return cents > 0 && cents < 1 ? 1 : Math.max(0, Math.floor(cents));
};

const extraOf = (wallet: Table): ExtraUsage | null => {
  const balance = tableOf(wallet, 'balance');
  if (balance['type'] !== 'BOOSTER' || (numberOf(balance['amount']) ?? 0) <= 0) return null;
  const limit = tableOf(wallet, 'monthlyChargeLimit');
  const used = tableOf(wallet, 'monthlyUsed');
  const monthly = numberOf(limit['priceInCents']) ?? 0;
  const currency = textOf(limit, 'currency') ?? textOf(used, 'currency') ?? 'USD';
  return {
    currency: /^[A-Za-z]{3}$/.test(currency) ? currency.toUpperCase() : 'USD',
    total_cents: centsOf(balance['amount']),
    left_cents: centsOf(balance['amountLeft']),
    monthly_limit_cents: wallet['monthlyChargeLimitEnabled'] === true && monthly > 0 ? monthly : null,
    monthly_used_cents: numberOf(used['priceInCents']) ?? 0,
  };
};

/** Reads an answer of `/usages`; undefined when it is none. Windows that tell too little are left out. */
export const parseUsage = (text: string, now: Date): KimiUsage | undefined => {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isTable(body) || !(isTable(body['usages']) || isTable(body['usage']) || Array.isArray(body['limits']) || isTable(body['boosterWallet']))) return undefined;
  // Where both forms are there, Kimi Code reads the newer one alone.
  const windows = isTable(body['usages']) ? windowsByName(body['usages'], now) : windowsByCount(body, now);
  return { windows, extra: extraOf(tableOf(body, 'boosterWallet')) };
};
