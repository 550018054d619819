import path from 'node:path';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { readConfigFiles } from '../config/files.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { agentChecks } from '../docker/agent-checks.ts';
import { cachedAgentVolumes, ensureAgentVolume, holds, isUsable, newestAgentVolume, newestFirst, versionOf } from '../docker/agent-volumes.ts';
import { ensureConstruct } from '../docker/construct.ts';
import type { Engine, LongCall, VolumeInfo } from '../docker/engine.ts';
import { MANAGED } from '../docker/labels.ts';
import type { VolumeOptions } from '../docker/runtime-volume.ts';
import { readLock } from '../roles/lock-file.ts';
import { roleDir } from '../roles/role-cache.ts';
import { LOCK_FILE } from '../shared/context-files.ts';
import { JackinError } from '../shared/errors.ts';
import { currentOwner } from '../shared/owner.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';
import { listRoles } from './roles.ts';
import { sweepVolumes } from './sweep-volumes.ts';

/** How long the engine may add up sizes: they are good to know, and not worth waiting for. */
const SIZES_MS = 5_000;

export interface CachedVersion {
  version: string;
  architecture: string;
  volume: string;
  /** Bytes; null when the engine does not tell in time. */
  size: number | null;
  created_at: string | null;
  pinned: boolean;
  /** Whether the next load would start it. */
  next: boolean;
  used_by: { container: string; running: boolean }[];
}

export interface CachedAgent {
  agent: AgentSlug;
  /** By the configuration. */
  pinned_version: string | null;
  /** When the registry was last asked for the newest. */
  checked_at: string | null;
  versions: CachedVersion[];
}

type Pins = Partial<Record<AgentSlug, string>>;

const readPins = async (paths: Paths): Promise<Pins> => {
  const agents = (await readConfigFiles(paths)).global?.value.agents ?? {};
  return Object.fromEntries(AGENT_SLUGS.flatMap((slug) => (agents[slug]?.version === undefined ? [] : [[slug, agents[slug].version]])));
};

/** What the configuration pins, and what the roles that are kept here are pinned to. A folder's lock is not known of. */
const allPins = async (pins: Pins, paths: Paths, deps: Deps): Promise<Record<AgentSlug, string[]>> => {
  const roles = (await listRoles(deps)).filter(({ pinned }) => pinned);
  const locks = await Promise.all(roles.map(({ role }) => readLock(path.join(roleDir(paths, role), LOCK_FILE))));
  const versions = (agent: AgentSlug): string[] => [pins[agent], ...locks.map((lock) => lock?.agents[agent]?.version)].filter((version) => version !== undefined);
  return Object.fromEntries(AGENT_SLUGS.map((agent) => [agent, versions(agent)])) as Record<AgentSlug, string[]>;
};

const sizesOf = async (engine: Engine, signal: AbortSignal): Promise<ReadonlyMap<string, number>> => {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(SIZES_MS)]);
  return await engine.volumeSizes({ signal: inTime }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    return new Map();
  });
};

const usersOf = async (engine: Engine): Promise<(volume: string) => CachedVersion['used_by']> => {
  const users = await engine.listVolumeUsers();
  const ours = users.filter(({ container }) => container.labels['jackin.kind'] === 'role');
  return (volume) => ours.filter(({ volumes }) => volumes.includes(volume)).map(({ container: { name, running } }) => ({ container: name, running }));
};

/** Every agent of which something is cached on the engine, with its versions, newest first. Asks no registry. */
export const listAgents = async (deps: Deps): Promise<CachedAgent[]> => {
  const paths = locatePaths(deps);
  const pins = await readPins(paths);
  const engine = await deps.connectEngine(deps.env);
  const checks = agentChecks(paths.cacheDir);
  const [volumes, sizes, usedBy] = await Promise.all([engine.listVolumes({ ...MANAGED, 'jackin.kind': 'agent' }), sizesOf(engine, deps.signal), usersOf(engine)]);
  const next = new Set((await cachedAgentVolumes(engine, AGENT_SLUGS.map((agent) => ({ agent, version: pins[agent] })), { cache: paths.cacheDir, unseen: true })).map(({ name }) => name));
  const describe = (pin: string | undefined, volume: VolumeInfo): CachedVersion => ({
    version: versionOf(volume),
    architecture: volume.labels['jackin.arch'] ?? '',
    volume: volume.name,
    size: sizes.get(volume.name) ?? null,
    created_at: volume.createdAt || null,
    pinned: pin !== undefined && holds(volume, pin),
    next: next.has(volume.name),
    used_by: usedBy(volume.name),
  });
  const agents: CachedAgent[] = [];
  for (const agent of AGENT_SLUGS) {
    const own = await newestFirst(volumes.filter(({ labels }) => labels['jackin.agent'] === agent));
    if (own.length === 0) continue;
    const checkedAt = (await checks.at(agent))?.toISOString() ?? null;
    agents.push({ agent, pinned_version: pins[agent] ?? null, checked_at: checkedAt, versions: own.map((volume) => describe(pins[agent], volume)) });
  }
  return agents;
};

