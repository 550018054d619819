import path from 'node:path';
import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { holds, isUsable, newestFirst } from '../docker/agent-volumes.ts';
import type { Engine, VolumeInfo } from '../docker/engine.ts';
import { removeFilled } from '../docker/fill.ts';
import { MANAGED } from '../docker/labels.ts';
import { runtimeVolumeName } from '../docker/runtime-volume.ts';
import { volumeMemory } from '../docker/volume-memory.ts';
import { currentOwner } from '../shared/owner.ts';
import type { Deps } from './deps.ts';

/** The newest one, and the one before it: to go back to. */
const KEPT_VERSIONS = 2;
/** What is younger stays: a launch that has found a volume may not have mounted it yet. */
const YOUNG_MS = 24 * 60 * 60 * 1000;

export interface Sweep {
  /** Versions of each agent that the configuration or the lock of a role pins. */
  pins: Partial<Record<AgentSlug, readonly string[]>>;
  /** Names of volumes that stay in any case. */
  keep: ReadonlySet<string>;
  /** Any local image, as for filling a volume. */
  image: string;
  cache: string;
}

const worthKeeping = async (engine: Engine, agent: AgentSlug, volumes: VolumeInfo[], pins: readonly string[]): Promise<VolumeInfo[]> => {
  const own = volumes.filter(({ labels }) => labels['jackin.agent'] === agent);
  const usable: VolumeInfo[] = [];
  for (const volume of own) if (await isUsable(engine, agent, volume)) usable.push(volume);
  const pinned = usable.filter((volume) => pins.some((pin) => holds(volume, pin)));
  return [...(await newestFirst(usable)).slice(0, KEPT_VERSIONS), ...pinned];
};

/**
 * Removes volumes of agents and of older jackin versions that nothing will use: no
 * container has them mounted, none is the newest of its agent, the one before, or
 * pinned. Gives the names of those that went.
 */
export const sweepVolumes = async (engine: Engine, { pins, keep, image, cache }: Sweep, deps: Deps): Promise<string[]> => {
  const { arch } = engine;
  const agents = await engine.listVolumes({ ...MANAGED, 'jackin.kind': 'agent', 'jackin.arch': arch });
  const runtimes = await engine.listVolumes({ ...MANAGED, 'jackin.kind': 'runtime', 'jackin.arch': arch });
  const kept = new Set([...keep, await runtimeVolumeName(engine, path.join(deps.packageRoot, 'dist', 'capsule'))]);
  for (const agent of AGENT_SLUGS) for (const { name } of await worthKeeping(engine, agent, agents, pins[agent] ?? [])) kept.add(name);
  for (const { volumes } of await engine.listVolumeUsers()) for (const name of volumes) kept.add(name);
  const removed: string[] = [];
  for (const { name, createdAt } of [...agents, ...runtimes]) {
    // The age of what tells no time is unknown, so it is left alone.
    const isOld = deps.now().getTime() - Date.parse(createdAt) >= YOUNG_MS;
    if (kept.has(name) || !isOld) continue;
    const check = { volume: name, image, owner: currentOwner(), memory: volumeMemory(cache) };
    if ((await removeFilled(engine, check, { signal: deps.signal })) === 'removed') removed.push(name);
  }
  return removed;
};
