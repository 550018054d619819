import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import { parseRole } from './load.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';
import { progressPrinter } from './person.ts';

const prewarm = async (role: string, agent: AgentSlug | undefined, format: Format, deps: Deps): Promise<void> => {
  const { prewarmRole } = await import('../launch/prewarm.ts');
  const progress = progressPrinter(deps);
  const { slug, prepared } = await prewarmRole(parseRole(role, deps), agent, progress.report, deps).finally(progress.end);
  const data = {
    construct: { reference: prepared.construct },
    image: { tag: prepared.image },
    volumes: { runtime: { name: prepared.runtimeVolume }, agents: { [slug]: prepared.agentVolume } },
  };
  printResult(deps, format, data, () => `${prepared.image} and ${slug} ${prepared.agentVolume.version} are ready`);
};

export const prewarmCommand = (context: Context) =>
  new Command('prewarm')
    .summary('build and download everything that a load of the role would need')
    .argument('<role>', 'role name, or the path of a role folder')
    .addOption(new Option('--agent <agent>', 'agent to make ready').choices(AGENT_SLUGS))
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((role, flags) => prewarm(role, flags.agent, flags.format, context.deps));
