import path from 'node:path';
import type { Agent } from '../agents/agents.ts';
import { HOSTS_FILE, loginIn, parseHosts } from '../agents/github-login.ts';
import type { LoginState } from '../agents/login-facts.ts';
import { isAtHome, isInHandoff, loginAtHome, loginInHandoff, type LoginView } from '../agents/placed-login.ts';
import { readCurrentSet, readFiles } from '../shared/read-set.ts';

/** What an instance has of an agent's login, seen from the host. Holds no secret. */
export interface InstanceLogin {
  /** What the host handed over last. */
  handedOver: LoginView | undefined;
  /** What the agent in the container uses. */
  home: LoginView | undefined;
}

/** Whose login it is, where a file of the agent's own tells it and the credential does not. */
const accountAtHome = async ({ login }: Agent, home: string): Promise<string | undefined> => {
  const account = login?.account;
  if (account === undefined) return undefined;
  // A running agent writes this file at any moment; without it, the account is just not known.
  const files = await readFiles(home, (file) => file === account.file).catch(() => undefined);
  const text = files?.get(account.file)?.toString('utf8');
  return text === undefined ? undefined : account.pick(text)?.account;
};

/**
 * Reads the login of an agent in the state directory of an instance. The container
 * may have put anything there: no link is followed, nothing large is read. Throws
 * when it cannot be read.
 */
export const readInstanceLogin = async (agent: Agent, directory: string, now: Date): Promise<InstanceLogin> => {
  const home = path.join(directory, 'home', agent.homes[0]);
  const set = await readCurrentSet(path.join(directory, 'handoff'), agent.handoffs, isInHandoff(agent));
  const { view } = loginAtHome(agent, (await readFiles(home, isAtHome(agent))) ?? new Map<string, Buffer>(), now);
  const account = view?.account ?? (view && (await accountAtHome(agent, home)));
  return { handedOver: set && loginInHandoff(agent, set, now)?.view, home: view && { ...view, account } };
};

/**
 * The GitHub login in the state directory of an instance; undefined when there is none.
 * `unknown`: gh's file is there, and nobody can read it.
 */
export const readInstanceGithub = async (directory: string): Promise<{ state: LoginState; user: string | undefined } | undefined> => {
  const files = await readFiles(path.join(directory, '.config', 'gh'), (file) => file === HOSTS_FILE);
  const text = files?.get(HOSTS_FILE)?.toString('utf8');
  if (text === undefined) return undefined;
  const hosts = parseHosts(text);
  if (hosts === undefined) return { state: 'unknown', user: undefined };
  const login = loginIn(hosts);
  return login && { state: login.token === undefined ? 'dead' : 'live', user: login.user };
};
