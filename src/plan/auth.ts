import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { describeOrigin } from '../config/layers.ts';
import type { AuthDecision } from '../config/resolve-auth.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { JackinError } from '../shared/errors.ts';
import type { Facts } from './facts.ts';
import type { PlannedAuth } from './plan.ts';

const planLogin = (facts: LoginFacts): PlannedAuth['login'] => ({
  dir: facts.dir,
  from: facts.from,
  generation: facts.generation,
  state: facts.state,
  account: facts.account ?? null,
  expires_at: facts.expiresAt ?? null,
  files: facts.files.map(({ path }) => path),
  skipped: facts.skipped,
  why: facts.why,
});

/** Whether the host says that a value is there. What 1Password holds is only known when it is asked, at launch. */
const isSet = (entry: EnvEntry | undefined, hostEnv: Facts['hostEnv']): boolean => {
  if (entry === undefined) return false;
  switch (entry.source.kind) {
    case 'literal':
      return entry.source.value !== '';
    case 'host':
      return hostEnv[entry.source.name] ?? false;
    case 'op':
      return true;
    default:
      return entry.source satisfies never;
  }
};

const modeTrace = ({ mode }: AuthDecision): string[] => [
  ...mode.trace.map(({ origin, key, value }) => `  ${key} at ${describeOrigin(origin)}: ${value ?? 'not set'}`),
  ...(mode.origin.layer === 'default' ? [`  default: ${mode.value}`] : []),
];

const envTrace = (config: ResolvedConfig, name: string, entry: EnvEntry | undefined): string[] =>
  config.envLayers.map(({ layer, file }) => {
    const decided = entry !== undefined && entry.origin.layer === layer;
    const where = decided ? describeOrigin(entry.origin) : file === undefined ? `${layer} (no file)` : `${layer} (${file})`;
    const what = !decided ? 'not set' : entry.source.kind === 'host' ? `$${entry.source.name}, which is not set on the host` : 'set, but empty';
    return `  ${name} at ${where}: ${what}`;
  });

/** The launch cannot work without the key: say who decided the mode, and every place where the key was looked for. */
const missingKey = (config: ResolvedConfig, agent: AgentSlug, key: string, entry: EnvEntry | undefined): JackinError => {
  const decision = config.auth[agent];
  const message = [
    `${AGENTS[agent].name} is set to ${decision.mode.value}, which needs ${key}, and ${key} is not there`,
    'mode:',
    ...modeTrace(decision),
    'key:',
    ...envTrace(config, key, entry),
  ].join('\n');
  return new JackinError('auth.missing', message, {
    hint: `set ${key} in an [env] table, as ${key} = "$${key}" to take it from your shell, or set [${agent}] auth_forward = "sync"`,
  });
};

/** The endpoint that a key is for; with the role's model, so that the alias which is set up is the one that is asked for. */
const planProvider = (agent: AgentSlug, env: EnvEntry[], model: string | undefined): PlannedAuth['provider'] => {
  const provider = AGENTS[agent].apiKeyProvider;
  if (provider === undefined) return null;
  const override = env.find(({ name }) => name === provider.baseUrlVariable);
  const baseUrl =
    override === undefined ? provider.baseUrl : override.source.kind === 'literal' ? override.source.value : `$${provider.baseUrlVariable}`;
  return { base_url: baseUrl, model: model ?? provider.model, context_size: provider.contextSize };
};

/** How one agent's login or key gets in. A missing key stops the plan only for the agent that is to be started. */
const planAgentAuth = (config: ResolvedConfig, facts: Facts, agent: AgentSlug, launched: boolean): PlannedAuth => {
  const { mode, sourceDir } = config.auth[agent];
  const login = mode.value === 'sync' ? facts.logins[agent] : undefined;
  const key = AGENTS[agent].keys[mode.value] ?? null;
  const entry = key === null ? undefined : config.env.find(({ name }) => name === key);
  if (key !== null && launched && !isSet(entry, facts.hostEnv)) throw missingKey(config, agent, key, entry);
  const handsOver = login !== undefined && ['live', 'expired-refreshable', 'unknown'].includes(login.state);
  return {
    agent,
    mode: mode.value,
    decided_by: mode.origin,
    source_dir_decided_by: sourceDir?.origin ?? null,
    login: login === undefined ? null : planLogin(login),
    delivery: handsOver ? 'handoff files' : key !== null && isSet(entry, facts.hostEnv) ? 'stdin of the capsule' : 'nothing',
    key,
    provider: mode.value === 'api_key' ? planProvider(agent, config.env, facts.role.models[agent]) : null,
    forks_login: handsOver && login.refreshable,
  };
};

export const planAuth = (config: ResolvedConfig, facts: Facts, launched: AgentSlug): PlannedAuth[] =>
  facts.role.agents.map((agent) => planAgentAuth(config, facts, agent, agent === launched));

/** Keys that stand in the environment layers but go to no session, because the mode of their agent does not use them. */
export const unusedKeyWarnings = (config: ResolvedConfig): string[] =>
  config.env.flatMap(({ name, origin }) => {
    const owner = Object.values(AGENTS).find(({ keys }) => Object.values(keys).includes(name));
    if (owner === undefined || owner.keys[config.auth[owner.slug].mode.value] === name) return [];
    const { mode } = config.auth[owner.slug];
    return [`${name} (${describeOrigin(origin)}) goes to no session: ${owner.slug} is set to ${mode.value} by ${describeOrigin(mode.origin)}`];
  });
