import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import type { Paths } from '../config/paths.ts';
import { agentChecks } from '../docker/agent-checks.ts';
import { type Construct, ensureConstruct } from '../docker/construct.ts';
import type { Engine, LongCall } from '../docker/engine.ts';
import { ensureRoleImage, roleImageTag } from '../docker/role-image.ts';
import { ensureRuntimeVolume } from '../docker/runtime-volume.ts';
import { cachedAgentVolumes, ensureAgentVolume } from '../docker/agent-volumes.ts';
import type { Facts, LockedPackage, RoleFacts } from '../plan/facts.ts';
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
  image: LaunchPlan['image'];
  agent: { slug: AgentSlug; version: string | null; packages: LockedPackage[] | null };
  others: { agent: AgentSlug; version: string | undefined }[];
}

export const wantedBy = ({ role, image, agent, volumes }: LaunchPlan): Wanted => ({
  role: { key: role.key, content: role.content, path: role.source.path, hooks: role.hooks },
  image,
  agent: { slug: agent.slug as AgentSlug, version: agent.version, packages: agent.packages },
  others: volumes.flatMap(({ if_cached }) => (if_cached === null ? [] : [{ agent: if_cached.agent as AgentSlug, version: if_cached.version ?? undefined }])),
});

/** One agent of a role, without a launch. */
export const wantedFor = (role: RoleFacts, image: Facts['image'], agent: Wanted['agent']): Wanted => ({
  role: { key: role.key, content: role.contentHash, path: role.source.path, hooks: role.hooks },
  image: { construct: image.construct, construct_is_override: image.constructIsOverride, role: image.role, dockerfile: role.dockerfile, published: role.published, rebuild: false },
  agent,
  others: [],
});

/** A construct that is named from outside is known by its id, since its tag may move. */
const roleTag = ({ image, role }: Wanted, construct: Construct): string =>
  image.role ?? roleImageTag({ key: role.key, content: role.content, dockerfile: image.dockerfile, hooks: role.hooks, constructKey: construct.key, published: image.published ?? undefined });

type CallFor = (step: string) => LongCall;

interface Images {
  construct: string;
  role: string;
}

/** The construct, and the role's image on it. */
const ensureImages = async ({ packageRoot, env, signal }: Deps, paths: Paths, engine: Engine, wanted: Wanted, call: CallFor): Promise<Images> => {
  const override = wanted.image.construct_is_override ? wanted.image.construct : undefined;
  const locks = path.join(paths.cacheDir, 'builds');
  const construct = await ensureConstruct(engine, { packageRoot, override, env, locks }, call('construct'));
  signal.throwIfAborted();
  const role = roleTag(wanted, construct);
  const spec = {
    roleDir: wanted.role.path,
    dockerfile: wanted.image.dockerfile,
    hooks: wanted.role.hooks,
    constructReference: construct.reference,
    tag: role,
    labels: { 'jackin.class': wanted.role.key },
    published: wanted.image.published ?? undefined,
    rebuild: wanted.image.rebuild,
    locks,
    builder: env.JACKIN_BUILDER,
  };
  await ensureRoleImage(engine, spec, call('image'));
  signal.throwIfAborted();
  return { construct: construct.reference, role };
};

/** All at once. The first that fails stops the others, and is told when they have stopped. */
const together = async <T extends unknown[]>(stop: AbortController, ...parts: { [K in keyof T]: Promise<T[K]> }): Promise<T> => {
  try {
    return await Promise.all(parts);
  } catch (error) {
    stop.abort();
    await Promise.allSettled(parts);
    throw error;
  }
};

/**
 * Makes sure that image and volumes are there: the construct, the role's image on
 * it, the runtime and the agent. What is there already costs one question each, all
 * asked at once, and no network.
 */
export const prepareEngine = async (deps: Deps, paths: Paths, engine: Engine, wanted: Wanted, report: Report): Promise<Prepared> => {
  const stop = new AbortController();
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  const call: CallFor = (step) => ({ signal, onLine: (message, bytes) => report({ step, message, ...bytes }) });
  const images = ensureImages({ ...deps, signal }, paths, engine, wanted, call);
  const shared = { cache: paths.cacheDir, owner: currentOwner(), env: deps.env };
  // Volumes that have to be filled wait for the image, and for each other: people follow one thing at a time.
  const capsuleDir = path.join(deps.packageRoot, 'dist', 'capsule');
  const image = images.then(({ role }) => role);
  const runtime = ensureRuntimeVolume(engine, { ...shared, image, capsuleDir }, call('runtime'));
  const { slug, version, packages } = wanted.agent;
  const afterRuntime = runtime.then(async () => await image);
  const agent = ensureAgentVolume(engine, { ...shared, image: afterRuntime, agent: slug, version: version ?? undefined, expected: packages ?? undefined }, call(`agent ${slug}`));
  const [made, { name: runtimeVolume }, started, otherAgents] = await together(stop, images, runtime, agent, cachedAgentVolumes(engine, wanted.others, shared), image, afterRuntime);
  deps.signal.throwIfAborted();
  // Without a pin, it was the newest that was asked for.
  if (started.filled && version === null && packages === null) await agentChecks(paths.cacheDir).note(slug, deps.now());
  return { image: made.role, construct: made.construct, runtimeVolume, agentVolume: { name: started.name, version: started.version }, otherAgents };
};
