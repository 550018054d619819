import path from 'node:path';
import { AGENTS, AGENT_SLUGS, type AgentSlug, isAgentSlug } from '../agents/agents.ts';
import { type ComparedLogin, type Drift, driftOf } from '../auth/drift.ts';
import { type InstanceLogin, readInstanceGithub, readInstanceLogin } from '../auth/instance-login.ts';
import { isoTime } from '../auth/source.ts';
import type { ConfigFiles } from '../config/files.ts';
import { locatePaths } from '../config/paths.ts';
import { type AuthDecision, type GithubMode, resolveAuth, resolveGithub } from '../config/resolve-auth.ts';
import { type Instance, stateOf } from '../instances/find.ts';
import { type InstanceRecord, listStates } from '../instances/record.ts';
import { readLease } from '../keeper/holders.ts';
import { JackinError } from '../shared/errors.ts';
import { sentence, stateOfLogin } from './auth-status-cell.ts';
import type { AuthQuestion, StatusFiles } from './auth-status-contexts.ts';
import { type AuthState, type Decider, deciderOf } from './auth-status-key.ts';
import { type KeeperSide, warningOf } from './auth-status-keeper.ts';
import type { HostLogins } from './auth-status-logins.ts';
import type { Deps } from './deps.ts';

/** One agent in a running instance. */
export interface InstanceCell {
  agent: AgentSlug;
  /** As the configuration is now. */
  mode: AuthDecision['mode']['value'];
  decided_by: Decider;
  /** Directory on the host that holds the login in the container. */
  dir: string;
  state: AuthState;
  account: string | null;
  expires_at: string | null;
  /** Null when there is nothing on the host to compare with; a lease is no copy of anything. */
  drift: Drift | null;
  /** For Kimi, who has the newest of the login: the keeper, which shares it out, or of two copies the one that renewed last. */
  owner: 'keeper' | 'host' | 'container' | null;
  /** Login of jackin's own that it has a lease of; null: none. */
  login: string | null;
  /** When the keeper renewed it last; null for a copy. */
  refreshed_at: string | null;
  why: string;
}

/** GitHub in a running instance. Its tokens do not rotate: there is nothing to drift. */
export interface InstanceGithub {
  mode: GithubMode;
  decided_by: Decider;
  state: AuthState;
  account: string | null;
  why: string;
}

export interface InstanceStatus {
  instance_id: string;
  container: string;
  role: string;
  workspace: string | null;
  /** Null when the engine could not be asked. */
  running: true | null;
  agents: InstanceCell[];
  /** Null without a login there, and when one agent was asked for. */
  github: InstanceGithub | null;
}

interface Known {
  id: string;
  container: string;
  role: string;
  workspace: string | null;
  record: InstanceRecord | undefined;
  running: true | null;
}

const ofEngine = (instance: Instance): Known[] => (stateOf(instance) === 'running' ? [{ ...instance, running: true }] : []);

const ofRecord = (record: InstanceRecord | undefined): Known[] => {
  if (record?.status !== 'running') return [];
  const { instance_id: id, container, role_key: role, workspace_name: workspace } = record;
  return [{ id, container, role, workspace, record, running: null }];
};

/** The running instances. The engine is asked only when there is a state directory at all. */
const findRunning = async (dataDir: string, deps: Deps): Promise<{ known: Known[]; note: string | null }> => {
  const states = await listStates(dataDir);
  if (states.length === 0) return { known: [], note: null };
  const { openInstances } = await import('./open-instances.ts');
  try {
    return { known: (await openInstances(deps)).instances.flatMap(ofEngine), note: null };
  } catch (error) {
    if (!(error instanceof JackinError) || !error.code.startsWith('engine.')) throw error;
    return {
      known: states.flatMap(({ record }) => ofRecord(record)),
      note: `Whether the instances run is not known: ${error.message}. Shown are those that ran when jackin last looked.`,
    };
  }
};

const DRIFT_WHY: Record<Drift, string> = {
  same: 'Host and container have the same login.',
  'host newer': 'The host has a newer login than the container.',
  'container newer': 'The login was renewed in the container.',
  forked: 'Host and container each have a login of their own by now.',
};

const whyOf = (hasLogin: boolean, mode: InstanceCell['mode'], drift: Drift | null): string => {
  if (!hasLogin) return 'A login was handed over, and the container has none.';
  if (mode !== 'sync') return 'This login was made in the container, or was copied when the mode was another.';
  return drift === null ? 'There is no login on the host to compare with.' : DRIFT_WHY[drift];
};

/** What the host would hand over now, for the comparison; undefined when nothing could be. */
const onHost = async (agent: AgentSlug, decision: AuthDecision, logins: HostLogins): Promise<ComparedLogin | undefined> => {
  if (decision.mode.value !== 'sync') return undefined;
  // A login that cannot be read is told of where the host's logins are shown.
  const login = await logins(agent, { sourceDir: decision.sourceDir, login: undefined }).catch(() => undefined);
  return login && { state: login.facts.state, digest: login.view?.digest, account: login.facts.account };
};

