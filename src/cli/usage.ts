import { styleText } from 'node:util';
import { Argument, Command } from '@commander-js/extra-typings';
import type { ExtraUsage, QuotaWindow } from '../agents/kimi-usage.ts';
import type { Deps } from '../launch/deps.ts';
import type { UsageReport } from '../launch/usage.ts';
import { type Context, formatOption, noInputOption, parseLogin } from './options.ts';
import { printable, printResult } from './output.ts';
import { chooser } from './person.ts';

const USUAL_WIDTH = 80;
const MAX_BAR = 40;
const MIN_BAR = 4;
/** From here on a person should know. */
const HIGH = 80;
const FULL = 100;

type Paint = (style: 'red' | 'yellow' | 'green' | 'dim', text: string) => string;

const painter = ({ stdout, env }: Deps): Paint =>
  stdout.isTTY === true && !env.NO_COLOR ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;

/** Whether what is printed may hold more than ASCII, as the C library decides it. */
const isUtf8 = ({ LC_ALL, LC_CTYPE, LANG }: Deps['env']): boolean => /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '');

/** `2 h 10 min`, `3 d 4 h`: the two largest units. */
const inWords = (ms: number): string => {
  const minutes = Math.max(1, Math.ceil(ms / 60_000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  const part = (count: number, unit: string): string[] => (count === 0 ? [] : [`${count} ${unit}`]);
  return days > 0 ? [...part(days, 'd'), ...part(hours, 'h')].join(' ') : [...part(hours, 'h'), ...part(rest, 'min')].join(' ');
};

const resetWords = ({ resets_at: at }: QuotaWindow, now: Date): string => {
  if (at === null) return '';
  const left = new Date(at).getTime() - now.getTime();
  return left <= 0 ? 'resets now' : `resets in ${inWords(left)}`;
};

const barOf = (percent: number, width: number, utf8: boolean): [full: string, rest: string] => {
  // A little is not nothing, and not quite all is not all.
  const share = Math.round((percent / FULL) * width);
  const full = percent >= FULL ? width : Math.min(width - 1, percent > 0 ? Math.max(1, share) : 0);
  return [(utf8 ? '█' : '#').repeat(full), (utf8 ? '░' : '-').repeat(width - full)];
};

const colourOf = (percent: number): 'red' | 'yellow' | 'green' => (percent >= FULL ? 'red' : percent >= HIGH ? 'yellow' : 'green');

interface Sheet {
  now: Date;
  width: number;
  utf8: boolean;
  paint: Paint;
}

/** One line per window; what does not fit goes from the right: the bar gets shorter, then it and the reset take lines of their own. */
const windowLines = (windows: QuotaWindow[], { now, width, utf8, paint }: Sheet): string[] => {
  const longest = (texts: string[]): number => Math.max(0, ...texts.map((text) => text.length));
  const rows = windows.map((window) => {
    const coding = window.code_percent === null ? '' : `coding ${window.code_percent}%, other ${Math.max(0, window.used_percent - window.code_percent)}%`;
    return { ...window, percent: `${window.used_percent}% used`, tail: [resetWords(window, now), coding].filter((text) => text !== '').join('; ') };
  });
  const [names, percents, tails] = [longest(rows.map(({ name }) => name)), longest(rows.map(({ percent }) => percent)), longest(rows.map(({ tail }) => tail))];
  const room = width - names - percents - tails - 8;
  const draw = (percent: number, length: number): string => {
    const [full, rest] = barOf(percent, length, utf8);
    return `[${paint(colourOf(percent), full)}${paint('dim', rest)}]`;
  };
  if (room >= MIN_BAR) {
    const length = Math.min(MAX_BAR, room);
    return rows.map(({ name, percent, tail, used_percent: used }) => `${name.padEnd(names)}  ${draw(used, length)}  ${percent.padStart(percents)}  ${tail}`.trimEnd());
  }
  return rows.flatMap(({ name, percent, tail, used_percent: used }) => [
    `${name}: ${percent}`,
    ...(width >= MIN_BAR + 2 ? [draw(used, Math.min(MAX_BAR, width - 2))] : []),
    ...(tail === '' ? [] : [tail]),
  ]);
};

const money = (cents: number, currency: string): string => `${(cents / 100).toFixed(2)} ${currency}`;

const extraLine = ({ currency, total_cents: total, left_cents: left, monthly_limit_cents: limit, monthly_used_cents: used }: ExtraUsage): string => {
  const month = limit === null ? `${money(used, currency)} used this month, without a limit` : `${money(used, currency)} of ${money(limit, currency)} used this month`;
  return `Extra usage: ${money(left, currency)} of ${money(total, currency)} left; ${month}`;
};

/** The usage for a person, in lines of at most `width` where they can be had. */
const usageText = ({ login, account, dir, windows, extra }: UsageReport, sheet: Sheet): string => {
  const who = account === null ? '' : ` (${account})`;
  const head = login === null ? `Kimi, login in ${dir}${who}` : `Kimi, login ${login} of jackin's own${who}`;
  const lines = windows.length === 0 ? ['The server names no limits.'] : windowLines(windows, sheet);
  return [printable(head).replaceAll('\n', ' '), '', ...lines, ...(extra === null ? [] : ['', extraLine(extra)])].join('\n');
};

export const usageCommand = ({ deps }: Context) =>
  new Command('usage')
    .summary('print how much of the quotas of a coding plan is used')
    .description('Asks Kimi how much of its quotas is used, with the login that a launch from here would use. Renews and changes no login of the host.')
    .addArgument(new Argument('<agent>', 'whose plan').choices(['kimi'] as const))
    .option('--login <account>', 'login of jackin’s own; without it what [kimi] login decides for this directory, else the host’s login', parseLogin)
    .addOption(noInputOption())
    .addOption(formatOption())
    .action(async (_agent, { login, input, format }) => {
      const { gatherUsage } = await import('../launch/usage.ts');
      const report = await gatherUsage(login, input ? chooser(deps) : undefined, deps);
      const sheet = { now: deps.now(), width: deps.stdout.columns ?? USUAL_WIDTH, utf8: isUtf8(deps.env), paint: painter(deps) };
      // Its colours are its own: nothing else in it comes unchecked from a server or a file.
      if (format === 'json') printResult(deps, format, report, () => '');
      else deps.stdout.write(`${usageText(report, sheet)}\n`);
    });
