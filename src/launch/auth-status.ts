import { AGENTS, AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { locatePaths } from '../config/paths.ts';
import { type AgentCell, agentCell } from './auth-status-cell.ts';
import { type Chain, listChains } from './auth-status-chains.ts';
import { type AuthQuestion, type LaunchContext, listContexts, readStatusFiles } from './auth-status-contexts.ts';
import { type InstanceStatus, instanceStatuses } from './auth-status-instances.ts';
import { openKeeperSide } from './auth-status-keeper.ts';
import { type GithubCell, githubCell, type GithubLogin, openGithubLogin } from './auth-status-github.ts';
import type { AuthState } from './auth-status-key.ts';
import { type HostLogins, openHostLogins } from './auth-status-logins.ts';
import type { Deps } from './deps.ts';

/** What a launch in one context would be logged in as. */
export interface ContextStatus {
  workspace: string | null;
  role: string | null;
  default_agent: AgentSlug | null;
  agents: AgentCell[];
  /** Null when one agent was asked for. */
  github: GithubCell | null;
}

/** An agent that a launch would start logged out; or why it would not start at all. */
export interface LoggedOut {
  workspace: string | null;
  role: string | null;
  agent: AgentSlug | 'github';
  state: AuthState;
  why: string;
  /** Whether a launch would not even start. */
  stops: boolean;
  /** What to do about it. */
  remedy: string;
}

export interface AuthStatus {
  contexts: ContextStatus[];
  instances: InstanceStatus[];
  /** Said when the engine could not be asked which instances run. */
  instances_note: string | null;
  /** Logins that rotate and that somebody holds, by who renews them. */
  chains: Chain[];
  /** Null when none runs, and when no login of jackin's own is in question. */
  keeper: { pid: number; started_at: string } | null;
  logged_out: LoggedOut[];
}

/** What of the host is looked at once for all contexts. */
interface HostSide {
  logins: HostLogins;
  github: GithubLogin;
}

const contextStatus = async (context: LaunchContext, agent: AgentSlug | undefined, { logins, github }: HostSide, deps: Deps): Promise<ContextStatus> => {
  const { workspace, role, defaultAgent, files } = context;
  const slugs = agent === undefined ? AGENT_SLUGS : [agent];
  return {
    workspace,
    role,
    default_agent: defaultAgent,
    agents: await Promise.all(slugs.map((slug) => agentCell(files, role ?? '', slug, logins, deps))),
    github: agent === undefined ? await githubCell(files, role ?? '', github, deps) : null,
  };
};

const LOGGED_OUT: readonly AuthState[] = ['dead', 'absent', 'unreadable', 'wrong account', 'key missing'];

const remedyOf = ({ agent, state, key, own_login: own, pinned_account: pin, source_dir: dir, source_dir_decided_by: named }: AgentCell): string => {
  if (key !== null) return key.from === 'host' ? `set the variable that ${key.name} comes from` : `set it with \`jackin config env set ${key.name} --stdin\``;
  const who = state === 'wrong account' ? `, as ${pin?.account}` : '';
  if (own !== null) return `run \`jackin login ${agent} --account ${own.account}\`${who}`;
  return `run \`${AGENTS[agent].loginCommand}\` on the host${who}${named === null ? '' : `, so that its login is in ${dir}`}`;
};

/**
 * The agents in question that a launch would start logged out: the one that was asked for,
 * else the workspace's own, else all that are not ignored. What can be refreshed is not
 * logged out. Without its token GitHub stops a launch; without a login, no agent needs it.
 */
const loggedOutOf = ({ workspace, role, default_agent: usual, agents, github }: ContextStatus, asked: AgentSlug | undefined): LoggedOut[] => {
  const slug = asked ?? usual;
  const out: LoggedOut[] = agents
    .filter(({ agent, state }) => (slug ?? agent) === agent && LOGGED_OUT.includes(state))
    .map((cell) => ({ workspace, role, agent: cell.agent, state: cell.state, why: cell.why, stops: cell.own_login !== null, remedy: remedyOf(cell) }));
  if (github?.state !== 'key missing') return out;
  const { state, why, key } = github;
  const remedy = key?.from === 'host' ? `set the variable that ${key.name} comes from` : `set ${key?.name} in a [github.env] table`;
  return [...out, { workspace, role, agent: 'github', state, why, stops: true, remedy }];
};

/**
 * Who is logged in where, who decided that, and when it runs out. Reads files and,
 * when there are instances, asks the engine which of them run, and the keeper where
 * one of jackin's own logins is in question; asks no network.
 */
export const gatherAuthStatus = async (question: AuthQuestion, deps: Deps): Promise<AuthStatus> => {
  const now = deps.now();
  const paths = locatePaths(deps);
  const files = await readStatusFiles(paths, question.workspace);
  const host = { logins: openHostLogins(deps, now), github: openGithubLogin(deps) };
  const contexts = await Promise.all(listContexts(question, files).map((context) => contextStatus(context, question.agent, host, deps)));
  const keeper = openKeeperSide(paths, host.logins);
  const { instances, note } = await instanceStatuses(question, files, { ...host, keeper }, deps, now);
  const chains = await listChains(contexts, instances, files, { paths, home: deps.home, logins: host.logins, keeper });
  const status = chains.some(({ owner }) => owner === 'keeper') ? await keeper.status() : undefined;
  const running = status === undefined ? null : { pid: status.pid, started_at: status.started_at };
  return { contexts, instances, instances_note: note, chains, keeper: running, logged_out: contexts.flatMap((context) => loggedOutOf(context, question.agent)) };
};
