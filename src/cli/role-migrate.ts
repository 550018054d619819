import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { hostPath } from './load.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const migrate = async (folder: string, dryRun: boolean, format: Format, deps: Deps): Promise<void> => {
  const { migrateRole } = await import('../roles/migrate-role.ts');
  const { unifiedDiff } = await import('../config/diff.ts');
  const { maskText } = await import('../config/mask-text.ts');
  const { file, from, to, before, after } = await migrateRole(hostPath(folder, deps), dryRun);
  const shown = (text: string): string => maskText(text.replace(/^\uFEFF/, ''));
  const diff = after === before ? '' : unifiedDiff(shown(before), shown(after));
  printResult(deps, format, { dry_run: dryRun, file, from, to, changed: after !== before, diff }, () => {
    if (after === before) return `${file} has the newest version already`;
    return dryRun ? `--- ${file} (${from})\n+++ ${file} (${to})\n${diff}\nnothing was written: this was a dry run` : `${file}: ${from} is now ${to}`;
  });
};

export const roleMigrateCommand = (context: Context) =>
  new Command('migrate')
    .summary('bring the manifest of a role in a folder to the newest version')
    .description('Brings the jackin.role.toml of a role’s folder to the newest version. Comments, order and formatting stay.')
    .argument('<folder>', 'folder of the role')
    .option('--dry-run', 'print what would change, and write nothing')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((folder, flags) => migrate(folder, flags.dryRun ?? false, flags.format, context.deps));
