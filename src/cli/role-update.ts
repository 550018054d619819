import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import type { UpdatedRole } from '../launch/roles.ts';
import { type Context, formatOption, noInputOption, parseRoleKey } from './options.ts';
import { type Format, printResult } from './output.ts';
import { roleAsking } from './role-asking.ts';

const sentence = ({ role, from, to, waiting, broken, pinned, why, failed }: UpdatedRole): string => {
  const short = (commit: string): string => commit.slice(0, 12);
  if (failed !== null) return `${role}: failed: ${failed}`;
  if (waiting !== null && broken !== null) {
    const stays = to === null ? 'nothing of it is used' : `${short(to)}, which is ${pinned ? 'pinned' : 'trusted'}, stays in use`;
    return `${role}: ${short(waiting)} was fetched and is broken: ${broken}; ${stays}`;
  }
  if (waiting !== null && pinned) return `${role}: ${short(waiting)} was fetched; ${to === null ? why : `${short(to)} is pinned and stays in use`}: \`jackin role pin ${role}\` pins the newest`;
  if (waiting !== null) {
    const stays = to === null ? 'nothing of it is used' : `${short(to)} stays in use`;
    return `${role}: ${short(waiting)} was fetched and is not trusted (${to === null ? why : 'what it runs has changed'}); ${stays}`;
  }
  if (to === from) return `${role}: ${short(to!)}, nothing newer`;
  return from === null ? `${role}: ${short(to!)}` : `${role}: ${short(from)} → ${short(to!)} (${why})`;
};

const update = async (roles: string[], { replace, input, format }: { replace: boolean; input: boolean; format: Format }, deps: Deps): Promise<number> => {
  const { updateRoles } = await import('../launch/roles.ts');
  const { asking, end } = roleAsking(deps, input);
  const updated = await updateRoles(roles, replace ? 'replace' : 'fetch', asking, deps).finally(end);
  printResult(deps, format, { roles: updated }, () => (updated.length === 0 ? 'no role is cached' : updated.map(sentence).join('\n')));
  return updated.some(({ failed, broken }) => failed !== null || broken !== null) ? 1 : 0;
};

export const roleUpdateCommand = (context: Context) =>
  new Command('update')
    .summary('look for newer commits of roles that come from git')
    .description('Fetches newer commits of the named roles, or of all that are cached. A commit that changes what runs is shown and asked about; without an answer the trusted one stays in use.')
    .argument('[role...]', 'name or namespace/name', (text: string, previous: string[] | undefined) => [...(previous ?? []), parseRoleKey(text)])
    .option('--replace', 'forget what is cached and fetch it anew: for a source that moved, a history that was rewritten, or files that were changed')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action(async (roles, flags) => context.exit(await update(roles ?? [], { replace: flags.replace ?? false, input: flags.input, format: flags.format }, context.deps)));
