import { type AgentSlug, FIRST_AGENT } from '../agents/agents.ts';
import { type ConfigFiles, readConfigFiles } from '../config/files.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { overRoleEnv } from '../config/resolve-env.ts';
import { resolveConfig } from '../config/resolve.ts';
import { cachedAgentVolumes } from '../docker/agent-volumes.ts';
import type { Engine } from '../docker/engine.ts';
import { loggedInAgents } from '../plan/auth.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { pinOf } from '../plan/lock.ts';
import { AS_CACHED, type RoleHandling, type RoleSelector } from '../plan/request.ts';
import { JackinError } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import { lookForAgent } from './agents.ts';
import type { Deps } from './deps.ts';
import { gatherFacts, imageFacts } from './facts.ts';
import { obtainRole, type RoleAsking, settleTrust } from './obtain-role.ts';
import { type Prepared, prepareEngine, type Wanted, wantedFor } from './prepare.ts';
import { shownText } from './role-offer.ts';
import { listRoles } from './roles.ts';

export interface ReadyAgent {
  agent: AgentSlug;
  volume: string;
  version: string;
  /** What a load would have started before; null when nothing was cached. */
  from: string | null;
}

export interface ReadyRole {
  role: string;
  image: string;
  construct: string;
  runtimeVolume: string;
  agents: ReadyAgent[];
}

export interface PrewarmRequest {
  /** Empty: `agent-smith`, and every other role that a load would start without a question. */
  roles: RoleSelector[];
  /** Empty: those that a load would start here. */
  agents: AgentSlug[];
}

interface Stage {
  engine: Engine;
  paths: Paths;
  files: ConfigFiles;
  asking: RoleAsking;
  deps: Deps;
}

/** Looks for newer commits, as for newer agents, and goes on with what is cached where nobody answers. */
const AS_NEW: RoleHandling = { ...AS_CACHED, freshness: 'try' };
const USUAL_ROLE = 'agent-smith';

const usualRoles = async (deps: Deps): Promise<RoleSelector[]> => {
  const known = await listRoles(deps);
  const ready = known.filter(({ source, trusted, newest }) => source === 'git' && trusted && newest !== null).map(({ role }) => role);
  return [...new Set([USUAL_ROLE, ...ready])].map((key) => ({ kind: 'name', key }));
};

/** The agents of the role that are logged in here, else the one that a load starts without any login. */
const agentsHere = async (role: RoleFacts, { files, paths, deps }: Stage): Promise<AgentSlug[]> => {
  const resolved = resolveConfig(files, { role: role.key, workspace: null, directory: deps.cwd, mounts: [], home: deps.home });
  const config = { ...resolved, env: overRoleEnv(resolved.env, role.env) };
  const loggedIn = loggedInAgents(config, await gatherFacts(deps, paths, config, role));
  if (loggedIn.length > 0) return loggedIn;
  return role.agents.includes(FIRST_AGENT) ? [FIRST_AGENT] : role.agents;
};

const assertHasAll = ({ key, agents, manifestFile }: RoleFacts, named: AgentSlug[]): void => {
  const foreign = named.find((agent) => !agents.includes(agent));
  if (foreign === undefined) return;
  throw new JackinError('usage', `role ${key} does not have the agent ${foreign}`, { hint: `its agents: ${agents.join(', ')} (${manifestFile})` });
};

/** A newer version than the one that a load would start, unless that one is pinned. Without a registry it stays as it is. */
const renew = async (stage: Stage, prepared: Prepared, agent: AgentSlug): Promise<Prepared['agentVolume']> => {
  const { engine, paths, asking, deps } = stage;
  const options = { image: prepared.image, cache: paths.cacheDir, owner: currentOwner(), env: deps.env };
  try {
    return await lookForAgent({ engine, options }, agent, undefined, asking.report, deps);
  } catch (error) {
    if (!(error instanceof JackinError) || error.code !== 'download.failed') throw error;
    asking.say(`note       ${agent} ${prepared.agentVolume.version} stays as it is cached: ${error.message}`);
    return prepared.agentVolume;
  }
};

const prewarmAgent = async (stage: Stage, wanted: Wanted): Promise<{ prepared: Prepared; ready: ReadyAgent }> => {
  const { engine, paths, asking, deps } = stage;
  const { slug: agent, version, packages } = wanted.agent;
  const [before] = await cachedAgentVolumes(engine, [{ agent, version: version ?? undefined }], { cache: paths.cacheDir });
  const prepared = await prepareEngine(deps, paths, engine, wanted, asking.report);
  const isPinned = version !== null || packages !== null;
  const { name, version: to } = isPinned || before === undefined ? prepared.agentVolume : await renew(stage, prepared, agent);
  return { prepared, ready: { agent, volume: name, version: to, from: before?.version ?? null } };
};

const prewarmRole = async (stage: Stage, selector: RoleSelector, named: AgentSlug[]): Promise<ReadyRole> => {
  const { paths, files, asking, deps } = stage;
  const obtained = await obtainRole(selector, AS_NEW, files.global?.value.roles ?? {}, paths, asking, deps);
  await settleTrust(obtained, paths);
  const { role } = obtained;
  for (const note of role.notes) asking.say(`note       ${shownText(note)}`);
  assertHasAll(role, named);
  const image = await imageFacts(deps, role);
  const agents: ReadyAgent[] = [];
  let whole: Prepared | undefined;
  for (const slug of named.length > 0 ? named : await agentsHere(role, stage)) {
    const pin = pinOf(files.global?.value.agents?.[slug]?.version, role, slug);
    const { prepared, ready } = await prewarmAgent(stage, wantedFor(role, image, { slug, ...pin }));
    whole = prepared;
    agents.push(ready);
  }
  if (whole === undefined) throw new JackinError('usage', `role ${role.key} has no agent`);
  return { role: role.key, image: whole.image, construct: whole.construct, runtimeVolume: whole.runtimeVolume, agents };
};

/**
 * Makes everything ready that a launch would need, and launches nothing: afterwards
 * it needs no network. Looks for newer versions of roles and agents that are not
 * pinned. Throws `consent.needed` for a role that nobody has agreed to.
 */
export const prewarm = async ({ roles, agents }: PrewarmRequest, asking: RoleAsking, deps: Deps): Promise<ReadyRole[]> => {
  const paths = locatePaths(deps);
  const files = await readConfigFiles(paths);
  const engine = await deps.connectEngine(deps.env);
  const ready: ReadyRole[] = [];
  for (const selector of roles.length > 0 ? roles : await usualRoles(deps)) {
    ready.push(await prewarmRole({ engine, paths, files, asking, deps }, selector, agents));
    deps.signal.throwIfAborted();
  }
  return ready;
};
