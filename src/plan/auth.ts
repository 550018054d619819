import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { LoginFacts } from '../agents/login-facts.ts';
import { type Decision, describeOrigin, type Origin } from '../config/layers.ts';
import type { AuthDecision } from '../config/resolve-auth.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { JackinError } from '../shared/errors.ts';
import type { Facts } from './facts.ts';
import type { PlannedAuth } from './plan.ts';
import type { LoadRequest } from './request.ts';

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
export const isSet = (entry: EnvEntry | undefined, hostEnv: Facts['hostEnv']): boolean => {
  if (entry === undefined) return false;
  switch (entry.source.kind) {
    case 'literal':
      return entry.source.value !== '';
    case 'host':
      return hostEnv[entry.source.name] ?? false;
    case 'op':
    case 'prompt':
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

/** What of a login is handed over: all that may still work. */
const isHandedOver = (login: Pick<LoginFacts, 'state'> | undefined): boolean =>
  login !== undefined && ['live', 'expired-refreshable', 'unknown'].includes(login.state);

/**
 * Throws `auth.account` when a login that would be handed over is not the pinned
 * account's, or does not tell whose it is. Asked again with what is really read.
 * `own` names a login of jackin's own.
 */
export const assertPinned = (agent: AgentSlug, pin: PlannedAuth['pinned_account'], account: string | undefined, own?: string): void => {
  if (pin === null || pin.account === account) return;
  const { name, loginCommand } = AGENTS[agent];
  const which = own === undefined ? `the ${name} login on this machine` : `the login ${own} of jackin's own`;
  const who = account === undefined ? `does not tell whose account it is` : `is of the account ${account}`;
  throw new JackinError('auth.account', `${which} ${who}, and ${describeOrigin(pin.decided_by as Origin)} allows ${pin.account} only`, {
    hint:
      own === undefined
        ? `log in as ${pin.account} with \`${loginCommand}\`, or name the directory of that login with [${agent}] sync_source_dir`
        : `log in as ${pin.account} with \`jackin login ${agent} --account ${own}\`, or use another login`,
  });
};

/** With --strict-auth, the agent that is started must have a login that works as it stands. */
const assertWorks = (agent: AgentSlug, login: LoginFacts): void => {
  if (['live', 'unknown'].includes(login.state)) return;
  throw new JackinError(login.state === 'dead' ? 'auth.dead' : 'auth.missing', `--strict-auth: ${login.why}`, {
    hint: `run \`${AGENTS[agent].loginCommand}\` on the host${login.state === 'expired-refreshable' ? ', or start it there once so that it refreshes the login' : ''}`,
  });
};

const deliveryOf = (login: LoginFacts | undefined, hasKey: boolean): PlannedAuth['delivery'] => {
  if (isHandedOver(login)) return login?.from === 'own login' ? 'lease' : 'handoff files';
  return hasKey ? 'stdin of the capsule' : 'nothing';
};

const cannotRead = ({ why }: LoginFacts): JackinError =>
  new JackinError('auth.missing', why.replace(/\.$/, ''), {
    hint: 'make it readable for you, name another directory with sync_source_dir, or choose another way with auth_forward',
  });

/** A login of jackin's own that cannot be used: none of that name, or its files hold nothing to send. */
const noOwnLogin = (agent: AgentSlug, { value: account, origin }: Decision<string>, login: LoginFacts | undefined, known: string[]): JackinError => {
  const hint = `log in with \`jackin login ${agent} --account ${account}\``;
  const who = `the login ${account} of jackin's own (for ${AGENTS[agent].name}, by ${describeOrigin(origin)})`;
  if (known.includes(account)) return new JackinError('auth.dead', `${who} does not work: ${login?.why.replace(/\.$/, '')}`, { hint });
  const there = known.length === 0 ? 'there are none yet' : `there are: ${known.join(', ')}`;
  return new JackinError('not-found', `${who} is not there (${there})`, { hint });
};

interface Launch {
  /** Whether it is this agent that is started. */
  launched: boolean;
  strict: boolean;
  prompt: boolean;
}

/** Some agents, run for one prompt, would wait for a login that nobody can give. */
const assertCanAnswer = (agent: AgentSlug, login: LoginFacts | undefined, hasKey: boolean): void => {
  if (AGENTS[agent].runtime.oneShotNeedsLogin === undefined || hasKey || isHandedOver(login)) return;
  const why = login === undefined ? `${AGENTS[agent].name} is set to ignore, so it has no login` : login.why;
  throw new JackinError('auth.missing', `${AGENTS[agent].name} answers no prompt without a login: ${why}`, {
    hint: `run \`${AGENTS[agent].loginCommand}\` on the host, then load again`,
  });
};

/** How one agent's login or key gets in. A missing key stops the plan only for the agent that is to be started. */
const planAgentAuth = (config: ResolvedConfig, facts: Facts, agent: AgentSlug, launch: Launch): PlannedAuth => {
  const { mode, sourceDir, account, login: named } = config.auth[agent];
  const own = mode.value === 'sync' ? named : undefined;
  const login = mode.value === 'sync' ? facts.logins[agent] : undefined;
  const key = AGENTS[agent].keys[mode.value] ?? null;
  const entry = key === null ? undefined : config.env.find(({ name }) => name === key);
  const hasKey = key !== null && isSet(entry, facts.hostEnv);
  if (key !== null && launch.launched && !hasKey) throw missingKey(config, agent, key, entry);
  const pin = account === undefined ? null : { account: account.value, decided_by: account.origin };
  if (isHandedOver(login)) assertPinned(agent, pin, login?.account, own?.value);
  if (launch.launched && own !== undefined && !isHandedOver(login)) throw noOwnLogin(agent, own, login, facts.ownLogins ?? []);
  if (launch.launched && login?.unreadable) throw cannotRead(login);
  // The keeper renews a login of jackin's own before anybody gets it.
  if (launch.launched && launch.strict && login !== undefined && own === undefined) assertWorks(agent, login);
  if (launch.launched && launch.prompt) assertCanAnswer(agent, login, hasKey);
  return {
    agent,
    mode: mode.value,
    decided_by: mode.origin,
    source_dir: sourceDir?.value ?? null,
    source_dir_decided_by: sourceDir?.origin ?? null,
    pinned_account: pin,
    own_login: own === undefined ? null : { account: own.value, decided_by: own.origin },
    login: login === undefined ? null : planLogin(login),
    delivery: deliveryOf(login, hasKey),
    key,
    provider: mode.value === 'api_key' ? planProvider(agent, config.env, facts.role.models[agent]) : null,
    forks_login: own === undefined && isHandedOver(login) && (login?.refreshable ?? false),
  };
};

/** The agents of the role that would start with a login or a key. */
export const loggedInAgents = (config: ResolvedConfig, { role, logins, hostEnv }: Facts): AgentSlug[] =>
  role.agents.filter((agent) => {
    const mode = config.auth[agent].mode.value;
    const key = AGENTS[agent].keys[mode];
    return mode === 'sync' ? isHandedOver(logins[agent]) : key !== undefined && isSet(config.env.find(({ name }) => name === key), hostEnv);
  });

export const planAuth = (config: ResolvedConfig, facts: Facts, launched: AgentSlug, { strictAuth, session }: LoadRequest): PlannedAuth[] =>
  facts.role.agents.map((agent) =>
    planAgentAuth(config, facts, agent, { launched: agent === launched, strict: strictAuth, prompt: session.kind === 'prompt' }),
  );

/** A login that is named but not used, because the mode says otherwise; and one that is missing, of an agent that is not started. */
export const ownLoginWarnings = (config: ResolvedConfig, auth: PlannedAuth[], launched: AgentSlug): string[] =>
  auth.flatMap(({ agent, mode, own_login: own, delivery }) => {
    const named = config.auth[agent as AgentSlug].login;
    if (named === undefined) return [];
    const login = `the login ${named.value} of jackin's own (${describeOrigin(named.origin)})`;
    if (own === null) return [`${login} is not used: ${agent} is set to ${mode} by ${describeOrigin(config.auth[agent as AgentSlug].mode.origin)}`];
    return delivery === 'lease' || agent === launched ? [] : [`${login} does not work, so ${agent} starts logged out here: \`jackin login ${agent} --account ${named.value}\``];
  });

/** The agent whose key a variable is, when the mode of that agent does not use it. */
const unusedBy = (config: ResolvedConfig, name: string): AgentSlug | undefined => {
  const owner = Object.values(AGENTS).find(({ keys }) => Object.values(keys).includes(name));
  return owner === undefined || owner.keys[config.auth[owner.slug].mode.value] === name ? undefined : owner.slug;
};

/** The variables of the environment layers whose values reach a session. */
export const usedEntries = (config: ResolvedConfig): EnvEntry[] => config.env.filter(({ name }) => unusedBy(config, name) === undefined);

/** Keys that stand in the environment layers but go to no session, because the mode of their agent does not use them. */
export const unusedKeyWarnings = (config: ResolvedConfig): string[] =>
  config.env.flatMap(({ name, origin }) => {
    const agent = unusedBy(config, name);
    if (agent === undefined) return [];
    const { mode } = config.auth[agent];
    return [`${name} (${describeOrigin(origin)}) goes to no session: ${agent} is set to ${mode.value} by ${describeOrigin(mode.origin)}`];
  });
