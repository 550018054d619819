import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { loginInHandoff, type LoginView } from '../agents/placed-login.ts';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from './deps.ts';
import { sourceOptions } from './facts.ts';
import { type LoginDecision, readDecidedLogin } from './read-decided-login.ts';

/** A login of the host that was read. Its content is gone; what is left holds no secret. */
export interface HostLogin {
  facts: LoginFacts;
  /** What would be handed over; undefined when nothing would. */
  view: LoginView | undefined;
}

/** Reads logins of the host, each at most once however often it is asked for. */
export type HostLogins = (agent: AgentSlug, decision: LoginDecision) => Promise<HostLogin>;

const readOne = async (agent: AgentSlug, decision: LoginDecision, deps: Deps, now: Date): Promise<HostLogin> => {
  const { facts, set } = await readDecidedLogin(agent, decision, locatePaths(deps), sourceOptions(deps, now));
  const files = new Map(set?.files.map((file) => [file.path, file.bytes]));
  return { facts, view: set && loginInHandoff(AGENTS[agent], { name: set.name, files }, now)?.view };
};

export const openHostLogins = (deps: Deps, now: Date): HostLogins => {
  const found = new Map<string, Promise<HostLogin>>();
  return (agent, decision) => {
    const key = JSON.stringify([agent, decision.sourceDir?.value ?? null, decision.login?.value ?? null]);
    const known = found.get(key) ?? readOne(agent, decision, deps, now);
    found.set(key, known);
    return known;
  };
};
