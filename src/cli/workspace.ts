import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import type { NewWorkspace } from '../config/new-workspace.ts';
import { hostPath, parseMount } from './load.ts';
import { collect, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const create = async (name: string, wanted: NewWorkspace, format: Format, deps: Deps): Promise<void> => {
  const { createWorkspace } = await import('../config/new-workspace.ts');
  const { locatePaths } = await import('../config/paths.ts');
  const file = await createWorkspace(locatePaths(deps), name, wanted);
  printResult(deps, format, { name, file }, () => `saved ${file}`);
};

const createCommand = (context: Context) =>
  new Command('create')
    .summary('save a workspace')
    .argument('<name>')
    .requiredOption('--workdir <path>', 'directory in which the agent starts')
    .requiredOption('--mount <spec>', 'path, path:ro, src:dst or src:dst:ro (repeatable)', collect)
    .option('--allowed-role <role>', 'role that may run here (repeatable); without any, every role may', collect)
    .option('--default-role <role>', 'role for a load that names none')
    .addOption(new Option('--default-agent <agent>', 'agent for a load that names none').choices(AGENT_SLUGS))
    .option('--no-input', 'never ask (this command asks nothing)')
    .addOption(formatOption())
    .action((name, flags) => {
      const { deps } = context;
      const wanted: NewWorkspace = {
        workdir: hostPath(flags.workdir, deps),
        mounts: flags.mount.map((spec) => parseMount(spec, deps)),
        allowedRoles: flags.allowedRole ?? [],
        defaultRole: flags.defaultRole,
        defaultAgent: flags.defaultAgent,
      };
      return create(name, wanted, flags.format, deps);
    });

export const workspaceCommand = (context: Context) =>
  new Command('workspace').summary('saved workspaces').addCommand(createCommand(context));
