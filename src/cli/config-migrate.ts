import { Command } from '@commander-js/extra-typings';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const migrate = async (dryRun: boolean, format: Format, deps: Deps): Promise<void> => {
  const { migrateAll } = await import('../config/migrate.ts');
  const { unifiedDiff } = await import('../config/diff.ts');
  const { maskText } = await import('../config/mask-text.ts');
  const migrations = await migrateAll(locatePaths(deps), { dryRun, now: deps.now() });
  const shown = (text: string): string => maskText(text.replace(/^\uFEFF/, ''));
  const files = migrations.map(({ file, from, to, before, after, backup }) => ({
    file,
    from,
    to,
    is_new: before === '',
    backup,
    diff: unifiedDiff(shown(before), shown(after)),
  }));
  printResult(deps, format, { dry_run: dryRun, files }, () => {
    if (files.length === 0) return 'every file has the newest version already';
    const lines = files.map(({ file, from, to, is_new: isNew, backup, diff }) => {
      if (dryRun) return `--- ${isNew ? '/dev/null' : `${file} (${from})`}\n+++ ${file} (${to})\n${diff}`;
      if (isNew) return `${file}: made from what stood in config.toml`;
      return `${file}: ${from} is now ${to}; the text before is kept in ${backup}`;
    });
    return [...lines, ...(dryRun ? ['nothing was written: this was a dry run'] : [])].join('\n');
  });
};

export const migrateCommand = (context: Context) =>
  new Command('migrate')
    .summary('bring every configuration file to the newest version')
    .description('Brings every configuration file to the newest version, each by itself. The text before is kept in the jackin home.')
    .option('--dry-run', 'print what would change, and write nothing')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((flags) => migrate(flags.dryRun ?? false, flags.format, context.deps));
