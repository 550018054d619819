import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import { ensureDir, writeFileAtomic } from '../shared/atomic-files.ts';

/** When the registry was last asked for the newest version of each agent. An unreadable file counts as an empty one. */
export interface AgentChecks {
  at(agent: AgentSlug): Promise<Date | undefined>;
  note(agent: AgentSlug, now: Date): Promise<void>;
}

const FILE = 'agents-checked.json';

export const agentChecks = (cacheDirectory: string): AgentChecks => {
  const file = path.join(cacheDirectory, FILE);
  const read = async (): Promise<Record<string, unknown>> => {
    try {
      const value: unknown = JSON.parse(await readFile(file, 'utf8'));
      return value !== null && typeof value === 'object' ? { ...value } : {};
    } catch {
      return {};
    }
  };
  return {
    at: async (agent) => {
      const time = (await read())[agent];
      const date = new Date(typeof time === 'string' ? time : Number.NaN);
      return Number.isNaN(date.getTime()) ? undefined : date;
    },
    note: async (agent, now) => {
      const entries = { ...(await read()), [agent]: now.toISOString() };
      await ensureDir(cacheDirectory);
      await writeFileAtomic(file, `${JSON.stringify(entries, null, 2)}\n`);
    },
  };
};
