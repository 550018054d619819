import { Command } from '@commander-js/extra-typings';
import type { AgentSlug } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import type { RoleLock } from '../roles/lock-file.ts';
import { parseRole } from './load.ts';
import { agentsOption, type Context, formatOption, noInputOption } from './options.ts';
import { type Format, printResult } from './output.ts';
import { roleAsking } from './role-asking.ts';

interface Flags {
  agent?: AgentSlug[] | undefined;
  remove?: boolean | undefined;
  input: boolean;
  format: Format;
}

const sentence = ({ role, commit, construct, agents }: RoleLock): string => {
  const versions = Object.entries(agents).map(([slug, agent]) => `${slug} ${agent?.version}`);
  return [`${role} is pinned${commit === undefined ? '' : ` at ${commit.slice(0, 12)}`}`, construct, ...versions].join(', ');
};

const pin = async (text: string, flags: Flags, deps: Deps): Promise<void> => {
  const { pinRole, unpinRole } = await import('../launch/role-pin.ts');
  const selector = parseRole(text, deps);
  if (flags.remove) {
    const { file, removed } = await unpinRole(selector, deps);
    printResult(deps, flags.format, { file, removed }, () => (removed ? `${text} is no longer pinned (${file} is gone)` : `${text} was not pinned`));
    return;
  }
  const { asking, end } = roleAsking(deps, flags.input);
  const { file, lock } = await pinRole(selector, flags.agent ?? [], asking, deps).finally(end);
  printResult(deps, flags.format, { file, lock }, () => `${sentence(lock)} (${file})`);
};

export const rolePinCommand = (context: Context) =>
  new Command('pin')
    .summary('write down what a load of the role uses now, in its jackin.lock')
    .description('Pins a role: its commit and files, the construct, and the packages of its agents with their digests. A load then uses exactly these agents and this commit; `jackin load --locked` refuses whatever differs. A folder’s lock stands in the folder, that of a role from git beside its cache.')
    .argument('<role>', 'role name, or the path of a role folder')
    .addOption(agentsOption('agent to pin (repeatable); without it those that are cached'))
    .option('--remove', 'take the pin away')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((role, flags) => pin(role, flags, context.deps));
