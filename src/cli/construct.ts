import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';
import { progressPrinter } from './progress.ts';

const HOUR_MS = 60 * 60 * 1000;

const ageText = (createdAt: string, now: Date): string => {
  const hours = Math.max(0, Math.floor((now.getTime() - Date.parse(createdAt)) / HOUR_MS));
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} days ago`;
};

const status = async (format: Format, deps: Deps): Promise<void> => {
  const { showConstruct } = await import('../launch/construct.ts');
  const { reference, image, how, tools } = await showConstruct(deps);
  const data = {
    reference,
    present: image !== undefined,
    id: image?.id ?? null,
    size: image?.bytes ?? null,
    created_at: image?.createdAt ?? null,
    how,
    tools: tools ?? null,
  };
  printResult(deps, format, data, () =>
    [
      `construct  ${reference}`,
      image === undefined
        ? 'image      not there yet: the first load makes it, or `jackin construct build`'
        : `image      ${image.id.slice(7, 19)}, ${(image.bytes / 1e6).toFixed(0)} MB, made ${ageText(image.createdAt, deps.now())}`,
      `how        ${how}`,
      ...(tools === undefined ? [] : [`tools      ${tools.join(' ')}`]),
    ].join('\n'),
  );
};

const build = async (rebuild: boolean, format: Format, deps: Deps): Promise<void> => {
  const { buildConstruct } = await import('../launch/construct.ts');
  const progress = progressPrinter(deps);
  const { reference, id, built, how } = await buildConstruct(rebuild, progress.report, deps).finally(progress.end);
  printResult(deps, format, { reference, id, built, how }, () => (built ? `${reference} is built ${how}` : `${reference} is there already`));
};

export const constructCommand = (context: Context) =>
  new Command('construct')
    .summary('see and make the base image of all roles')
    .description('The construct is the image that every role builds on. It is made once on each engine, from Debian packages, without a registry of images.')
    .addCommand(
      new Command('status')
        .summary('show the construct of this engine, how it is made and what it holds')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => status(flags.format, context.deps)),
    )
    .addCommand(
      new Command('build')
        .summary('make the construct, unless it is there')
        .option('--rebuild', 'make it anew, from the newest packages; roles take it on when they are built anew')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => build(flags.rebuild ?? false, flags.format, context.deps)),
    );
