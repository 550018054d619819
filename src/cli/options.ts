import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { isAccountName } from '../agents/account-name.ts';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { isRoleKey } from '../config/values.ts';
import type { Deps } from '../launch/deps.ts';
import type { Screen } from '../launch/load.ts';

/** What every command gets: the outside world, what stood behind `--`, and where its exit code goes. */
export interface Context {
  deps: Deps;
  passedArguments: string[];
  exit: (code: number) => void;
}

export const formatOption = () => new Option('--format <format>', 'how to print the result').choices(['human', 'json'] as const).default('human' as const);

export const collect = (value: string, previous: string[] | undefined): string[] => [...(previous ?? []), value];

/** For commands without a question: accepted everywhere, so that scripts need not know which ones ask. */
export const asksNothing = () => new Option('--no-input', 'never ask (this command asks nothing)');

/** For commands that attach a terminal. */
export const STRIP = 'without the line that names the sessions; JACKIN_STRIP=off does the same';
export const CLIPBOARD = 'let programs of the session write to your clipboard';

/** How sessions are to be shown. */
export const screenOf = (flags: { strip?: boolean | undefined; allowClipboard?: boolean | undefined }, { env }: Deps): Screen => ({
  strip: flags.strip !== false && env.JACKIN_STRIP !== 'off',
  allowClipboard: flags.allowClipboard ?? false,
});

const collectAgent = (value: string, previous: AgentSlug[] | undefined): AgentSlug[] => {
  const slug = AGENT_SLUGS.find((one) => one === value);
  if (slug === undefined) throw new InvalidArgumentError(`Allowed choices are ${AGENT_SLUGS.join(', ')}.`);
  return previous?.includes(slug) ? previous : [...(previous ?? []), slug];
};

/** Several agents, each with the option before it. */
export const agentsOption = (what: string) => new Option('--agent <agent>', what).argParser(collectAgent);

export const noInputOption = () => new Option('--no-input', 'never ask; a question without an answer is an error');

export const parseRoleKey = (text: string): string => {
  if (isRoleKey(text)) return text;
  throw new InvalidArgumentError('A role is a name such as agent-smith or namespace/name.');
};

/** `kimi:work`, or `work` alone: only Kimi has logins of jackin's own. */
export const parseLogin = (text: string): string => {
  const account = text.replace(/^kimi:/, '');
  if (isAccountName(account)) return account;
  throw new InvalidArgumentError('A login of jackin’s own is kimi:<account>, or the account alone, such as work.');
};

/** The whole of it: two commits that begin with the same few digits can be made. */
export const parseCommit = (text: string): string => {
  const commit = text.toLowerCase();
  if (/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(commit)) return commit;
  throw new InvalidArgumentError('Expected a whole commit, 40 digits.');
};

export const collectRoles = (value: string, previous: string[] | undefined): string[] => collect(parseRoleKey(value), previous);

export const roleOption = (what: string) => new Option('--role <role>', what).argParser(parseRoleKey);
