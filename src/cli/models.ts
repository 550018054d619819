import { Argument, Command, Option } from '@commander-js/extra-typings';
import type { ModelList } from '../launch/kimi-models.ts';
import { asksNothing, type Context, formatOption, parseLogin } from './options.ts';
import { type Format, printResult, say, table } from './output.ts';

const asText = ({ models, default_model }: ModelList): string =>
  table([
    ['alias', 'model', 'context', 'can'],
    ...models.map(({ alias, id, context, capabilities }) => [`${alias}${alias === default_model ? ' (default)' : ''}`, id, String(context ?? '-'), capabilities.join(', ') || '-']),
  ]);

const print = async (login: string | undefined, { update, format }: { update: boolean; format: Format }, { deps }: Context): Promise<void> => {
  const { listKimiModels } = await import('../launch/kimi-models.ts');
  const list = await listKimiModels(login, update, deps);
  const whose = list.login ?? `the login in ${list.dir}`;
  say(deps, list.from === 'server' ? `Models of ${whose}, as the server lists them.` : `Models of ${whose}, as its configuration lists them: ${list.why}.`);
  printResult(deps, format, list, () => asText(list));
  if (list.updated) say(deps, `Written into ${list.dir}/config.toml; containers get it when they start.`);
};

export const modelsCommand = (context: Context) =>
  new Command('models')
    .summary('print the models of a login, by the names that --model takes')
    .addArgument(new Argument('<agent>', 'whose models').choices(['kimi'] as const))
    .addOption(new Option('--login <name>', 'a login of jackin\u2019s own; without it the login that a load from here would use').argParser(parseLogin))
    .option('--update', 'write the list into the login\u2019s configuration, as Kimi would; for a login of jackin\u2019s own')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((_agent, { login, update = false, format }) => print(login, { update, format }, context));