/** A login that is a copy of nothing is the container's own, and so is one that went another way than the host's. */
const ownerOf = (agent: AgentSlug, hasLogin: boolean, drift: Drift | null): InstanceCell['owner'] => {
  if (agent !== 'kimi' || !hasLogin) return null;
  return drift === 'same' || drift === 'host newer' ? 'host' : 'container';
};

/** What a container may do with a lease, only the keeper's side tells: the file in it says no end. */
const leaseCell = async (name: string, directory: string, decision: AuthDecision, keeper: KeeperSide): Promise<InstanceCell> => {
  const own = await keeper.own(name);
  const { state, account, expires_at, refreshed_at } = own;
  return {
    agent: 'kimi', mode: decision.mode.value, decided_by: deciderOf(decision.mode.origin), dir: path.join(directory, 'home', AGENTS.kimi.homes[0]),
    state, account, expires_at, drift: null, owner: 'keeper', login: name, refreshed_at,
    why: warningOf(own, true) ?? `It has a lease of the login ${name}, which the keeper renews.`,
  }; // prettier-ignore
};

const cellOf = async (agent: AgentSlug, login: InstanceLogin, decision: AuthDecision, logins: HostLogins): Promise<Omit<InstanceCell, 'dir'>> => {
  const { home, handedOver } = login;
  const drift = driftOf(await onHost(agent, decision, logins), home, handedOver?.digest);
  return {
    agent,
    mode: decision.mode.value,
    decided_by: deciderOf(decision.mode.origin),
    state: home === undefined ? 'absent' : stateOfLogin(home.state),
    account: home?.account ?? null,
    expires_at: isoTime(home?.expiresAt).expiresAt ?? null,
    drift,
    owner: ownerOf(agent, home !== undefined, drift),
    login: null,
    refreshed_at: null,
    why: whyOf(home !== undefined, decision.mode.value, drift),
  };
};

/** Undefined for an agent that has no login there and is handed none. */
const readCell = async (agent: AgentSlug, directory: string, decision: AuthDecision, logins: HostLogins, now: Date): Promise<InstanceCell | undefined> => {
  const dir = path.join(directory, 'home', AGENTS[agent].homes[0]);
  try {
    const login = await readInstanceLogin(AGENTS[agent], directory, now);
    if (login.home === undefined && login.handedOver === undefined) return undefined;
    // Settings that make the agent read a key from a variable are no login.
    if (decision.mode.value !== 'sync' && login.home?.state === 'unknown') return undefined;
    return { ...(await cellOf(agent, login, decision, logins)), dir };
  } catch (error) {
    const { mode } = decision;
    return {
      agent, mode: mode.value, decided_by: deciderOf(mode.origin), dir, state: 'unreadable', account: null, expires_at: null, drift: null, owner: null, login: null, refreshed_at: null, why: sentence(error),
    }; // prettier-ignore
  }
};

const githubOf = async (directory: string, files: ConfigFiles, role: string): Promise<InstanceGithub | null> => {
  const { mode } = resolveGithub(files, role);
  const decided = { mode: mode.value, decided_by: deciderOf(mode.origin) };
  try {
    const login = await readInstanceGithub(directory);
    if (login === undefined) return null;
    const why = login.state === 'live' ? 'gh in the container has a token.' : 'gh in the container has no token that can be read.';
    return { ...decided, state: stateOfLogin(login.state), account: login.user ?? null, why };
  } catch (error) {
    return { ...decided, state: 'unreadable', account: null, why: sentence(error) };
  }
};

/** The login of every agent in every running instance, compared with the host's. One broken instance hides no other. */
export const instanceStatuses = async (
  question: AuthQuestion,
  { global, workspaces }: StatusFiles,
  { logins, keeper }: { logins: HostLogins; keeper: KeeperSide },
  deps: Deps,
  now: Date,
): Promise<{ instances: InstanceStatus[]; note: string | null }> => {
  const { dataDir } = locatePaths(deps);
  const { known, note } = await findRunning(dataDir, deps);
  const wanted = known.filter(
    ({ workspace, role }) => (question.workspace ?? workspace) === workspace && (question.role ?? role) === role,
  );
  const statusOf = async ({ id, container, role, workspace, record, running }: Known): Promise<InstanceStatus> => {
    const files = { global, workspace: workspaces.get(workspace ?? '') };
    const directory = path.join(dataDir, container);
    const agents = (record?.supported_agents ?? AGENT_SLUGS).filter(isAgentSlug).filter((agent) => (question.agent ?? agent) === agent);
    const lease = await readLease(directory);
    const cells = await Promise.all(
      agents.map((agent) => {
        const decision = resolveAuth(files, role, agent, deps.home);
        return agent === 'kimi' && lease !== undefined ? leaseCell(lease, directory, decision, keeper) : readCell(agent, directory, decision, logins, now);
      }),
    );
    const github = question.agent === undefined ? await githubOf(directory, files, role) : null;
    return { instance_id: id, container, role, workspace, running, agents: cells.filter((cell) => cell !== undefined), github };
  };
  return { instances: await Promise.all(wanted.map(statusOf)), note };
};
