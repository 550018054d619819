import type { Agent } from '../../agents/agents.ts';
import type { FileLogin } from '../../agents/login-form.ts';
import type { AgentSetup, LoginOutcome } from '../protocol.ts';
import { decide } from './decide.ts';
import { answerFirstQuestions, forgetAccount } from './first-run.ts';
import type { Place } from './place.ts';
import { readHandoff, readHome } from './read-login.ts';
import { reconcile } from './reconcile.ts';
import { forgetLogin } from './removal.ts';
import type { HomeRoots } from './roots.ts';
import { finishChange, makeHomeDir } from './swap.ts';

export type FileAgent = Agent & { login: FileLogin };

const placeOf = (agent: FileAgent, { home, state }: HomeRoots): Place => ({
  slug: agent.slug,
  home,
  state,
  dir: agent.homes[0],
  written: [{ dir: agent.homes[0] }],
});

type Outcome = Omit<LoginOutcome, 'slug'> & {
  /** Account that the agent is to know of; undefined: whatever it knows already. */
  account?: string | undefined;
};

const bringInLine = async (agent: FileAgent, setup: AgentSetup, place: Place, roots: HomeRoots, now: Date): Promise<Outcome> => {
  const home = await readHome(agent, roots.home, now);
  if (setup.mode === 'sync') {
    const handoff = await readHandoff(agent, roots.handoff, now);
    const isDead = (_file: string, bytes: Buffer): boolean => agent.login.judge(bytes.toString('utf8'), now).state === 'dead';
    const { winner, why } = await reconcile(place, handoff?.login, home, isDead, now);
    return { outcome: winner, why, account: winner === 'handoff' || winner === 'same' ? handoff?.account : undefined };
  }
  await forgetAccount(place);
  // What was renewed inside is still the forwarded login.
  const removed = await forgetLogin(place, home.files, () => true);
  const key = agent.keys[setup.mode];
  if (key !== undefined) return { outcome: 'provider', why: `${agent.name} reads ${key} from its environment.` };
  if (removed) return { outcome: 'removed', why: 'The login that jackin had placed is gone from the container.' };
  return decide(undefined, undefined, home.view).winner === 'home'
    ? { outcome: 'home', why: 'No login is handed over; the one made in the container stays.' }
    : { outcome: 'none', why: 'No login is handed over.' };
};

/**
 * Makes the home of an agent with a one-file login ready: finishes what an earlier
 * start began, brings the login in line with the mode, and answers the questions
 * of a first start.
 */
export const prepareFileAgent = async (agent: FileAgent, setup: AgentSetup, workdir: string, roots: HomeRoots, now: Date): Promise<LoginOutcome> => {
  const place = placeOf(agent, roots);
  await makeHomeDir(roots.home, place.dir);
  await finishChange(place);
  const { account, ...outcome } = await bringInLine(agent, setup, place, roots, now);
  await answerFirstQuestions(agent.slug, place, { workdir, account }, now);
  return { slug: setup.slug, ...outcome };
};
