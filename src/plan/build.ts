import path from 'node:path';
import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { resolveModel } from '../agents/kimi-config.ts';
import { didYouMean } from '../config/nearest.ts';
import { describeOrigin, type Origin } from '../config/layers.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { touches } from '../config/values.ts';
import { JackinError } from '../shared/errors.ts';
import { loggedInAgents, ownLoginWarnings, planAuth, unusedKeyWarnings } from './auth.ts';
import { commitWarnings, planCommits } from './commits.ts';
import type { Facts } from './facts.ts';
import { planGithub, unusedGithubWarnings } from './github.ts';
import { assertLocked, lockDrift, pinOf } from './lock.ts';
import { judgeMounts } from './mount-policy.ts';
import { planPulls, pullEffects } from './pulls.ts';
import { containerName, networkName } from './names.ts';
import { ID_PLACEHOLDER, type LaunchPlan, type PlannedAuth, type PlannedMount } from './plan.ts';
import type { LoadRequest } from './request.ts';
import { chooseAgent, planSession } from './session.ts';

const PIDS_LIMIT = 4096;
const CONTAINER_HOME = '/home/agent';
/** Names of time zones, and the forms such as `CET-1CEST` that POSIX knows; not a path of the host. */
const TIME_ZONE = /^[A-Za-z][A-Za-z0-9_+,.:/-]{0,63}$/;
const RUNTIME_DIR = '/jackin/runtime';

/** Variables of an image that would run code in front of the capsule; a bare name removes them. */
const REMOVED_ENV = ['NODE_OPTIONS', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'BASH_ENV', 'ENV'];

/** Asked before a role is fetched, too: one that may not run here need not come here. */
export const assertRoleAllowed = (config: ResolvedConfig, role: string): void => {
  const { allowedRoles, name } = config.workspace;
  if (allowedRoles.value.length === 0 || allowedRoles.value.includes(role)) return;
  const { file, line } = allowedRoles.origin;
  throw new JackinError('usage', `workspace ${name} does not allow the role ${role}`, {
    hint: `${file}:${line} allows: ${allowedRoles.value.join(', ')}; ${didYouMean(role, allowedRoles.value) || 'add the role to allowed_roles to run it here'}`,
  });
};

/** What the configuration may ask for and this version cannot do: refused, never ignored. */
const assertSupported = ({ mounts }: ResolvedConfig): void => {
  const isolated = mounts.find(({ isolation }) => isolation !== 'shared');
  if (isolated !== undefined) {
    throw new JackinError('usage', `isolation "${isolated.isolation}" of ${isolated.target} is not there yet (${describeOrigin(isolated.origin)})`, {
      hint: 'this version of jackin mounts the very same files: set isolation = "shared"',
    });
  }
};

/** A login that is named and has nobody to use it is a mistake, which must not pass unseen. */
const assertLoginUsed = ({ login }: LoadRequest, { key, agents, manifestFile }: Facts['role']): void => {
  if (login === undefined || agents.includes('kimi')) return;
  throw new JackinError('usage', `--login kimi:${login}: the role ${key} does not have Kimi`, { hint: `its agents: ${agents.join(', ')} (${manifestFile})` });
};

/** Settings that this version reads and explains but does not act on yet. */
const inertSettings = ({ workspace }: ResolvedConfig): string[] => {
  const set: [string, { value: unknown; origin: Origin }][] = [
    ['keep_awake.enabled', workspace.keepAwake],
  ];
  const decided = set.filter(([, { value, origin }]) => value === true && origin.layer !== 'default').map(([key, { origin }]) => ({ key, origin }));
  return decided.map(({ key, origin }) => `${key} has no effect in this version (${describeOrigin(origin)})`);
};

const assertWorkdirMounted = (workdir: string, mounts: { target: string }[], facts: Facts): void => {
  if (facts.workdir !== null && 'missing' in facts.workdir) {
    throw new JackinError('not-found', `workdir ${workdir} does not exist: there is no ${facts.workdir.missing} on this machine`, {
      hint: 'create it, or choose another workdir',
    });
  }
  if (facts.workdir !== null && 'noDirectory' in facts.workdir) {
    throw new JackinError('usage', `workdir ${workdir} is not a directory: ${facts.workdir.noDirectory} is a file`, {
      hint: 'name the directory that the file is in',
    });
  }
  if (mounts.some(({ target }) => touches(workdir, target))) return;
  throw new JackinError('usage', `workdir ${workdir} is outside every mount: the agent would start in an empty directory`, {
    hint: `mounts: ${mounts.map(({ target }) => target).join(', ')}`,
  });
};

const chooseUser = ({ operator, workdir }: Facts): LaunchPlan['container']['user'] => {
  if (operator.uid !== 0) return { ...operator, why: 'the operator' };
  const owner = workdir !== null && 'owner' in workdir ? workdir.owner : operator;
  if (owner.uid !== 0) return { ...owner, why: 'the owner of the workdir, because the operator is root' };
  return { uid: 0, gid: 0, why: 'operator and workdir belong to root: uid 0 without any capability' };
};

