import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context } from './options.ts';
import { exitCodeOf, sayAfterwards } from './session-end.ts';
import { terminalOf } from './person.ts';

const hardline = async (selector: string | undefined, deps: Deps): Promise<number> => {
  const terminal = terminalOf(deps);
  const { openInstances } = await import('../launch/open-instances.ts');
  const { selectInstances, stateOf } = await import('../instances/find.ts');
  const { attachToInstance } = await import('../launch/attach.ts');
  const { engine, paths, instances } = await openInstances(deps);
  const running = instances.filter((instance) => stateOf(instance) === 'running');
  const [instance] = selectInstances(running, { selector, all: false }, 'hardline');
  if (instance === undefined) {
    throw new JackinError('not-found', 'no instance is running', { hint: 'start one with `jackin load`; `jackin status` lists what there is' });
  }
  const end = await attachToInstance(engine, paths, instance, terminal, deps);
  sayAfterwards(instance.id, end, deps);
  return exitCodeOf(end);
};

export const hardlineCommand = (context: Context) =>
  new Command('hardline')
    .summary('attach to the running session of an instance')
    .description('Attaches to the running session of an instance: the same screen as before. Ctrl-\\ leaves it running.')
    .argument('[selector]', 'role, instance id or container name')
    .addOption(asksNothing())
    .action(async (selector) => context.exit(await hardline(selector, context.deps)));
