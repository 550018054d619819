import { Command } from '@commander-js/extra-typings';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption, parseRoleKey } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { saveAndPrint } from './save.ts';

const setTrust = async (role: string, trusted: boolean, format: Format, deps: Deps): Promise<void> => {
  const { trustEdits } = await import('../config/change-settings.ts');
  const { builtInRoles } = await import('../roles/find-role.ts');
  if ((await builtInRoles(deps.packageRoot)).includes(role)) {
    throw new JackinError('usage', `${role} is built in: it is part of jackin, and trusted with it`);
  }
  const done = trusted ? `${role} is trusted: its Dockerfile may be built and run` : `${role} is not trusted`;
  const change = (current: Record<string, unknown>) => trustEdits(current, role, trusted);
  await saveAndPrint({ workspace: undefined, change, done, unchanged: `${done}, as before`, data: { role, trusted } }, format, deps);
};

const list = async (format: Format, deps: Deps): Promise<void> => {
  const { readConfigFiles } = await import('../config/files.ts');
  const { builtInRoles } = await import('../roles/find-role.ts');
  const { global } = await readConfigFiles(locatePaths(deps));
  const builtIn = await builtInRoles(deps.packageRoot);
  const configured = Object.entries(global?.value.roles ?? {}).filter(([role]) => !builtIn.includes(role));
  const roles = [
    ...builtIn.map((role) => ({ role, trusted: true, by: 'built in', git: null })),
    ...configured.map(([role, { trusted = false, git = null }]) => ({ role, trusted, by: global!.document.file, git })),
  ];
  printResult(deps, format, { roles }, () =>
    table([['ROLE', 'TRUSTED', 'BY', 'SOURCE'], ...roles.map(({ role, trusted, by, git }) => [role, trusted ? 'yes' : 'no', by, git ?? ''])]),
  );
};

const trustSwitch = (context: Context, verb: 'grant' | 'revoke', summary: string) =>
  new Command(verb)
    .summary(summary)
    .argument('<role>', 'name or namespace/name', parseRoleKey)
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((role, flags) => setTrust(role, verb === 'grant', flags.format, context.deps));

export const trustCommand = (context: Context) =>
  new Command('trust')
    .summary('roles whose Dockerfile may be built and run')
    .addCommand(trustSwitch(context, 'grant', 'trust a role'))
    .addCommand(trustSwitch(context, 'revoke', 'trust a role no longer'))
    .addCommand(
      new Command('list')
        .summary('list the roles and whether they are trusted')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => list(flags.format, context.deps)),
    );