const planModel = (facts: Facts, agent: AgentSlug, auth: PlannedAuth): LaunchPlan['agent']['model'] => {
  const requested = facts.role.models[agent];
  if (requested === undefined) return null;
  const aliases =
    auth.provider === null
      ? (facts.logins[agent]?.aliases ?? [])
      : [{ alias: `jackin/${auth.provider.model}`, model: auth.provider.model }];
  const { alias, known } = resolveModel(requested, aliases);
  const configured = aliases.length === 0 ? 'none are configured' : `configured: ${aliases.map((entry) => entry.alias).join(', ')}`;
  return { requested, passed: alias, note: known ? null : `model "${requested}" is passed as it stands: no alias answers to it (${configured})` };
};

/** jackin's own mounts: what is handed over, what lasts, and who the agent is. */
const ownMounts = (instanceDir: string, agents: AgentSlug[]): PlannedMount[] => {
  const own = (source: string, target: string, readonly: boolean, why: string): PlannedMount => ({
    source: path.join(instanceDir, source),
    target,
    readonly,
    isolation: 'shared',
    why,
  });
  return [
    own('handoff', '/jackin/handoff', true, 'logins that the host hands over'),
    own('state', '/jackin/state', false, 'jackin’s own state of the instance'),
    own('.config/gh', `${CONTAINER_HOME}/.config/gh`, false, 'GitHub login and settings of gh'),
    own('.jackin/passwd', '/etc/passwd', true, 'gives the uid a name'),
    own('.jackin/group', '/etc/group', true, 'gives the gid a name'),
    ...agents.flatMap((slug) =>
      AGENTS[slug].homes.map((home) => own(`home/${home}`, `${CONTAINER_HOME}/${home}`, false, `durable home of ${slug}`)),
    ),
  ];
};

/** What was judged is what is mounted: the place itself, not a link that may lead elsewhere by then. */
const planMounts = (config: ResolvedConfig, facts: Facts, instanceDir: string): PlannedMount[] => [
  ...config.mounts.map(
    ({ source, target, readonly, origin }, index): PlannedMount => ({
      source: facts.mounts[index]?.real ?? source,
      target,
      readonly,
      isolation: 'shared',
      why: describeOrigin(origin),
    }),
  ),
  ...ownMounts(instanceDir, facts.role.agents),
];

const planContainer = (
  request: LoadRequest,
  config: ResolvedConfig,
  facts: Facts,
  name: string,
): LaunchPlan['container'] => {
  const user = chooseUser(facts);
  return {
    name,
    user,
    workdir: config.workspace.workdir,
    env: [
      'JACKIN=1',
      `JACKIN_CONTAINER_NAME=${name}`,
      `JACKIN_INSTANCE_ID=${ID_PLACEHOLDER}`,
      `JACKIN_ROLE=${facts.role.key}`,
      `JACKIN_WORKDIR=${config.workspace.workdir}`,
      `HOME=${CONTAINER_HOME}`,
      ...(facts.timeZone !== undefined && TIME_ZONE.test(facts.timeZone) ? [`TZ=${facts.timeZone}`] : []),
      // Without it, agents that refuse to run as root would; docs/adr/0003 says why this is told to them.
      ...(user.uid === 0 ? ['IS_SANDBOX=1'] : []),
      ...REMOVED_ENV,
    ],
    labels: {
      'jackin.managed': 'true',
      'jackin.kind': 'role',
      'jackin.class': facts.role.key,
      'jackin.display.name': facts.role.name,
      'jackin.instance': ID_PLACEHOLDER,
      'jackin.workspace': config.workspace.name ?? '',
    },
    networks: [networkName(name), ...request.networks],
    tmpfs: { '/jackin/run': `rw,nosuid,nodev,noexec,mode=0700,uid=${user.uid},gid=${user.gid}` },
    init: true,
    cap_drop: ['ALL'],
    no_new_privileges: true,
    pids_limit: PIDS_LIMIT,
  };
};

const planWarnings = (config: ResolvedConfig, facts: Facts, auth: PlannedAuth[], agent: LaunchPlan['agent']): string[] => {
  const launched = auth.find((entry) => entry.agent === agent.slug)!;
  return [
    ...facts.role.notes,
    ...lockDrift(config, facts, agent.slug as AgentSlug).map((drift) => `not as in ${facts.role.lock?.file}: ${drift}`),
    ...launched.login === null ? [] : launched.login.skipped.map(({ path: file, why }) => `${file} is not handed over: ${why}`),
    ...(agent.model?.note == null ? [] : [agent.model.note]),
    ...ownLoginWarnings(config, auth, agent.slug as AgentSlug),
    ...unusedKeyWarnings(config),
    ...unusedGithubWarnings(config),
    ...commitWarnings(config, facts),
    ...inertSettings(config),
  ];
};

