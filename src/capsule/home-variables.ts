import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { AGENTS, isAgentSlug } from '../agents/agents.ts';

/** Where a path leads; a place that is not there leads to itself. */
const placeOf = (file: string): Promise<string> => realpath(file).catch(() => path.resolve(file));

/**
 * The variable that tells an agent where its directory is, where the one that the
 * image or the operator has set would lead it past the durable directory, in which
 * its login is. Empty when nothing needs to be said.
 */
export const homeVariables = async (
  slug: string,
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<Record<string, string>> => {
  if (!isAgentSlug(slug)) return {};
  const { homes, homeVariable } = AGENTS[slug];
  const { name, below, always } = homeVariable;
  const durable = path.join(home, homes[0]);
  const value = env[name];
  const isUsual = value === undefined || value === '';
  if (isUsual && always === undefined) return {};
  if (!isUsual && (await placeOf(path.join(value, below))) === (await placeOf(durable))) return {};
  return { [name]: below === '' ? durable : path.dirname(durable) };
};
