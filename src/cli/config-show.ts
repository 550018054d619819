import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { ChainLink, Explanation } from '../config/explain.ts';
import type { Origin } from '../config/layers.ts';
import type { Deps } from '../launch/deps.ts';
import { openView, type ViewFlags } from './config-view.ts';
import { type Context, formatOption, noInputOption, roleOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';

const place = ({ layer, file, line }: Origin) => ({ layer, file: file ?? null, line: line ?? null });

const show = async (flags: ViewFlags, format: Format, deps: Deps): Promise<void> => {
  const { explainAll } = await import('../config/explain.ts');
  const { describeOrigin } = await import('../config/layers.ts');
  const { place: { files }, about, data, rows } = await openView(flags, 'config show', deps); // prettier-ignore
  const settings = explainAll(files, about);
  printResult(deps, format, { ...data, settings: settings.map(({ key, value, origin }) => ({ key, value, ...place(origin) })) }, () => {
    const decided = settings.map(({ key, text, value, origin }) => [key, text, value === null && origin.layer === 'default' ? '' : describeOrigin(origin)]);
    return `${table(rows)}\n\n${table([['SETTING', 'VALUE', 'DECIDED BY'], ...decided])}`;
  });
};

const linkData = ({ layer, file, line, value, verdict }: ChainLink) => ({ layer, file, line, value, verdict });

const linkRow = ({ layer, file, line, text, verdict }: ChainLink): string[] => {
  const where = file === null ? '' : `${file}${line === null ? '' : `:${line}`}`;
  return [verdict === 'decided' ? '>' : ' ', layer, text, verdict, where];
};

const describeExplanation = ({ key, value, text, chain, note }: Explanation): string => {
  const head = value === null ? `${key}: ${text}` : `${key} = ${text}`;
  const links = table(chain.map(linkRow)).split('\n').map((line) => `  ${line}`);
  return [head, ...links, ...(note === null ? [] : [`  note: ${note}`])].join('\n');
};

const explain = async (key: string | undefined, flags: ViewFlags, format: Format, deps: Deps): Promise<void> => {
  const { explainAll, explainKey } = await import('../config/explain.ts');
  const { place: { files }, about, data } = await openView(flags, 'config explain', deps); // prettier-ignore
  const found = key === undefined ? explainAll(files, about) : explainKey(files, about, key);
  const settings = found.map(({ key: name, value, origin, chain, note }) => ({
    key: name,
    value,
    ...place(origin),
    chain: chain.map(linkData),
    note,
  }));
  printResult(deps, format, { ...data, settings }, () => found.map(describeExplanation).join('\n\n'));
};

const WORKSPACE = 'saved workspace; without it the one of this directory, as load takes it';
const ROLE = 'role; without it the one that a load there would take';

export const showCommand = (context: Context) =>
  new Command('show')
    .summary('print the settings that a launch would use, and who decided each')
    .option('--workspace <name>', WORKSPACE)
    .addOption(roleOption(ROLE))
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((flags) => show(flags, flags.format, context.deps));

export const explainCommand = (context: Context) =>
  new Command('explain')
    .summary('print who decided a setting, and which layers it beat')
    .description('Prints a setting, the layer that decided it with file and line, and every layer that was asked. Without a key: all settings.')
    .argument('[key]', 'setting such as kimi.auth_forward, env.NAME or mounts; a table means all of it')
    .option('--workspace <name>', WORKSPACE)
    .addOption(roleOption(ROLE))
    .addOption(new Option('--agent <agent>', 'only this agent; keys may then be short, such as auth_forward').choices(AGENT_SLUGS))
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((key, flags) => explain(key, flags, flags.format, context.deps));
