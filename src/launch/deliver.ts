import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { judgeLogin } from '../agents/kimi-login.ts';
import { githubEnvironment, githubSetup } from '../auth/github-environment.ts';
import type { GithubChange } from '../auth/github-handoff.ts';
import { readGithub } from '../auth/github-source.ts';
import type { HandoffChange } from '../auth/handoff.ts';
import type { OwnLogin } from '../auth/own-login.ts';
import { readLogin } from '../auth/read-login.ts';
import type { AgentSetup, GitSetup, LaunchRequest, SpawnRequest, TerminalSize } from '../capsule/protocol.ts';
import { leaseChanges } from '../keeper/hand-out.ts';
import { assertPinned } from '../plan/auth.ts';
import type { LaunchPlan, PlannedAuth, PlannedGithub } from '../plan/plan.ts';
import { JackinError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';
import type { Deps } from './deps.ts';
import { sourceOptions } from './facts.ts';
import type { HandedOver } from './instance-dir.ts';
import type { Values } from './values.ts';

/** What one agent's login becomes in the handoff of an instance. */
const handoffChanges = async (auth: PlannedAuth, deps: Deps): Promise<HandoffChange[]> => {
  const agent = auth.agent as AgentSlug;
  const names = AGENTS[agent].handoffs;
  if (auth.delivery === 'lease') return names.map((name) => ({ name, action: 'keep' }));
  if (auth.mode !== 'sync') return names.map((name) => ({ name, action: 'remove' }));
  const sourceDir = auth.source_dir ?? undefined;
  // Looked at for the plan, and found not to be readable: what an earlier launch handed over stays.
  if (auth.delivery === 'nothing') return names.map((name) => ({ name, action: 'keep' }));
  const { set, facts } = await readLogin(agent, { ...sourceOptions(deps, deps.now()), sourceDir });
  if (set === undefined) return names.map((name) => ({ name, action: 'keep' }));
  // The host may have logged in as somebody else since the plan was made.
  assertPinned(agent, auth.pinned_account, facts.account);
  // A host with only one generation of the login leaves nothing of the other one behind.
  return names.map((name) => (name === set.name ? { name, action: 'replace', files: set.files } : { name, action: 'remove' }));
};

/** What the leased login becomes there, as it is when this is called. */
const leaseOfPlan = (plan: LaunchPlan, read: () => Promise<OwnLogin>, deps: Deps) => async (): Promise<HandoffChange[]> => {
  const login = await read();
  const pinned = plan.auth.find(({ delivery }) => delivery === 'lease')?.pinned_account ?? null;
  // Somebody else may have logged in under its name since the plan was made.
  assertPinned('kimi', pinned, judgeLogin(login.files, 'kimi-code', deps.now()).account, login.account);
  return leaseChanges(login);
};

const githubChange = async ({ mode, delivery }: PlannedGithub, deps: Deps, say: (line: string) => void): Promise<GithubChange> => {
  if (mode !== 'sync') return { action: 'remove' };
  const { login, why } = await readGithub(deps, deps.signal);
  if (login !== undefined) return { action: 'write', login };
  if (delivery === 'hosts.yml') say(`github     ${why} It starts without access to GitHub.`);
  return { action: 'keep' };
};

/** Reads the host's logins, as the plan says, for the state of an instance; `readLeased` reads the one of jackin's own that it uses. */
export const readHandedOver = async (plan: LaunchPlan, readLeased: (() => Promise<OwnLogin>) | undefined, deps: Deps, say: (line: string) => void): Promise<HandedOver> => {
  const [logins, github] = await Promise.all([
    Promise.all(plan.auth.map((auth) => handoffChanges(auth, deps))),
    githubChange(plan.github, deps, say),
  ]);
  return { logins: logins.flat(), ...(readLeased !== undefined && { lease: leaseOfPlan(plan, readLeased, deps) }), github };
};

/** Names of every agent's keys: none of them goes to every session. */
const KEY_NAMES = new Set(Object.values(AGENTS).flatMap(({ keys }) => Object.values(keys)));

const agentSetup = (auth: PlannedAuth, values: ReadonlyMap<string, Secret>): AgentSetup => {
  const { agent: slug, mode, provider, delivery } = auth;
  if (provider === null) return { slug, mode, ...(delivery === 'lease' && { leased: true }) };
  const override = values.get(AGENTS[slug as AgentSlug].apiKeyProvider?.baseUrlVariable ?? '')?.reveal();
  return { slug, mode, provider: { baseUrl: override || provider.base_url, model: provider.model, contextSize: provider.context_size } };
};

const keysOf = (auth: PlannedAuth, values: ReadonlyMap<string, Secret>): Record<string, string> => {
  const value = auth.key === null ? undefined : values.get(auth.key);
  return value === undefined ? {} : { [auth.key!]: value.reveal() };
};

const startedAuth = (plan: LaunchPlan): PlannedAuth => plan.auth.find(({ agent }) => agent === plan.agent.slug)!;

const assertKeyNotEmpty = (plan: LaunchPlan, values: ReadonlyMap<string, Secret>): void => {
  const { key, agent } = startedAuth(plan);
  if (key === null || values.get(key)?.reveal()) return;
  throw new JackinError('auth.missing', `${key}, which ${agent} needs, is empty`, { hint: 'look at where the [env] table takes it from' });
};

const gitSetup = ({ github, commits: { identity, coauthor_trailer, dco } }: LaunchPlan, values: Values['github']): GitSetup => ({
  github: githubSetup(github.mode, values),
  ...(identity !== null && { identity: { ...(identity.name !== null && { name: identity.name }), ...(identity.email !== null && { email: identity.email }) } }),
  trailers: { coauthor: coauthor_trailer.on, dco: dco.on },
});

/** The first frame of a launch. The only place where secrets are put together; it goes over a stream and to no disk. */
export const launchRequest = (
  plan: LaunchPlan,
  { env: values, github }: Values,
  size: TerminalSize | undefined,
): LaunchRequest => {
  assertKeyNotEmpty(plan, values);
  const { runtime } = AGENTS[plan.agent.slug as AgentSlug];
  const shared = [...values].filter(([name]) => !KEY_NAMES.has(name)).map(([name, value]) => [name, value.reveal()]);
  return {
    setup: {
      workdir: plan.workspace.workdir,
      agents: plan.auth.map((auth) => agentSetup(auth, values)),
      git: gitSetup(plan, github),
      hooks: plan.role.hooks.map(({ name }) => name),
    },
    session: {
      agent: plan.agent.slug,
      argv: plan.session.argv,
      cwd: plan.workspace.workdir,
      io: plan.session.io,
      ...(size === undefined ? {} : { size }),
      env: { ...runtime.env, ...Object.fromEntries(shared), ...githubEnvironment(plan.github.mode, github) },
      // Of the agent that starts alone: no process can find a key that is not in the container.
      keys: { [plan.agent.slug]: keysOf(startedAuth(plan), values) },
    },
    detached: plan.session.kind === 'detached',
  };
};

/** The same for one more session of an instance: only its own agent is set up. */
export const spawnRequest = (plan: LaunchPlan, values: Values, size: TerminalSize | undefined): SpawnRequest => {
  const { setup, session: { env, keys, ...session }, detached } = launchRequest(plan, values, size);
  const agents = setup.agents.filter(({ slug }) => slug === plan.agent.slug);
  return { session, detached, fresh: { setup: { ...setup, agents }, env, keys } };
};
