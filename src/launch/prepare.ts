import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import type { Paths } from '../config/paths.ts';
import { type Construct, ensureConstruct } from '../docker/construct.ts';
import type { Engine, LongCall } from '../docker/engine.ts';
import { ensureRoleImage, roleImageTag } from '../docker/role-image.ts';
import { ensureRuntimeVolume } from '../docker/runtime-volume.ts';
import { cachedAgentVolumes, ensureAgentVolume } from '../docker/agent-volumes.ts';
import type { LockedPackage } from '../plan/facts.ts';
import type { RoleHook } from '../plan/hooks.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { currentOwner } from '../shared/owner.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';

/** What the engine holds for a launch once it is prepared. */
export interface Prepared {
  image: string;
  construct: string;
  runtimeVolume: string;
  agentVolume: { name: string; version: string };
  /** Other agents of the role, as far as they are cached: a session of theirs may be started beside. */
  otherAgents: { agent: AgentSlug; name: string; version: string }[];
}

/** What is to be made ready: the parts of a plan that the engine keeps between launches. */
export interface Wanted {
  role: { key: string; content: string; path: string; hooks: readonly RoleHook[] };
  image: { construct: string; construct_is_override: boolean; role: string | null; dockerfile: string };
  agent: { slug: AgentSlug; version: string | null; packages: LockedPackage[] | null };
  others: { agent: AgentSlug; version: string | undefined }[];
  /** Build the image although it is there. */
  rebuild: boolean;
}

export const wantedBy = ({ role, image, agent, volumes }: LaunchPlan): Wanted => ({
  rebuild: image.rebuild,
  role: { key: role.key, content: role.content, path: role.source.path, hooks: role.hooks },
  image,
  agent: { slug: agent.slug as AgentSlug, version: agent.version, packages: agent.packages },
  others: volumes.flatMap(({ if_cached }) => (if_cached === null ? [] : [{ agent: if_cached.agent as AgentSlug, version: if_cached.version ?? undefined }])),
});

/** A construct that is named from outside is known by its id, since its tag may move. */
const roleTag = ({ image, role }: Wanted, construct: Construct): string =>
  image.role ?? roleImageTag({ key: role.key, content: role.content, dockerfile: image.dockerfile, hooks: role.hooks, constructKey: construct.key });

/**
 * Makes sure that image and volumes are there: the construct, the role's image on
 * it, the runtime and the agent. What is there already costs one question each and
 * no network.
 */
export const prepareEngine = async (deps: Deps, paths: Paths, engine: Engine, wanted: Wanted, report: Report): Promise<Prepared> => {
  const { signal, packageRoot, env } = deps;
  const call = (step: string): LongCall => ({ signal, onLine: (message) => report({ step, message }) });
  const override = wanted.image.construct_is_override ? wanted.image.construct : undefined;
  const construct = await ensureConstruct(engine, { packageRoot, override, env }, call('construct'));
  signal.throwIfAborted();
  const image = roleTag(wanted, construct);
  const spec = {
    roleDir: wanted.role.path,
    dockerfile: wanted.image.dockerfile,
    hooks: wanted.role.hooks,
    constructReference: construct.reference,
    tag: image,
    labels: { 'jackin.class': wanted.role.key },
  };
  await ensureRoleImage(engine, spec, call('image'));
  signal.throwIfAborted();
  const shared = { image, cache: paths.cacheDir, owner: currentOwner(), env };
  const runtime = await ensureRuntimeVolume(engine, { ...shared, capsuleDir: path.join(packageRoot, 'dist', 'capsule') }, call('runtime'));
  signal.throwIfAborted();
  const { slug, version, packages } = wanted.agent;
  const [agent, otherAgents] = await Promise.all([
    ensureAgentVolume(engine, { ...shared, agent: slug, version: version ?? undefined, expected: packages ?? undefined }, call(`agent ${slug}`)),
    cachedAgentVolumes(engine, wanted.others, shared),
  ]);
  signal.throwIfAborted();
  return {
    image,
    construct: construct.reference,
    runtimeVolume: runtime.name,
    agentVolume: { name: agent.name, version: agent.version },
    otherAgents,
  };
};
