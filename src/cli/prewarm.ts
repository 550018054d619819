import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import type { PrewarmRequest, ReadyAgent, ReadyRole } from '../launch/prewarm.ts';
import { parseRole } from './load.ts';
import { type Context, formatOption, noInputOption } from './options.ts';
import { type Format, printResult, say } from './output.ts';
import { confirmer } from './person.ts';
import { progressPrinter } from './progress.ts';

const agentText = ({ agent, version, from }: ReadyAgent): string => (from === null || from === version ? `${agent} ${version}` : `${agent} ${from} → ${version}`);

const roleText = ({ role, image, agents }: ReadyRole): string => `${role}: ${[image, ...agents.map(agentText)].join(', ')}: ready`;

const dataOf = (roles: ReadyRole[]) => ({
  roles: roles.map(({ role, image, construct, agents }) => ({
    role,
    construct: { reference: construct },
    image: { tag: image },
    agents: Object.fromEntries(agents.map(({ agent, volume, version, from }) => [agent, { name: volume, version, from }])),
  })),
  volumes: { runtime: { name: roles[0]?.runtimeVolume ?? null } },
});

const run = async (request: PrewarmRequest, format: Format, input: boolean, deps: Deps): Promise<void> => {
  const { prewarm } = await import('../launch/prewarm.ts');
  const progress = progressPrinter(deps);
  const asking = { say: (line: string) => say(deps, line), report: progress.report, confirm: input ? confirmer(deps) : undefined };
  const roles = await prewarm(request, asking, deps).finally(progress.end);
  printResult(deps, format, dataOf(roles), () => roles.map(roleText).join('\n'));
};

const collectAgents = (value: string, previous: AgentSlug[] | undefined): AgentSlug[] => {
  const slug = AGENT_SLUGS.find((one) => one === value);
  if (slug === undefined) throw new InvalidArgumentError(`Allowed choices are ${AGENT_SLUGS.join(', ')}.`);
  return [...new Set([...(previous ?? []), slug])];
};

export const prewarmCommand = (context: Context) =>
  new Command('prewarm')
    .summary('build and download everything that a load would need')
    .description('Builds and downloads everything that a load would need, so that it needs no network. Looks for newer versions of what is not pinned.')
    .argument('[role...]', 'role names, or paths of role folders; without any: agent-smith, and every other role that is cached and trusted')
    .option('--agent <agent>', 'agent to make ready (repeatable); without any: those that are logged in here', collectAgents)
    .addOption(noInputOption())
    .addOption(formatOption())
    .action(async (roles, flags) => {
      const { deps } = context;
      await run({ roles: roles.map((role) => parseRole(role, deps)), agents: flags.agent ?? [] }, flags.format, flags.input, deps);
    });
