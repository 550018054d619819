import type { AgentSlug } from '../agents/agents.ts';
import { cacheFile } from './cache-file.ts';

/** When the registry was last asked for the newest version of each agent. */
export interface AgentChecks {
  at(agent: AgentSlug): Promise<Date | undefined>;
  note(agent: AgentSlug, now: Date): Promise<void>;
}

export const agentChecks = (cacheDirectory: string): AgentChecks => {
  const { read, write } = cacheFile(cacheDirectory, 'agents-checked.json');
  return {
    at: async (agent) => {
      const time = (await read())[agent];
      const date = new Date(typeof time === 'string' ? time : Number.NaN);
      return Number.isNaN(date.getTime()) ? undefined : date;
    },
    note: async (agent, now) => await write({ ...(await read()), [agent]: now.toISOString() }),
  };
};
