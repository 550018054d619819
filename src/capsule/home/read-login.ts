import path from 'node:path';
import type { Agent } from '../../agents/agents.ts';
import { isAtHome, isInHandoff, loginAtHome, loginInHandoff, type PlacedLogin } from '../../agents/placed-login.ts';
import { readCurrentSet, readFiles } from '../../shared/read-set.ts';

/** The login of an agent in the home of the container, whoever put it there. */
export const readHome = async (agent: Agent, home: string, now: Date): Promise<PlacedLogin> =>
  loginAtHome(agent, (await readFiles(path.join(home, agent.homes[0]), isAtHome(agent))) ?? new Map<string, Buffer>(), now);

/** What the host hands over for an agent: its login, and what goes with it and belongs to the account, as JSON. */
export const readHandoff = async (
  agent: Agent,
  handoff: string,
  now: Date,
): Promise<{ login: PlacedLogin; account: string | undefined } | undefined> => {
  const set = await readCurrentSet(handoff, agent.handoffs, isInHandoff(agent));
  const login = set && loginInHandoff(agent, set, now);
  return login && { login, account: set.files.get(agent.login?.account?.handoff ?? '')?.toString('utf8') };
};
