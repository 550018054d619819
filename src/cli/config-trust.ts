import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption, parseCommit, parseRoleKey } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { roleAsking } from './role-asking.ts';
import { saveAndPrint } from './save.ts';

const assertNotBuiltIn = async (role: string, deps: Deps): Promise<void> => {
  const { listRoles } = await import('../launch/roles.ts');
  if (!(await listRoles(deps)).some((one) => one.role === role && one.source === 'built-in')) return;
  throw new JackinError('usage', `${role} is built in: it is part of jackin, and trusted with it`);
};

const grant = async (role: string, commit: string | undefined, format: Format, deps: Deps): Promise<void> => {
  await assertNotBuiltIn(role, deps);
  const { grantTrust } = await import('../launch/roles.ts');
  const { trustEdits } = await import('../config/change-settings.ts');
  const { asking, end } = roleAsking(deps, false);
  const record = await grantTrust(role, commit, asking, deps).finally(end);
  if (record !== undefined) {
    const data = { role, trusted: true, commit: record.commit, git: record.url };
    printResult(deps, format, data, () => `${role} is trusted at ${record.commit.slice(0, 12)} (${record.url}): what it holds may be built and run`);
    return;
  }
  const done = `${role} is trusted: the commit that is fetched first may be built and run, and a later one that changes what runs is asked about`;
  const change = (current: Record<string, unknown>) => trustEdits(current, role, true);
  await saveAndPrint({ workspace: undefined, change, done, unchanged: `${done}, as before`, data: { role, trusted: true } }, format, deps);
};

const revoke = async (role: string, format: Format, deps: Deps): Promise<void> => {
  await assertNotBuiltIn(role, deps);
  const { revokeTrust } = await import('../launch/roles.ts');
  const { trustEdits } = await import('../config/change-settings.ts');
  const recorded = await revokeTrust(role, deps);
  const done = `${role} is not trusted`;
  const change = (current: Record<string, unknown>) => trustEdits(current, role, false);
  await saveAndPrint({ workspace: undefined, change, done, unchanged: recorded ? done : `${done}, as before`, data: { role, trusted: false } }, format, deps);
};

const list = async (format: Format, deps: Deps): Promise<void> => {
  const { listRoles } = await import('../launch/roles.ts');
  const roles = (await listRoles(deps)).map(({ role, trusted, trusted_by, git, commit }) => ({ role, trusted, by: trusted_by, git, commit }));
  printResult(deps, format, { roles }, () =>
    table([['ROLE', 'TRUSTED', 'COMMIT', 'BY', 'SOURCE'], ...roles.map((one) => [one.role, one.trusted ? 'yes' : 'no', one.commit?.slice(0, 12) ?? '-', one.by ?? '-', one.git ?? 'built in'])]),
  );
};

export const trustCommand = (context: Context) =>
  new Command('trust')
    .summary('roles whose Dockerfile may be built and run')
    .addCommand(
      new Command('grant')
        .summary('trust a role beforehand')
        .description('Trusts the commit of the role that is cached, or the one that is named; where none is, the one that is fetched first. Later commits that change what runs are asked about all the same.')
        .argument('<role>', 'name or namespace/name', parseRoleKey)
        .option('--commit <commit>', 'trust this commit, all 40 digits of it', parseCommit)
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((role, flags) => grant(role, flags.commit, flags.format, context.deps)),
    )
    .addCommand(
      new Command('revoke')
        .summary('trust a role no longer')
        .argument('<role>', 'name or namespace/name', parseRoleKey)
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((role, flags) => revoke(role, flags.format, context.deps)),
    )
    .addCommand(
      new Command('list')
        .summary('list the roles and whether they are trusted')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => list(flags.format, context.deps)),
    );
