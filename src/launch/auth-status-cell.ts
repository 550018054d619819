import { AGENTS, type AgentSlug, type AuthMode } from '../agents/agents.ts';
import type { LoginState } from '../agents/login-facts.ts';
import type { ConfigFiles } from '../config/files.ts';
import { type AuthDecision, resolveAuth } from '../config/resolve-auth.ts';
import { envLayers, resolveEnvTables } from '../config/resolve-env.ts';
import { assertPinned } from '../plan/auth.ts';
import { messageOf } from '../shared/errors.ts';
import { type AuthState, type Decider, deciderOf, keyFacts, type KeyStatus } from './auth-status-key.ts';
import type { HostLogin, HostLogins } from './auth-status-logins.ts';
import type { Deps } from './deps.ts';

/** One agent in one context. */
export interface AgentCell {
  agent: AgentSlug;
  mode: AuthMode;
  decided_by: Decider;
  /** Where the login was looked for; null when none is copied. */
  source_dir: string | null;
  /** Null for the agent's own directory. */
  source_dir_decided_by: Decider | null;
  /** Login of jackin's own that is used in the place of a copy; null: none. */
  own_login: { account: string; decided_by: Decider } | null;
  pinned_account: { account: string; decided_by: Decider } | null;
  state: AuthState;
  account: string | null;
  /** End of the access, ISO 8601. */
  expires_at: string | null;
  key: KeyStatus | null;
  why: string;
}

/** What a person is told of a login's state. */
export const stateOfLogin = (state: LoginState): AuthState => (state === 'expired-refreshable' ? 'expired' : state);

type LoginCell = Pick<AgentCell, 'source_dir' | 'state' | 'account' | 'expires_at' | 'why'>;

/** What was thrown, as a sentence of its own. */
export const sentence = (error: unknown): string => `${messageOf(error).replace(/^./u, (first) => first.toUpperCase())}.`;

/** Why a launch would refuse this login for its account; undefined when it would not. */
const refusalOf = (agent: AgentSlug, { account: pin, login }: AuthDecision, account: string | undefined): string | undefined => {
  try {
    assertPinned(agent, pin === undefined ? null : { account: pin.value, decided_by: pin.origin }, account, login?.value);
    return undefined;
  } catch (error) {
    return sentence(error);
  }
};

const loginCell = async (agent: AgentSlug, decision: AuthDecision, logins: HostLogins): Promise<LoginCell> => {
  const sourceDir = decision.sourceDir?.value;
  let login: HostLogin;
  try {
    login = await logins(agent, decision);
  } catch (error) {
    return { source_dir: sourceDir ?? null, state: 'unreadable', account: null, expires_at: null, why: sentence(error) };
  }
  const { facts } = login;
  const isHandedOver = facts.state !== 'dead' && facts.state !== 'absent';
  const refusal = isHandedOver ? refusalOf(agent, decision, facts.account) : undefined;
  return {
    source_dir: facts.dir,
    state: refusal === undefined ? stateOfLogin(facts.state) : 'wrong account',
    account: facts.account ?? null,
    expires_at: facts.expiresAt ?? null,
    why: refusal ?? facts.why,
  };
};

const NO_LOGIN = { source_dir: null, account: null, expires_at: null };

/** The mode, what decided it, and how the login or key that it needs stands. Asks no network and runs no program. */
export const agentCell = async (files: ConfigFiles, role: string, agent: AgentSlug, logins: HostLogins, deps: Deps): Promise<AgentCell> => {
  const decision = resolveAuth(files, role, agent, deps.home);
  const { mode, sourceDir, account: pin, login: own } = decision;
  const decided = {
    agent,
    mode: mode.value,
    decided_by: deciderOf(mode.origin),
    source_dir_decided_by: mode.value === 'sync' && sourceDir !== undefined ? deciderOf(sourceDir.origin) : null,
    own_login: mode.value === 'sync' && own !== undefined ? { account: own.value, decided_by: deciderOf(own.origin) } : null,
    pinned_account: pin === undefined ? null : { account: pin.value, decided_by: deciderOf(pin.origin) },
  };
  if (mode.value === 'sync') return { ...decided, ...(await loginCell(agent, decision, logins)), key: null };
  const name = AGENTS[agent].keys[mode.value];
  if (name === undefined) return { ...decided, ...NO_LOGIN, state: 'ignored', key: null, why: 'Nothing is forwarded.' };
  const entry = resolveEnvTables(envLayers(files, role)).find((one) => one.name === name);
  return { ...decided, ...NO_LOGIN, ...keyFacts(name, entry, deps.env) };
};

