import type { AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { ownLoginDir, readOwnLogin } from '../auth/own-login.ts';
import { readLogin } from '../auth/read-login.ts';
import type { LoginSet, SourceOptions } from '../auth/source.ts';
import type { Paths } from '../config/paths.ts';
import type { AuthDecision } from '../config/resolve-auth.ts';
import { endOf, readLoginNote } from '../keeper/login-note.ts';

/** Whose login it is: one of jackin's own, or the host's, in a directory of its own or a configured one. */
export type LoginDecision = Pick<AuthDecision, 'sourceDir' | 'login'>;

/** What is wrong with one of jackin's own logins, although its files look well; undefined when nothing is. */
const endedBy = async (account: string, paths: Paths, uid: number): Promise<string | undefined> => {
  const { token } = await readOwnLogin(paths.loginsDir, account, uid);
  if (token === undefined) return 'It holds no token that could be sent.';
  const end = endOf(await readLoginNote(paths, account), token);
  return end && `The server does not renew it any more: ${end.why}.`;
};

const asOwn = async (account: string, facts: LoginFacts, paths: Paths, uid: number): Promise<LoginFacts> => {
  const own: LoginFacts = { ...facts, from: 'own login' };
  // The reader tells of a configured directory, which this is not.
  if (facts.generation === null) return { ...own, why: `There is no login ${account} of jackin's own.` };
  if (facts.state === 'dead' || facts.state === 'absent') return own;
  const why = await endedBy(account, paths, uid);
  if (why === undefined) return facts.state === 'live' ? own : { ...own, why: 'Its access has ended, and the keeper renews it when it is needed.' };
  return { ...own, state: 'dead', refreshable: false, why };
};

/** Reads the login that the configuration decides on. One of jackin's own is only looked at: what is handed over of it, the keeper makes. */
export const readDecidedLogin = async (agent: AgentSlug, { sourceDir, login }: LoginDecision, paths: Paths, options: Omit<SourceOptions, 'sourceDir'>): Promise<LoginSet> => {
  if (login === undefined) return readLogin(agent, { ...options, sourceDir: sourceDir?.value });
  const { facts } = await readLogin(agent, { ...options, sourceDir: ownLoginDir(paths.loginsDir, login.value) });
  return { facts: await asOwn(login.value, facts, paths, options.uid), set: undefined };
};
