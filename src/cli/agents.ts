import { Argument, Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import type { CachedAgent, CachedVersion, UpdatedAgent } from '../launch/agents.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { progressPrinter } from './progress.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

const sizeText = (bytes: number | null): string => (bytes === null ? '-' : `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`);

const usersText = (users: CachedVersion['used_by']): string => users.map(({ container, running }) => (running ? container : `${container} (stopped)`)).join(', ') || '-';

const ageText = (checkedAt: string | null, now: Date): string => {
  if (checkedAt === null) return 'never by this jackin';
  const days = Math.floor((now.getTime() - Date.parse(checkedAt)) / DAY_MS);
  return days < 1 ? 'today' : days === 1 ? 'yesterday' : `${days} days ago`;
};

const listText = (agents: CachedAgent[], now: Date): string => {
  if (agents.length === 0) return 'no agent is cached yet: `jackin prewarm` or the first `jackin load` downloads one';
  const rows = agents.flatMap(({ agent, versions }) =>
    versions.map((one) => [
      agent,
      one.version,
      one.architecture,
      sizeText(one.size),
      one.created_at?.slice(0, 10) ?? '-',
      [...(one.next ? ['next load'] : []), ...(one.pinned ? ['pinned'] : [])].join(', ') || '-',
      usersText(one.used_by),
    ]),
  );
  const looks = agents.map(({ agent, checked_at }) => `${agent} ${ageText(checked_at, now)}`);
  return `${table([['AGENT', 'VERSION', 'ARCH', 'SIZE', 'MADE', 'USE', 'USED BY'], ...rows])}\nnewer versions were looked for: ${looks.join(', ')}`;
};

const list = async (format: Format, deps: Deps): Promise<void> => {
  const { listAgents } = await import('../launch/agents.ts');
  const agents = await listAgents(deps);
  printResult(deps, format, { agents }, () => listText(agents, deps.now()));
};

/** What came of one agent, and, where that is not what it would seem, what a load starts. */
const updatedText = ({ agent, from, to, pinned_version: pin, next, error }: UpdatedAgent): string[] => {
  if (error !== null) return [`${agent}: ${error.message}`, ...(error.hint === null ? [] : [`${agent}: ${error.hint}`])];
  const change = from === null ? `${to} is ready` : from === to ? `${to} is there already` : `${from} → ${to}`;
  const why = pin === null ? `the newest that is cached; [agents.${agent}] version = "${to}" in the configuration pins this one` : `which the configuration pins`;
  return [`${agent}: ${change}${pin !== null && to === pin ? ', pinned by the configuration' : ''}`, ...(next === null || next === to ? [] : [`${agent}: a load starts ${next}, ${why}`])];
};

const update = async (agent: AgentSlug | undefined, version: string | undefined, format: Format, { deps, exit }: Context): Promise<void> => {
  if (agent === undefined && version !== undefined) throw new JackinError('usage', '--version needs an agent', { hint: `name one: ${AGENT_SLUGS.join(', ')}` });
  const { updateAgents } = await import('../launch/agents.ts');
  const progress = progressPrinter(deps);
  const result = await updateAgents({ agent, version }, progress.report, deps).finally(progress.end);
  const gone = result.removed.length === 0 ? [] : [`removed what nothing uses any more: ${result.removed.join(', ')}`];
  printResult(deps, format, result, () => [...result.agents.flatMap(updatedText), ...gone].join('\n'));
  if (result.agents.some(({ error }) => error !== null)) exit(1);
};

const parseVersion = (text: string): string => {
  if (/^\d[0-9A-Za-z.+-]{0,100}$/.test(text)) return text;
  throw new InvalidArgumentError('A version is exact, such as 2.1.0.');
};

export const agentsCommand = (context: Context) =>
  new Command('agents')
    .summary('see and renew the agents that are cached')
    .description('Agents are downloaded once for each version and shared by all instances. An instance stays on the version that it was started with.')
    .addCommand(
      new Command('list')
        .summary('list the cached versions of the agents, and which instances use them')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => list(flags.format, context.deps)),
    )
    .addCommand(
      new Command('update')
        .summary('download the newest version of an agent, or a given one')
        .description('Downloads the newest version of an agent, or of all that are cached. The version before stays for going back; what nothing uses any more is removed.')
        .addArgument(new Argument('[agent]', 'which one').choices(AGENT_SLUGS))
        .option('--version <version>', 'this version instead of the newest', parseVersion)
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((agent, flags) => update(agent, flags.version, flags.format, context)),
    );