/** The other agents of the role come along where they cost nothing: then one of them can join the instance at once. */
const planVolumes = (config: ResolvedConfig, facts: Facts, launched: LaunchPlan['agent']): LaunchPlan['volumes'] => {
  const others = facts.role.agents.filter((slug) => slug !== launched.slug).map((slug) => ({ slug, version: pinOf(config.agentVersions[slug]?.value, facts.role, slug).version }));
  const target = (slug: string): string => `/jackin/agents/${slug}`;
  return [
    { holds: 'Node and the capsule', target: RUNTIME_DIR, if_cached: null },
    { holds: `${launched.slug} ${launched.version ?? 'in the newest cached version, else the newest there is'}`, target: target(launched.slug), if_cached: null },
    ...others.map(({ slug, version }) => ({ holds: `${slug} ${version ?? 'in the newest cached version'}, if there is one`, target: target(slug), if_cached: { agent: slug, version } })),
  ];
};

const planSource = (source: Facts['role']['source']): LaunchPlan['role']['source'] => ({ url: null, commit: null, branch: null, ...source });

/** What a lease changes on the host: the keeper is started where none runs, and may renew the login. */
const keeperEffects = (auth: PlannedAuth[], jackinHome: string): LaunchPlan['host_effects'] =>
  auth.flatMap(({ delivery, login }) =>
    delivery !== 'lease' ? [] : [
      { path: path.join(jackinHome, 'keeper'), what: 'the keeper is started, where none runs: its socket and notes' },
      { path: login!.dir, what: 'the keeper may renew the login' },
    ],
  ); // prettier-ignore

/** A folder has no name that a later load could use, and a branch is for once. */
const isLasting = ({ source }: Facts['role']): boolean => source.kind === 'built-in' || (source.kind === 'git' && source.branch === null);

const lastRole = ({ workspace }: ResolvedConfig, { role }: Facts): string | null =>
  workspace.kind === 'saved' && isLasting(role) && workspace.lastRole?.value !== role.key ? role.key : null;

/** Pure: what a launch will do, decided from the request, the configuration and the facts. */
export const buildPlan = (request: LoadRequest, config: ResolvedConfig, facts: Facts): LaunchPlan => {
  const { role } = facts;
  assertRoleAllowed(config, role.key);
  const { slug, decided_by } = chooseAgent(request.agent, config.workspace.defaultAgent, role, loggedInAgents(config, facts));
  const agentHomes = role.agents.flatMap((agent) => AGENTS[agent].homes.map((home) => `${CONTAINER_HOME}/${home}`));
  assertSupported(config);
  assertLoginUsed(request, role);
  if (request.locked) assertLocked(config, facts, slug);
  const { consents } = judgeMounts(config.mounts, facts, agentHomes, request.allowedMounts);
  assertWorkdirMounted(config.workspace.workdir, config.mounts, facts);
  const auth = planAuth(config, facts, slug, request);
  const model = planModel(facts, slug, auth.find((entry) => entry.agent === slug)!);
  const agent = { slug, decided_by, ...pinOf(config.agentVersions[slug]?.value, role, slug), model };
  const name = containerName(ID_PLACEHOLDER, config.workspace.name, role.key);
  const instanceDir = path.join(facts.paths.dataDir, name);
  return {
    schema_version: 'v1',
    workspace: {
      kind: config.workspace.kind,
      name: config.workspace.name,
      file: config.workspace.file,
      workdir: config.workspace.workdir,
    },
    role: { key: role.key, name: role.name, source: planSource(role.source), trust: role.trust, content: role.contentHash, agents: role.agents, hooks: role.hooks, lock: role.lock?.file ?? null },
    agent,
    session: planSession(request, slug, auth.find((entry) => entry.agent === slug)!.mode, model?.passed, config.workspace.workdir),
    auth,
    github: planGithub(config, facts),
    commits: planCommits(config, facts),
    env: config.env.map(({ name: variable, source, origin }) => ({ name: variable, kind: source.kind, decided_by: origin })),
    mounts: planMounts(config, facts, instanceDir),
    image: {
      construct: facts.image.construct,
      construct_is_override: facts.image.constructIsOverride,
      role: facts.image.role,
      dockerfile: role.dockerfile,
      published: role.published,
      rebuild: request.rebuild,
    },
    volumes: planVolumes(config, facts, agent),
    container: planContainer(request, config, facts, name),
    git_pull: config.workspace.gitPull.value ? config.mounts.filter(({ readonly }) => !readonly).map(({ source }) => source) : [],
    pulls: planPulls(facts),
    last_role: lastRole(config, facts),
    host_effects: [
      ...config.outdated.map(({ file, from }) => ({ path: file, what: `brought from ${from} to the newest version; the text before is kept in ${path.join(facts.paths.jackinHome, 'backups')}` })),
      { path: instanceDir, what: 'state of the instance: handoff, home, state' },
      { path: path.join(facts.paths.jackinHome, 'journal'), what: 'what the launch makes, until it stands' },
      ...pullEffects(facts),
      ...keeperEffects(auth, facts.paths.jackinHome),
    ],
    consents,
    warnings: planWarnings(config, facts, auth, agent),
  };
};
