import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { WorkspaceChange } from '../config/change-workspace.ts';
import type { CoveredMount } from '../config/collapse.ts';
import { locatePaths } from '../config/paths.ts';
import type { WorkspaceToml } from '../config/schema.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { hostPath, parseMount } from './load.ts';
import { parseIsolation } from './mount-isolation.ts';
import { collect, collectRoles, type Context, formatOption, noInputOption, parseRoleKey } from './options.ts';
import { type Format, printResult, say } from './output.ts';
import { assertAgreed } from './person.ts';
import { settlePulls } from './workspace-pulls.ts';

const isEmpty = (change: WorkspaceChange): boolean => Object.values(change).every((value) => value === undefined || (Array.isArray(value) && value.length === 0));

const sameMounts = (a: CoveredMount[], b: CoveredMount[]): boolean => JSON.stringify(a) === JSON.stringify(b);

const edit = async (name: string, change: WorkspaceChange, agreement: { yes: boolean; input: boolean }, format: Format, deps: Deps): Promise<void> => {
  if (isEmpty(change)) throw new JackinError('usage', 'nothing was named to change', { hint: '`jackin workspace edit --help` lists what can be' });
  const { exists, readConfigFiles } = await import('../config/files.ts');
  const { planWorkspaceChange } = await import('../config/change-workspace.ts');
  const { describeCovered } = await import('../config/collapse.ts');
  const { editFile } = await import('../config/edit.ts');
  const paths = locatePaths(deps);
  for (const { src } of change.mounts) {
    if (!(await exists(src))) throw new JackinError('not-found', `mount source ${src} does not exist`, { hint: 'create it, or correct --mount' });
  }
  const { value } = (await readConfigFiles(paths, name)).workspace!;
  const { covered } = planWorkspaceChange(value, change, deps.home);
  for (const entry of covered) say(deps, describeCovered(entry));
  if (covered.length > 0) await assertAgreed('Leave these mounts out?', agreement, deps);
  const { file, changed } = await editFile(paths, { kind: 'workspace', name }, (current) => {
    // The file may have changed while the person was thinking.
    const planned = planWorkspaceChange(current as WorkspaceToml, change, deps.home);
    if (sameMounts(planned.covered, covered)) return planned.edits;
    throw new JackinError('conflict', `workspace ${name} was changed meanwhile`, { hint: 'nothing was saved: run the command again' });
  });
  const pulls = change.gitPull === undefined ? [] : await settlePulls(change.gitPull, (await readConfigFiles(paths, name)).workspace!.value, deps);
  const data = { name, file, changed, pulls, collapsed: covered.map(({ mount, by }) => ({ dst: mount.dst, covered_by: by.dst })) };
  printResult(deps, format, data, () => (changed ? `saved ${file}` : `${file} says so already`));
};

const assertNotBoth = (a: unknown, b: unknown, flags: string): void => {
  if (a !== undefined && b !== undefined) throw new JackinError('usage', `${flags} exclude each other`);
};

export const editCommand = (context: Context) =>
  new Command('edit')
    .summary('change a saved workspace')
    .argument('<name>')
    .option('--workdir <path>', 'directory in which the agent starts')
    .option('--mount <spec>', 'add a mount, or change the one with this destination: path, path:ro, src:dst or src:dst:ro (repeatable)', collect)
    .option('--remove-destination <dst>', 'remove the mount with this destination (repeatable)', collect)
    .option('--mount-isolation <dst=type>', 'shared, worktree or clone for the mount with this destination (repeatable)', collect)
    .option('--allowed-role <role>', 'allow a role as well (repeatable)', collectRoles)
    .option('--remove-allowed-role <role>', 'allow a role no longer (repeatable)', collectRoles)
    .option('--default-role <role>', 'role for a load that names none', parseRoleKey)
    .option('--clear-default-role', 'no default role')
    .addOption(new Option('--default-agent <agent>', 'agent for a load that names none').choices(AGENT_SLUGS))
    .option('--clear-default-agent', 'no default agent')
    .option('--keep-awake', 'keep the host awake while an agent runs (macOS)')
    .option('--no-keep-awake', 'let it sleep')
    .option('--git-pull', 'pull mounted git repositories before the start, from the addresses that they have now')
    .option('--no-git-pull', 'do not pull, and forget the addresses')
    .option('-y, --yes', 'leave out mounts that another one covers, without asking')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((name, flags) => {
      const { deps } = context;
      assertNotBoth(flags.defaultRole, flags.clearDefaultRole, '--default-role and --clear-default-role');
      assertNotBoth(flags.defaultAgent, flags.clearDefaultAgent, '--default-agent and --clear-default-agent');
      const change: WorkspaceChange = {
        workdir: flags.workdir === undefined ? undefined : hostPath(flags.workdir, deps),
        mounts: (flags.mount ?? []).map((spec) => parseMount(spec, deps)).map(({ source, target, readonly }) => ({ src: source, dst: target, readonly })),
        removeDestinations: (flags.removeDestination ?? []).map((dst) => hostPath(dst, deps)),
        isolations: (flags.mountIsolation ?? []).map((text) => parseIsolation(text, deps)),
        allowRoles: flags.allowedRole ?? [],
        disallowRoles: flags.removeAllowedRole ?? [],
        defaultRole: flags.clearDefaultRole ? null : flags.defaultRole,
        defaultAgent: flags.clearDefaultAgent ? null : flags.defaultAgent,
        keepAwake: flags.keepAwake,
        gitPull: flags.gitPull,
      };
      return edit(name, change, { yes: flags.yes ?? false, input: flags.input }, flags.format, deps);
    });
