import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import type { CopyRequest } from '../launch/copy.ts';
import type { SkipReason } from '../shared/copied.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, say } from './output.ts';

const HINT = { hint: 'as in `jackin cp ./report.md agent-smith:/home/agent/`; a path of this machine with a colon in it is written ./a:b' };

/** `SELECTOR:PATH`, or undefined for a path of this machine: one without a colon, or that begins like a path. */
const instanceSide = (side: string): { selector: string; inside: string } | undefined => {
  const colon = side.indexOf(':');
  if (colon === -1 || /^[/.~]/.test(side)) return undefined;
  const [selector, inside] = [side.slice(0, colon), side.slice(colon + 1)];
  if (selector === '' || inside === '') throw new JackinError('usage', `${JSON.stringify(side)} names no ${selector === '' ? 'instance before' : 'path after'} the colon`, HINT);
  return { selector, inside };
};

const requestOf = (source: string, target: string): CopyRequest => {
  if (source === '' || target === '') throw new JackinError('usage', 'a path is empty', HINT);
  const [from, to] = [instanceSide(source), instanceSide(target)];
  if (from !== undefined && to === undefined) return { direction: 'out', ...from, host: target };
  if (to !== undefined && from === undefined) return { direction: 'in', ...to, host: source };
  throw new JackinError('usage', from === undefined ? 'neither of the two paths is in an instance' : 'both paths are in instances: one must be of this machine', HINT);
};

const amount = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

const size = (bytes: number): string => {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? amount(bytes, 'byte') : `${(bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
};

const REASONS: Record<SkipReason, [one: string, many: string]> = {
  link: ['link that leads out', 'links that lead out'],
  special: ['thing that is neither a file nor a directory', 'things that are neither files nor directories'],
  name: ['name that is not UTF-8', 'names that are not UTF-8'],
};
const SHOWN = 10;

/** A path as one line: in a list of names a line break would be a name of its own. */
const oneLine = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\ufffd');

/** `skipped 2 links that lead out: a, b`, for each reason. */
const skippedLines = ({ total, named }: { total: number; named: { path: string; why: SkipReason }[] }): string[] => {
  const lines = (Object.keys(REASONS) as SkipReason[]).flatMap((why) => {
    const paths = named.filter((one) => one.why === why).map((one) => oneLine(one.path));
    if (paths.length === 0) return [];
    const more = paths.length > SHOWN ? ', …' : '';
    return [`skipped ${amount(paths.length, ...REASONS[why])}: ${paths.slice(0, SHOWN).join(', ')}${more}`];
  });
  return total > named.length ? [...lines, `skipped ${total - named.length} more`] : lines;
};

const run = async (source: string, target: string, format: Format, deps: Deps): Promise<void> => {
  const request = requestOf(source, target);
  const { copy } = await import('../launch/copy.ts');
  const { instanceId, container, from, to, copied, skipped } = await copy(request, deps);
  if (format === 'json') {
    const data = { instance_id: instanceId, container, direction: request.direction, from, to, ...copied, skipped_total: skipped.total, skipped: skipped.named };
    printResult(deps, format, data, () => '');
    return;
  }
  const parts = [amount(copied.files, 'file'), ...(copied.links > 0 ? [amount(copied.links, 'link')] : []), size(copied.bytes)];
  say(deps, [`copied ${parts.join(', ')} to ${oneLine(to)}`, ...skippedLines(skipped)].join('; '));
};

export const cpCommand = (context: Context) =>
  new Command('cp')
    .summary('copy files into an instance, or out of it')
    .description(
      'Copies a file or a directory between this machine and an instance that runs: into an existing directory, or to a new name. Modes and times are kept; links that lead out of what is copied are left out and named.',
    )
    .argument('<source>', 'a path, or SELECTOR:PATH for one in an instance')
    .argument('<target>', 'the same; exactly one of the two is in an instance')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(async (source, target, { format }) => {
      await run(source, target, format, context.deps);
    });
