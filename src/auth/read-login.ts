import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { readFileLogin } from './file-source.ts';
import { readKimi } from './kimi-source.ts';
import type { LoginSet, SourceOptions } from './source.ts';

/** Reads the host's login of an agent, whatever form it has. Changes nothing on the host. */
export const readLogin = async (slug: AgentSlug, options: SourceOptions): Promise<LoginSet> => {
  const agent = AGENTS[slug];
  return agent.login === undefined ? await readKimi(options) : await readFileLogin({ ...agent, login: agent.login }, options);
};
