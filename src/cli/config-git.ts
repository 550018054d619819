import { Argument, Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import type { Format } from './output.ts';
import { saveAndPrint } from './save.ts';

const TRAILERS = {
  'coauthor-trailer': { key: 'coauthor_trailer', what: 'Co-authored-by line' },
  dco: { key: 'dco', what: 'Signed-off-by line' },
} as const;

const switchTrailer = async (name: keyof typeof TRAILERS, verb: 'enable' | 'disable', format: Format, deps: Deps): Promise<void> => {
  const { gitEdits } = await import('../config/change-settings.ts');
  const { key, what } = TRAILERS[name];
  const on = verb === 'enable';
  const state = `commits of agents get ${on ? 'a' : 'no'} ${what}`;
  await saveAndPrint(
    {
      workspace: undefined,
      change: (current) => gitEdits(current, key, on),
      done: state,
      unchanged: `${state}, as before`,
      data: { setting: `git.${key}`, value: on },
    },
    format,
    deps,
  );
};

const trailerCommand = (context: Context, name: keyof typeof TRAILERS) =>
  new Command(name)
    .summary(`add a ${TRAILERS[name].what} to every commit of an agent, or no longer`)
    .addArgument(new Argument('<enable|disable>').choices(['enable', 'disable'] as const))
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((verb, flags) => switchTrailer(name, verb, flags.format, context.deps));

export const gitCommand = (context: Context) =>
  new Command('git')
    .summary('trailers of commits that agents make')
    .addCommand(trailerCommand(context, 'coauthor-trailer'))
    .addCommand(trailerCommand(context, 'dco'));
