import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import type { Instance, Selection } from '../instances/find.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const SELECTOR = 'role, instance id or container name';

const assertNamed = ({ selector, all }: Selection, verb: string): void => {
  if (selector !== undefined || all) return;
  throw new JackinError('usage', `nothing was named to ${verb}`, { hint: `name a role or an instance, or use --all; \`jackin status\` lists them` });
};

const describe = ({ id, container }: Instance): { instance_id: string; container: string } => ({ instance_id: id, container });

const print = (deps: Deps, format: Format, done: Instance[], verb: string): void =>
  printResult(deps, format, { [verb.toLowerCase()]: done.map(describe) }, () =>
    done.length === 0 ? 'nothing to do' : done.map(({ container }) => `${verb} ${container}`).join('\n'),
  );

const eject = async (selection: Selection, flags: { purge: boolean; format: Format }, deps: Deps): Promise<void> => {
  assertNamed(selection, 'eject');
  const { openInstances } = await import('../launch/open-instances.ts');
  const { isPresent, ejectInstance, deleteState } = await import('../instances/lifecycle.ts');
  const { selectInstances } = await import('../instances/find.ts');
  const { engine, paths, instances } = await openInstances(deps);
  const candidates = flags.purge ? instances : instances.filter(isPresent);
  const found = selectInstances(candidates, selection, 'eject');
  for (const instance of found) {
    await ejectInstance(engine, paths, instance, deps.now());
    if (flags.purge) await deleteState(paths, instance);
  }
  print(deps, flags.format, found, flags.purge ? 'Purged' : 'Ejected');
};

const purge = async (selection: Selection, format: Format, deps: Deps): Promise<void> => {
  assertNamed(selection, 'purge');
  const { openInstances } = await import('../launch/open-instances.ts');
  const { assertEjected, deleteState } = await import('../instances/lifecycle.ts');
  const { selectInstances } = await import('../instances/find.ts');
  const { paths, instances } = await openInstances(deps);
  const found = selectInstances(instances, selection, 'purge');
  assertEjected(found);
  for (const instance of found) await deleteState(paths, instance);
  print(deps, format, found, 'Purged');
};

export const ejectCommand = (context: Context) =>
  new Command('eject')
    .summary('stop an instance and remove its container; its state stays')
    .argument('[selector]', SELECTOR)
    .option('--all', 'every instance that matches; without a selector every instance')
    .option('--purge', 'delete the state as well')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((selector, flags) =>
      eject({ selector, all: flags.all ?? false }, { purge: flags.purge ?? false, format: flags.format }, context.deps),
    );

export const purgeCommand = (context: Context) =>
  new Command('purge')
    .summary('delete the state of an ejected instance')
    .argument('[selector]', SELECTOR)
    .option('--all', 'every instance that matches; without a selector every instance')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((selector, flags) => purge({ selector, all: flags.all ?? false }, flags.format, context.deps));