export interface UpdatedAgent {
  agent: AgentSlug;
  /** What a load would have started before; null when nothing was cached. */
  from: string | null;
  /** What was asked for; null when that failed. */
  to: string | null;
  downloaded: boolean;
  pinned_version: string | null;
  /** What a load starts now; null when it would have to ask the registry. */
  next: string | null;
  error: { code: string; message: string; hint: string | null } | null;
}

export interface AgentUpdate {
  agents: UpdatedAgent[];
  /** Volumes that were removed since nothing uses them any more. */
  removed: string[];
}

interface Shop {
  engine: Engine;
  paths: Paths;
  pins: Pins;
  options: VolumeOptions;
}

const callFor = (agent: AgentSlug, report: Report, { signal }: Deps): LongCall => ({
  signal,
  onLine: (message, bytes) => report({ step: `agent ${agent}`, message, ...bytes }),
});

/** Downloads the version that is asked for or pinned, else the newest there is, and remembers that it was looked for. */
export const lookForAgent = async (shop: Pick<Shop, 'engine' | 'options'>, agent: AgentSlug, version: string | undefined, report: Report, deps: Deps) => {
  const { engine, options } = shop;
  const call = callFor(agent, report, deps);
  if (version !== undefined) return await ensureAgentVolume(engine, { ...options, agent, version }, call);
  const volume = await newestAgentVolume(engine, { ...options, agent }, call);
  await agentChecks(options.cache).note(agent, deps.now());
  return volume;
};

const nextVolume = async ({ engine, paths, pins }: Shop, agent: AgentSlug) =>
  (await cachedAgentVolumes(engine, [{ agent, version: pins[agent] }], { cache: paths.cacheDir, unseen: true }))[0];

const updateOne = async (shop: Shop, agent: AgentSlug, version: string | undefined, report: Report, deps: Deps): Promise<UpdatedAgent & { volumes: string[] }> => {
  const before = await nextVolume(shop, agent);
  const known = { agent, from: before?.version ?? null, pinned_version: shop.pins[agent] ?? null };
  try {
    const { name, version: to, filled } = await lookForAgent(shop, agent, version ?? shop.pins[agent], report, deps);
    const next = (await nextVolume(shop, agent))?.version ?? null;
    return { ...known, to, downloaded: filled, next, error: null, volumes: [name, ...(before === undefined ? [] : [before.name])] };
  } catch (error) {
    // One agent that cannot be had is no reason to leave the others old.
    if (!(error instanceof JackinError) || error.code === 'interrupted') throw error;
    const { code, message, hint = null } = error;
    return { ...known, to: null, downloaded: false, next: known.from, error: { code, message, hint }, volumes: before === undefined ? [] : [before.name] };
  }
};

const cachedSlugs = async (engine: Engine): Promise<AgentSlug[]> => {
  const volumes = await engine.listVolumes({ ...MANAGED, 'jackin.kind': 'agent', 'jackin.arch': engine.arch });
  const usable: AgentSlug[] = [];
  for (const agent of AGENT_SLUGS) {
    for (const volume of volumes) {
      if (usable.includes(agent) || volume.labels['jackin.agent'] !== agent) continue;
      if (await isUsable(engine, agent, volume)) usable.push(agent);
    }
  }
  return usable;
};

/**
 * Asks the registry for newer versions, downloads them into volumes of their own,
 * and removes what nothing uses any more. Instances stay on the version that they
 * were started with. Without an agent: all that are cached, else all there are.
 */
export const updateAgents = async (asked: { agent: AgentSlug | undefined; version: string | undefined }, report: Report, deps: Deps): Promise<AgentUpdate> => {
  const paths = locatePaths(deps);
  const pins = await readPins(paths);
  const kept = await allPins(pins, paths, deps);
  const engine = await deps.connectEngine(deps.env);
  const call: LongCall = { signal: deps.signal, onLine: (message, bytes) => report({ step: 'construct', message, ...bytes }) };
  const override = deps.env.JACKIN_CONSTRUCT_IMAGE || undefined;
  const { reference: image } = await ensureConstruct(engine, { packageRoot: deps.packageRoot, override, env: deps.env, locks: path.join(paths.cacheDir, 'builds') }, call);
  const options: VolumeOptions = { image, cache: paths.cacheDir, owner: currentOwner(), env: deps.env };
  const shop: Shop = { engine, paths, pins, options };
  const cached = asked.agent === undefined ? await cachedSlugs(engine) : [asked.agent];
  const agents: UpdatedAgent[] = [];
  const keep = new Set<string>();
  for (const agent of cached.length === 0 ? AGENT_SLUGS : cached) {
    const { volumes, ...updated } = await updateOne(shop, agent, asked.version, report, deps);
    for (const name of volumes) keep.add(name);
    agents.push(updated);
  }
  return { agents, removed: await sweepVolumes(engine, { pins: kept, keep, image, cache: paths.cacheDir }, deps) };
};
