import type { AgentSlug } from '../agents/agents.ts';
import type { Paths } from '../config/paths.ts';
import { resolveAuth } from '../config/resolve-auth.ts';
import { holdersOf } from '../keeper/holders.ts';
import type { AgentCell } from './auth-status-cell.ts';
import type { StatusFiles } from './auth-status-contexts.ts';
import type { InstanceCell, InstanceStatus } from './auth-status-instances.ts';
import { type KeeperSide, warningOf } from './auth-status-keeper.ts';
import type { HostLogins } from './auth-status-logins.ts';

/** A login that rotates, and everybody who holds it: one that the keeper renews for all, or copies that may each renew it. */
export interface Chain {
  agent: AgentSlug;
  owner: 'keeper' | 'copies';
  account: string | null;
  /** Name of a login of jackin's own; null for copies. */
  login: string | null;
  /** Containers, and for copies `host` as well. */
  holders: string[];
  expires_at: string | null;
  /** When the keeper renewed it last. */
  refreshed_at: string | null;
  /** What is going to go wrong and what to do; null when nothing is. */
  warning: string | null;
}

/** Those that a launch would use, and those that a running container has a lease of. */
const ownNames = (contexts: { agents: AgentCell[] }[], instances: InstanceStatus[]): string[] => {
  const decided = contexts.flatMap(({ agents }) => agents.flatMap(({ own_login: own }) => (own === null ? [] : [own.account])));
  const held = instances.flatMap(({ agents }) => agents.flatMap(({ login }) => login ?? []));
  return [...new Set([...decided, ...held])].sort();
};

const keeperChain = async (name: string, instances: InstanceStatus[], paths: Paths, keeper: KeeperSide): Promise<Chain> => {
  const state = await keeper.own(name);
  const isHeld = instances.some(({ agents }) => agents.some(({ login }) => login === name));
  const { account, expires_at, refreshed_at } = state;
  return { agent: 'kimi', owner: 'keeper', account, login: name, holders: await holdersOf(paths, name), expires_at, refreshed_at, warning: warningOf(state, isHeld) };
};

const copyWarning = (agent: AgentSlug, { account, holders }: Pick<Chain, 'account' | 'holders'>): string | null => {
  if (holders.length < 2) return null;
  const whose = account === null ? 'login' : `login of ${account}`;
  const instead = agent === 'kimi' ? ' To do: `jackin login kimi` makes a login of jackin’s own, and login = "default" in [kimi] gives containers access without a copy.' : '';
  return `${holders.length} hold the same ${whose} (${holders.join(', ')}), and it rotates: whoever refreshes second is logged out.${instead}`;
};

interface Copy {
  container: string;
  cell: InstanceCell;
  dir: string;
  account: string | undefined;
  expiresAt: string | undefined;
  hostHolds: boolean;
}

/** A container's copy of a login that rotates, with what the host has of it now; undefined when it holds none. */
const copyOf = async (container: string, cell: InstanceCell, sourceDir: Parameters<HostLogins>[1]['sourceDir'], logins: HostLogins): Promise<Copy | undefined> => {
  // Two that went apart are no copies of each other any more; their own line says so.
  const isCopy = cell.drift !== null && cell.drift !== 'forked';
  const holds = cell.mode === 'sync' && cell.login === null && isCopy && (cell.state === 'live' || cell.state === 'expired');
  const host = holds ? await logins(cell.agent, { sourceDir, login: undefined }).catch(() => undefined) : undefined;
  if (host === undefined) return undefined;
  const { dir, refreshable, account, expiresAt, state } = host.facts;
  // Another account's login is another chain, whatever it was copied from.
  if (!refreshable || (account !== undefined && cell.account !== null && account !== cell.account)) return undefined;
  return { container, cell, dir, account, expiresAt, hostHolds: state === 'live' || state === 'expired-refreshable' };
};

const copyChains = async (instances: InstanceStatus[], { global, workspaces }: StatusFiles, home: string, logins: HostLogins): Promise<Chain[]> => {
  const found = new Map<string, Copy[]>();
  for (const { container, role, workspace, agents } of instances) {
    for (const cell of agents) {
      const { sourceDir } = resolveAuth({ global, workspace: workspaces.get(workspace ?? '') }, role, cell.agent, home);
      const copy = await copyOf(container, cell, sourceDir, logins);
      if (copy === undefined) continue;
      const key = JSON.stringify([cell.agent, copy.dir]);
      found.set(key, [...(found.get(key) ?? []), copy]);
    }
  }
  return [...found.values()].map((copies): Chain => {
    const [{ cell: { agent }, account = null, expiresAt = null, hostHolds }] = copies as [Copy, ...Copy[]]; // prettier-ignore
    const holders = [...(hostHolds ? ['host'] : []), ...copies.map(({ container }) => container)];
    return { agent, owner: 'copies', account, login: null, holders, expires_at: expiresAt, refreshed_at: null, warning: copyWarning(agent, { account, holders }) };
  });
};

/** Every login that somebody has to renew, with who does: jackin's own first. */
export const listChains = async (
  contexts: { agents: AgentCell[] }[],
  instances: InstanceStatus[],
  files: StatusFiles,
  { paths, home, logins, keeper }: { paths: Paths; home: string; logins: HostLogins; keeper: KeeperSide },
): Promise<Chain[]> => [
  ...(await Promise.all(ownNames(contexts, instances).map((name) => keeperChain(name, instances, paths, keeper)))),
  ...(await copyChains(instances, files, home, logins)),
];
