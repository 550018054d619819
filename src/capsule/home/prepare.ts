import { AGENTS, isAgentSlug } from '../../agents/agents.ts';
import { asDiskError } from '../../shared/atomic-files.ts';
import { runHooks } from '../hooks.ts';
import type { AgentSetup, LoginOutcome, SetupReport, SetupRequest } from '../protocol.ts';
import { prepareFileAgent } from './file-agent.ts';
import { prepareGit } from './git-config.ts';
import { prepareKimi } from './kimi.ts';
import type { HomeRoots } from './roots.ts';
import { seedHome } from './seed.ts';
import { inTurn } from './turns.ts';

const prepareAgent = async (setup: AgentSetup, workdir: string, roots: HomeRoots, now: Date): Promise<LoginOutcome> => {
  if (!isAgentSlug(setup.slug)) throw new Error(`there is no agent ${setup.slug}`);
  const agent = AGENTS[setup.slug];
  return agent.login === undefined
    ? await prepareKimi(setup, workdir, roots, now)
    : await prepareFileAgent({ ...agent, login: agent.login }, setup, workdir, roots, now);
};

/** What the host has sent, beside what the container has of its image: that may be a secret. */
const hostValues = (env: NodeJS.ProcessEnv, container = process.env): string[] =>
  Object.entries(env).flatMap(([name, value]) => (value === undefined || value === container[name] ? [] : [value]));

export interface Prepared {
  report: SetupReport;
  /** For the environment of every session; they win over what is there. Never a secret. */
  variables: Record<string, string>;
}

/** How preparing tells what takes long, and what ends it early. */
export interface PrepareContext {
  note: (text: string) => void;
  signal: AbortSignal;
}

/**
 * Gets the instance ready before an agent starts: its home, git, then the role's
 * hooks. `env` is what the sessions will have. Can be repeated at any time.
 */
export const prepareInstance = async (
  request: SetupRequest,
  roots: HomeRoots,
  env: NodeJS.ProcessEnv,
  now: Date,
  context: PrepareContext,
): Promise<Prepared> => {
  const report = await inTurn(() => prepareHome(request, roots, now));
  const { variables, why } = await prepareGit(request.git, roots, env).catch((error: unknown) => {
    throw asDiskError(error, `setting up git in ${roots.state}`);
  });
  const hookContext = { ...context, env: { ...env, ...variables }, secrets: hostValues(env) };
  const exported = await runHooks(request.hooks, { home: roots.home, state: roots.state, workdir: request.workdir }, hookContext);
  // A hook that changes what git needs would take the operator's login and name from it.
  return { report: { ...report, ...(why !== undefined && { github: why }) }, variables: { ...exported, ...variables } };
};

/**
 * Gets the home ready before an agent starts: the image's files on the first
 * launch, then every agent's login. Can be repeated at any time, and makes good
 * what an interrupted run left behind.
 */
export const prepareHome = async (request: Pick<SetupRequest, 'workdir' | 'agents'>, roots: HomeRoots, now: Date): Promise<SetupReport> => {
  try {
    await seedHome(roots.defaultHome, roots.home, roots.state);
    const logins: LoginOutcome[] = [];
    for (const setup of request.agents) logins.push(await prepareAgent(setup, request.workdir, roots, now));
    return { logins };
  } catch (error) {
    throw asDiskError(error, `setting up ${roots.home}`);
  }
};
