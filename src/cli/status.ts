import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { messageOf } from '../shared/errors.ts';
import { type Format, printResult, say, table } from './output.ts';

const status = async (format: Format, deps: Deps): Promise<void> => {
  const { openInstances } = await import('../launch/open-instances.ts');
  const { isShown, stateOf } = await import('../instances/find.ts');
  const { reviveKeeper } = await import('../launch/revive-keeper.ts');
  const { instances, paths } = await openInstances(deps);
  const revived = await reviveKeeper(instances, paths, deps).catch((error: unknown) => `the keeper of the logins cannot be started: ${messageOf(error)}`);
  if (revived !== false) say(deps, `note       ${revived === true ? 'instances hold a login and no keeper ran: it was started' : revived}`);
  const data = instances.filter(isShown).map((instance) => ({
    instance_id: instance.id,
    container: instance.container,
    role: instance.role,
    workspace: instance.workspace,
    agent: instance.record?.agent ?? null,
    state: stateOf(instance),
    exit_code: instance.engine?.exitCode ?? null,
    created_at: instance.record?.created_at ?? null,
  }));
  printResult(deps, format, { instances: data }, () => {
    if (data.length === 0) return 'no instances';
    const state = (row: (typeof data)[number]): string => (row.state === 'exited' ? `exited (${row.exit_code})` : row.state);
    const rows = data.map((row) => [row.instance_id, state(row), row.role, row.agent ?? '-', row.workspace ?? '-', row.created_at ?? '-']);
    return table([['ID', 'STATE', 'ROLE', 'AGENT', 'WORKSPACE', 'CREATED'], ...rows]);
  });
};

export const statusCommand = (context: Context) =>
  new Command('status')
    .alias('ps')
    .summary('list the instances')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((flags) => status(flags.format, context.deps));
