import { AGENTS, type AgentPackage, type AgentSlug } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import { type AgentContent, exactContent, resolveContent } from './agent-package.ts';
import { keyOf } from './content-key.ts';
import type { Engine, Labels, LongCall, VolumeInfo } from './engine.ts';
import { registryOf, writePackages } from './fetch-packages.ts';
import { ensureFilled, isComplete, readMarker, type VolumeCheck } from './fill.ts';
import { MANAGED } from './labels.ts';
import { areSamePackages, contradiction, type ExactPackage, packagesInMarker, packagesLabel, packagesOnLabel } from './package-list.ts';
import { platformDependency } from './platform-package.ts';
import type { Registry } from './registry.ts';
import type { VolumeWriter } from './repack.ts';
import type { ReadyVolume, VolumeOptions } from './runtime-volume.ts';
import { volumeMemory } from './volume-memory.ts';

/** Changes when files are laid out differently in a volume. */
const LAYOUT = '1';
const CPU_INFO = '/proc/cpuinfo';

export interface AgentVolumeOptions extends VolumeOptions {
  agent: AgentSlug;
  /** Pins it; otherwise the newest that is cached, and when none is, the registry's latest. */
  version?: string | undefined;
  /** Exactly these packages and no others, whatever the registry calls newest by now; `version` does not count then. */
  expected?: readonly ExactPackage[] | undefined;
  /** The list of what this machine's processor can do. */
  cpuInfo?: string;
}

export interface PackageVolumeOptions extends AgentVolumeOptions {
  recipe: AgentPackage;
  /** File of the volume that is started: a package without it has another layout than the recipe's. */
  program: string;
}

/** Engines allow few characters in names. */
const inName = (text: string): string => text.replace(/[^A-Za-z0-9_.-]/g, '-');

export const versionOf = ({ labels }: VolumeInfo): string => labels['jackin.agent.version'] ?? '';

/** A volume answers to the version that runs in it, and to the release that it was pinned as. */
export const holds = (volume: VolumeInfo, wanted: string): boolean => versionOf(volume) === wanted || volume.labels['jackin.agent.release'] === wanted;

