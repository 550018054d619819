import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import type { ListedRole } from '../launch/roles.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';

const short = (commit: string | null): string => commit?.slice(0, 12) ?? '-';

const newestOf = ({ newest, newest_broken: broken }: ListedRole): string => `${short(newest)}${broken === null ? '' : ' (broken)'}`;

const list = async (format: Format, deps: Deps): Promise<void> => {
  const { listRoles } = await import('../launch/roles.ts');
  const roles = await listRoles(deps);
  printResult(deps, format, { roles }, () =>
    table([
      ['ROLE', 'TRUSTED', 'IN USE', 'NEWEST', 'FETCHED', 'PINNED', 'SOURCE'],
      ...roles.map((one) => [one.role, one.trusted ? 'yes' : 'no', short(one.commit), newestOf(one), one.fetched_at?.slice(0, 10) ?? '-', one.pinned ? 'yes' : '', one.git ?? 'built in']),
    ]),
  );
};

export const roleListCommand = (context: Context) =>
  new Command('list')
    .summary('list the roles that are built in, configured or cached')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((flags) => list(flags.format, context.deps));
