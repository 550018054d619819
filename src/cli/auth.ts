import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { AuthQuestion } from '../launch/auth-status-contexts.ts';
import type { LoggedOut } from '../launch/auth-status.ts';
import { EXIT_CODES } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption, roleOption } from './options.ts';
import { type Format, printResult, say } from './output.ts';

const MAX_PLACES = 10;

/** What several launches have in common is said once, with the places. */
const failures = (loggedOut: LoggedOut[]): string[] => {
  const places = new Map<string, string[]>();
  for (const { workspace, role, agent, state, why, stops, remedy } of loggedOut) {
    const place = `${workspace ?? 'any directory'}${role === null ? '' : ` × ${role}`}`;
    const outcome = agent === 'github' ? 'a launch would stop for GitHub' : stops ? `a launch of ${agent} would stop` : `${agent} would start logged out`;
    const said = `${outcome} (${state}). ${why} To do: ${remedy}.`;
    places.set(said, [...(places.get(said) ?? []), place]);
  }
  return [...places].map(([said, where]) => {
    const more = where.length > MAX_PLACES ? ` and ${where.length - MAX_PLACES} more` : '';
    return `${where.slice(0, MAX_PLACES).join(', ')}${more}: ${said}`.replaceAll(/\p{Cc}/gu, '\ufffd');
  });
};

const status = async (question: AuthQuestion, flags: { check: boolean; format: Format }, { deps, exit }: Context): Promise<void> => {
  const { gatherAuthStatus } = await import('../launch/auth-status.ts');
  const { authStatusText } = await import('./auth-table.ts');
  const result = await gatherAuthStatus(question, deps);
  printResult(deps, flags.format, result, () => authStatusText(result, deps.now()));
  if (!flags.check || result.logged_out.length === 0) return;
  for (const line of failures(result.logged_out)) say(deps, line);
  exit(EXIT_CODES['auth.missing']);
};

const statusCommand = (context: Context) =>
  new Command('status')
    .summary('print who is logged in where, who decided it, and when it runs out; asks no network')
    .option('--workspace <name>', 'only this saved workspace; without it any directory and all of them')
    .addOption(roleOption('role; without it the one that a load there would take, and those with settings of their own'))
    .addOption(new Option('--agent <agent>', 'only this agent').choices(AGENT_SLUGS))
    .option('--check', 'exit 4 when a launch from there would start logged out, or not at all')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(({ workspace, role, agent, check = false, format }) => status({ workspace, role, agent }, { check, format }, context));

export const authCommand = (context: Context) =>
  new Command('auth').summary('logins: who is logged in where, before a launch').addCommand(statusCommand(context));