const byNumbers = (a: string, b: string): number => {
  const [one, other] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  return one.map((part, index) => part - (other[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
};

/** Which of two versions is older. Loading npm's library for it takes a warm launch as long as all its questions, so plain versions do without. */
const comparison = async (versions: string[]): Promise<(a: string, b: string) => number> => {
  if (versions.every((version) => /^\d{1,9}\.\d{1,9}\.\d{1,9}$/.test(version))) return byNumbers;
  const { default: semver } = await import('semver');
  const valid = (version: string): string => semver.valid(version, true) ?? '0.0.0';
  return (a, b) => semver.compare(valid(a), valid(b), true);
};

/** The newest version first, and of one version the volume that was made last. */
export const newestFirst = async (volumes: VolumeInfo[]): Promise<VolumeInfo[]> => {
  if (volumes.length < 2) return volumes;
  const compare = await comparison(volumes.map(versionOf));
  return volumes.sort((a, b) => compare(versionOf(b), versionOf(a)) || (a.createdAt < b.createdAt ? 1 : -1));
};

interface Identity {
  /** What a volume of this agent, laid out as this version of jackin does it, is found by. */
  labels: Labels;
  dependency: string | undefined;
}

const identify = async (engine: Engine, agent: AgentSlug, recipe: AgentPackage, cpuInfo = CPU_INFO): Promise<Identity> => {
  const dependency = await platformDependency(recipe, engine.arch, cpuInfo);
  const key = keyOf(LAYOUT, JSON.stringify(recipe), ...(dependency === undefined ? [] : [dependency]));
  return { dependency, labels: { 'jackin.kind': 'agent', 'jackin.agent': agent, 'jackin.arch': engine.arch, 'jackin.recipe': key } };
};

/** Whether this jackin on this machine would use the volume, if it is complete. */
export const isUsable = async (engine: Engine, agent: AgentSlug, volume: VolumeInfo, cpuInfo?: string): Promise<boolean> => {
  const { labels } = await identify(engine, agent, AGENTS[agent].runtime.package, cpuInfo);
  return Object.entries(labels).every(([name, value]) => volume.labels[name] === value);
};

/**
 * Of each agent the newest volume that is known to be complete, or the pinned one.
 * One question to the engine; nothing is fetched, waited for or looked into. With
 * `unseen` also one that nobody has looked into yet: for what is only shown.
 */
export const cachedAgentVolumes = async (
  engine: Engine,
  wanted: readonly { agent: AgentSlug; version: string | undefined }[],
  { cache, cpuInfo, unseen = false }: Pick<AgentVolumeOptions, 'cache' | 'cpuInfo'> & { unseen?: boolean },
): Promise<{ agent: AgentSlug; name: string; version: string }[]> => {
  if (wanted.length === 0) return [];
  const memory = volumeMemory(cache);
  const volumes = await engine.listVolumes({ ...MANAGED, 'jackin.kind': 'agent', 'jackin.arch': engine.arch });
  const find = async ({ agent, version }: (typeof wanted)[number]) => {
    const { labels } = await identify(engine, agent, AGENTS[agent].runtime.package, cpuInfo);
    const own = volumes.filter((volume) => Object.entries(labels).every(([name, value]) => volume.labels[name] === value) && (version === undefined || holds(volume, version)));
    for (const volume of await newestFirst(own)) {
      if (unseen || (await memory.knows(volume))) return [{ agent, name: volume.name, version: versionOf(volume) }];
    }
    return [];
  };
  return (await Promise.all(wanted.map(find))).flat();
};

const checkOf = (volume: string, { image, owner, cache }: VolumeOptions): VolumeCheck => ({ volume, image, owner, memory: volumeMemory(cache) });

/** The packages that a complete volume is made of, as `jackin.lock` writes them down. */
export const agentPackages = async (engine: Engine, name: string, options: VolumeOptions, call: LongCall): Promise<ExactPackage[]> => {
  const volume = await engine.volume(name);
  // Volumes of before the label tell it in their marker only.
  const packages = volume && (packagesOnLabel(volume.labels) ?? packagesInMarker((await readMarker(engine, checkOf(name, options), call)) ?? ''));
  if (packages !== undefined) return packages;
  throw new JackinError('failed', `volume ${name} does not tell what it is made of`, { hint: 'remove it with `docker volume rm`; the next `jackin load` makes it anew' });
};

const conflictWith = ({ name, version }: ExactPackage, where: string): JackinError =>
  new JackinError('conflict', `${name}@${version}: ${where} has another content than the one that is pinned`, {
    hint: 'somebody has published the same version twice, or the pin was changed by hand: pin it again only when you know why',
  });

/** Whether a volume is one that was asked for. Throws `conflict` when it holds another content under the same name. */
const fits = async (engine: Engine, volume: VolumeInfo, options: AgentVolumeOptions, call: LongCall): Promise<boolean> => {
  const { version, expected } = options;
  if (expected === undefined) return version === undefined || holds(volume, version);
  const packages = await agentPackages(engine, volume.name, options, call);
  const other = contradiction(expected, packages);
  if (other !== undefined) throw conflictWith(other, `the cached volume ${volume.name}`);
  return areSamePackages(expected, packages);
};

const findCached = async (engine: Engine, { labels }: Identity, options: AgentVolumeOptions, call: LongCall): Promise<ReadyVolume | undefined> => {
  for (const volume of await newestFirst(await engine.listVolumes({ ...MANAGED, ...labels }))) {
    const isPlain = options.expected === undefined;
    if (isPlain && !(await fits(engine, volume, options, call))) continue;
    const check = checkOf(volume.name, options);
    // Complete volumes first need a marker that was seen.
    if (!(await check.memory.knows(volume)) && !(await isComplete(engine, check, call))) continue;
    if (isPlain || (await fits(engine, volume, options, call))) return { name: volume.name, version: versionOf(volume), filled: false };
  }
  return undefined;
};

const writeContent = async (registry: Registry, content: AgentContent, { program, limits }: PackageVolumeOptions, volume: VolumeWriter, call: LongCall): Promise<void> => {
  let there = false;
  const watched = content.parts.map(({ manifest, place }) => ({
    manifest,
    place: (file: string) => {
      const target = place(file);
      there ||= target === program;
      return target;
    },
  }));
  await writePackages(registry, watched, volume, call, limits);
  if (there) return;
  const [root] = content.parts;
  const message = `${root?.manifest.name}@${root?.manifest.version} has no ${program}: this version of jackin does not know how it is laid out`;
  throw new JackinError('download.failed', message, { hint: 'pin another version of the agent in the configuration' });
};

const contentOf = async (registry: Registry, { dependency }: Identity, { recipe, version: pinned, expected }: PackageVolumeOptions, call: LongCall): Promise<AgentContent> => {
  if (expected === undefined) return await resolveContent(registry, { recipe, dependency, pinned }, call);
  const content = await exactContent(registry, { recipe, dependency, expected }, call);
  const served = packagesOf(content);
  const other = contradiction(expected, served);
  if (other !== undefined) throw conflictWith(other, 'the npm registry');
  return content;
};

const packagesOf = ({ parts }: AgentContent): ExactPackage[] =>
  parts.map(({ manifest: { name, version, dist } }) => ({ name, version, integrity: dist.integrity }));

/** What the registry has, whether or not something is cached: downloaded only when there is no such volume yet. */
const fetchVolume = async (engine: Engine, identity: Identity, options: PackageVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { agent, recipe } = options;
  call.onLine?.(`asking the npm registry for ${recipe.name}`);
  const registry = await registryOf(options);
  const content = await contentOf(registry, identity, options, call);
  const { version, release } = content;
  const packages = packagesOf(content);
  const digest = keyOf(identity.labels['jackin.recipe'] ?? '', ...packages.map(({ integrity }) => integrity));
  const name = inName(`jackin-agent-${agent}-${version}-${engine.arch}-${digest}`);
  const labels = {
    ...identity.labels,
    ...packagesLabel(packages),
    'jackin.agent.version': version,
    ...(release === undefined || release === version ? {} : { 'jackin.agent.release': release }),
  };
  const write = async (volume: VolumeWriter, fillCall: LongCall): Promise<unknown> => {
    await writeContent(registry, content, options, volume, fillCall);
    return { agent, version, packages };
  };
  const { filled } = await ensureFilled(engine, { ...checkOf(name, options), labels, write }, call);
  return { name, version, filled };
};

/** As `ensureAgentVolume`, for a package that the table of agents need not name. */
export const ensurePackageVolume = async (engine: Engine, options: PackageVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const identity = await identify(engine, options.agent, options.recipe, options.cpuInfo);
  return (await findCached(engine, identity, options, call)) ?? (await fetchVolume(engine, identity, options, call));
};

const inTable = <O extends AgentVolumeOptions>(options: O): O & PackageVolumeOptions => {
  const { package: recipe, command } = AGENTS[options.agent].runtime;
  const root = `/jackin/agents/${options.agent}/`;
  const program = command.find((part) => part.startsWith(root))?.slice(root.length) ?? '';
  return { ...options, recipe, program };
};

/**
 * The read-only volume with an agent's program. Asks the network for nothing when a
 * complete one is cached. Throws `download.failed`, and leaves no half-filled volume;
 * throws `conflict` where what is pinned has another content by now.
 */
export const ensureAgentVolume = async (engine: Engine, options: AgentVolumeOptions, call: LongCall): Promise<ReadyVolume> =>
  await ensurePackageVolume(engine, inTable(options), call);

/** The volume of the newest version that the registry has, whatever is cached. */
export const newestAgentVolume = async (engine: Engine, options: Omit<AgentVolumeOptions, 'version' | 'expected'>, call: LongCall): Promise<ReadyVolume> => {
  const full = inTable({ ...options, version: undefined, expected: undefined });
  return await fetchVolume(engine, await identify(engine, full.agent, full.recipe, full.cpuInfo), full, call);
};
