import path from 'node:path';
import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import { hostPath } from './load.ts';
import { agentsOption, asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const MAX_NAME = 80;

const parseName = (text: string): string => {
  if (text.trim() !== '' && text.length <= MAX_NAME && !/\p{Cc}/u.test(text)) return text;
  throw new InvalidArgumentError(`A name has 1 to ${MAX_NAME} characters on one line.`);
};

/** `my-role` → `My Role`. */
const nameOf = (folder: string): string =>
  path
    .basename(folder)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map((word) => `${word[0]!.toUpperCase()}${word.slice(1)}`)
    .join(' ')
    .slice(0, MAX_NAME) || 'Role';

const create = async (text: string, { agent, name, format }: { agent?: AgentSlug[] | undefined; name?: string | undefined; format: Format }, deps: Deps): Promise<void> => {
  const { createRole } = await import('../roles/new-role.ts');
  const folder = hostPath(text, deps);
  const files = await createRole({ folder, name: name ?? nameOf(folder), agents: agent ?? AGENT_SLUGS });
  printResult(deps, format, { folder, files }, () => [...files.map((file) => `wrote ${file}`), `\`jackin load ${folder}\` starts it; \`jackin role validate ${folder}\` looks at it`].join('\n'));
};

export const roleCreateCommand = (context: Context) =>
  new Command('create')
    .summary('write a new role into a folder')
    .description('Writes a role that can be loaded as it is: a manifest and a Dockerfile on the construct. The folder must be empty or not there yet.')
    .argument('<folder>', 'folder of the new role')
    .addOption(agentsOption('agent that the role supports (repeatable); without it all of them'))
    .option('--name <name>', 'name for people; without it that of the folder', parseName)
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((folder, flags) => create(folder, flags, context.deps));
