import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { loginInHandoff, type LoginView } from '../agents/placed-login.ts';
import { readLogin } from '../auth/read-login.ts';
import type { SourceOptions } from '../auth/source.ts';
import type { Deps } from './deps.ts';
import { sourceOptions } from './facts.ts';

/** A login of the host that was read. Its content is gone; what is left holds no secret. */
export interface HostLogin {
  facts: LoginFacts;
  /** What would be handed over; undefined when nothing would. */
  view: LoginView | undefined;
}

/** Reads logins of the host, each at most once however often it is asked for. */
export type HostLogins = (agent: AgentSlug, sourceDir: string | undefined) => Promise<HostLogin>;

const readOne = async (agent: AgentSlug, options: SourceOptions): Promise<HostLogin> => {
  const { facts, set } = await readLogin(agent, options);
  const files = new Map(set?.files.map((file) => [file.path, file.bytes]));
  return { facts, view: set && loginInHandoff(AGENTS[agent], { name: set.name, files }, options.now)?.view };
};

export const openHostLogins = (deps: Deps, now: Date): HostLogins => {
  const found = new Map<string, Promise<HostLogin>>();
  return (agent, sourceDir) => {
    const key = JSON.stringify([agent, sourceDir]);
    const known = found.get(key) ?? readOne(agent, { ...sourceOptions(deps, now), sourceDir });
    found.set(key, known);
    return known;
  };
};
