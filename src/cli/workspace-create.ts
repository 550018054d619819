import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { NewWorkspace } from '../config/new-workspace.ts';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { keepEditorSchema } from './editor-schema.ts';
import { hostPath, parseMount } from './load.ts';
import { parseIsolation } from './mount-isolation.ts';
import { asksNothing, collect, collectRoles, type Context, formatOption, parseRoleKey } from './options.ts';
import { type Format, printResult, say } from './output.ts';
import { settlePulls } from './workspace-pulls.ts';

const create = async (name: string, wanted: NewWorkspace, format: Format, deps: Deps): Promise<void> => {
  const { createWorkspace } = await import('../config/new-workspace.ts');
  const { describeCovered } = await import('../config/collapse.ts');
  const { file, covered } = await createWorkspace(locatePaths(deps), name, wanted, deps.home);
  await keepEditorSchema(file, 'workspace', deps);
  for (const entry of covered) say(deps, describeCovered(entry));
  const collapsed = covered.map(({ mount, by }) => ({ dst: mount.dst, covered_by: by.dst }));
  const pulls = wanted.gitPull ? await settlePulls(true, wanted, deps) : [];
  printResult(deps, format, { name, file, collapsed, pulls }, () => `saved ${file}`);
};

export const createCommand = (context: Context) =>
  new Command('create')
    .summary('save a workspace')
    .description('Saves a workspace. The container sees only what is mounted: name every directory that it needs, the workdir too.')
    .argument('<name>')
    .requiredOption('--workdir <path>', 'directory in which the agent starts')
    .requiredOption('--mount <spec>', 'path, path:ro, src:dst or src:dst:ro (repeatable)', collect)
    .option('--mount-isolation <dst=type>', 'shared, worktree or clone for the mount with this destination (repeatable)', collect)
    .option('--allowed-role <role>', 'role that may run here (repeatable); without any, every role may', collectRoles)
    .option('--default-role <role>', 'role for a load that names none', parseRoleKey)
    .addOption(new Option('--default-agent <agent>', 'agent for a load that names none').choices(AGENT_SLUGS))
    .option('--keep-awake', 'keep the host awake while an agent runs (macOS)')
    .option('--git-pull', 'pull mounted git repositories before the start, from the addresses that they have now')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((name, flags) => {
      const { deps } = context;
      const mounts = flags.mount.map((spec) => parseMount(spec, deps)).map(({ source, target, readonly }) => ({ src: source, dst: target, readonly }));
      const wanted: NewWorkspace = {
        workdir: hostPath(flags.workdir, deps),
        mounts,
        isolations: (flags.mountIsolation ?? []).map((text) => parseIsolation(text, deps)),
        allowedRoles: flags.allowedRole ?? [],
        defaultRole: flags.defaultRole,
        defaultAgent: flags.defaultAgent,
        keepAwake: flags.keepAwake ?? false,
        gitPull: flags.gitPull ?? false,
      };
      return create(name, wanted, flags.format, deps);
    });
