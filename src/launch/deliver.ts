import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { HandoffChange } from '../auth/handoff.ts';
import { readKimi } from '../auth/kimi-source.ts';
import type { AgentSetup, LaunchRequest, TerminalSize } from '../capsule/protocol.ts';
import type { LaunchPlan, PlannedAuth } from '../plan/plan.ts';
import { JackinError } from '../shared/errors.ts';
import type { Secret } from '../shared/secret.ts';
import type { Deps } from './deps.ts';

/** What one agent's login becomes in the handoff of an instance. */
const handoffChanges = async (auth: PlannedAuth, deps: Deps): Promise<HandoffChange[]> => {
  const names = AGENTS[auth.agent as AgentSlug].handoffs;
  if (auth.mode !== 'sync') return names.map((name) => ({ name, action: 'remove' }));
  if (auth.login === null) return [];
  const sourceDir = auth.login.from === 'sync_source_dir' ? auth.login.dir : undefined;
  const { set } = await readKimi({ sourceDir, home: deps.home, env: deps.env, uid: deps.uid, now: deps.now() });
  if (set === undefined) return names.map((name) => ({ name, action: 'keep' }));
  // A host with only one generation of the login leaves nothing of the other one behind.
  return names.map((name) => (name === set.name ? { name, action: 'replace', files: set.files } : { name, action: 'remove' }));
};

export const planHandoff = async (plan: LaunchPlan, deps: Deps): Promise<HandoffChange[]> =>
  (await Promise.all(plan.auth.map((auth) => handoffChanges(auth, deps)))).flat();

/** Names of every agent's keys: they go to the sessions of their own agent and to no other. */
const KEY_NAMES = new Set(Object.values(AGENTS).flatMap(({ keys }) => Object.values(keys)));

const agentSetup = (auth: PlannedAuth, values: ReadonlyMap<string, Secret>): AgentSetup => {
  const { agent: slug, mode, provider } = auth;
  if (provider === null) return { slug, mode };
  const override = values.get(AGENTS[slug as AgentSlug].apiKeyProvider?.baseUrlVariable ?? '')?.reveal();
  return { slug, mode, provider: { baseUrl: override || provider.base_url, model: provider.model, contextSize: provider.context_size } };
};

const keysOf = (auth: PlannedAuth, values: ReadonlyMap<string, Secret>): Record<string, string> => {
  const value = auth.key === null ? undefined : values.get(auth.key);
  return value === undefined ? {} : { [auth.key!]: value.reveal() };
};

const assertKeyNotEmpty = (plan: LaunchPlan, values: ReadonlyMap<string, Secret>): void => {
  const { key, agent } = plan.auth.find((auth) => auth.agent === plan.agent.slug)!;
  if (key === null || values.get(key)?.reveal()) return;
  throw new JackinError('auth.missing', `${key}, which ${agent} needs, is empty`, { hint: 'look at where the [env] table takes it from' });
};

/** The first frame of a launch. The only place where secrets are put together; it goes over a stream and to no disk. */
export const launchRequest = (
  plan: LaunchPlan,
  values: ReadonlyMap<string, Secret>,
  size: TerminalSize | undefined,
): LaunchRequest => {
  assertKeyNotEmpty(plan, values);
  const runtime = AGENTS[plan.agent.slug as AgentSlug].runtime!;
  const shared = [...values].filter(([name]) => !KEY_NAMES.has(name)).map(([name, value]) => [name, value.reveal()]);
  return {
    setup: { workdir: plan.workspace.workdir, agents: plan.auth.map((auth) => agentSetup(auth, values)) },
    session: {
      agent: plan.agent.slug,
      argv: plan.session.argv,
      cwd: plan.workspace.workdir,
      io: plan.session.io,
      ...(size === undefined ? {} : { size }),
      env: { ...runtime.env, ...Object.fromEntries(shared) },
      keys: Object.fromEntries(plan.auth.map((auth) => [auth.agent, keysOf(auth, values)])),
    },
    detached: plan.session.kind === 'detached',
  };
};
