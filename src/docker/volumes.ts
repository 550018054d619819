import { createReadStream } from 'node:fs';
import path from 'node:path';
import { AGENTS, type AgentPackage, type AgentSlug } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import type { Owner } from '../shared/owner.ts';
import { type AgentContent, resolveContent } from './agent-package.ts';
import { directoryKey, keyOf } from './content-key.ts';
import type { Engine, Labels, LongCall, VolumeInfo } from './engine.ts';
import { ensureFilled, isComplete } from './fill.ts';
import { filesBelow } from './files-below.ts';
import type { Env } from './find-endpoint.ts';
import { MANAGED } from './labels.ts';
import { platformDependency } from './platform-package.ts';
import type { Manifest, Registry } from './registry.ts';
import type { Placement, VolumeWriter } from './repack.ts';
import { volumeMemory } from './volume-memory.ts';

/** Older ones lose the end of a terminal's output. */
const NODE_MAJOR = '24';
/** Changes when files are laid out differently in a volume. */
const LAYOUT = '1';
const MEBIBYTE = 1024 * 1024;

interface VolumeOptions {
  /** Any local image to create containers from; they are never started. */
  image: string;
  /** Directory of the host for what may be lost. */
  cache: string;
  /** This process: others wait for it, or take over when it is gone. */
  owner: Owner;
  /** Where npm's configuration is found. */
  env: Env;
}

export interface AgentVolumeOptions extends VolumeOptions {
  agent: AgentSlug;
  /** Pins it; otherwise the newest that is cached, and when none is, the registry's latest. */
  version?: string | undefined;
  /** The list of what this machine's processor can do. */
  cpuInfo?: string;
}

export interface PackageVolumeOptions extends AgentVolumeOptions {
  recipe: AgentPackage;
  /** File of the volume that is started: a package without it has another layout than the recipe's. */
  program: string;
}

export interface RuntimeVolumeOptions extends VolumeOptions {
  /** Folder with the bundled capsule and its terminal modules. */
  capsuleDir: string;
}

export interface ReadyVolume {
  name: string;
  version: string;
  /** False: it was complete already. */
  filled: boolean;
}

/** Engines allow few characters in names. */
const inName = (text: string): string => text.replace(/[^A-Za-z0-9_.-]/g, '-');

/** Tells a person every quarter of a download that is worth it, and every 25 MiB of a big one, not every packet. */
const reporter = (what: string, call: LongCall): ((done: number, total: number | undefined) => void) => {
  let last = 0;
  return (done, total) => {
    const step = Math.floor(done / Math.min((total ?? Infinity) / 4, 25 * MEBIBYTE));
    if (step === last || done < MEBIBYTE) return;
    last = step;
    const size = total === undefined ? '' : ` of ${(total / MEBIBYTE).toFixed(1)}`;
    call.onLine?.(`${what}: ${(done / MEBIBYTE).toFixed(1)}${size} MiB`);
  };
};

const unpack = async (registry: Registry, manifest: Manifest, place: Placement, volume: VolumeWriter, call: LongCall): Promise<void> => {
  const what = `${manifest.name}@${manifest.version}`;
  const options = { onBytes: reporter(what, call), ...(call.signal === undefined ? {} : { signal: call.signal }) };
  call.onLine?.(`downloading ${what}`);
  const tarball = await registry.openTarball(manifest, options);
  const { repackTarball } = await import('./repack.ts');
  await repackTarball(what, tarball, place, volume);
};

/** A launch that finds its volumes never loads npm's libraries. */
const registryOf = async (env: Env): Promise<Registry> => {
  const { openRegistry } = await import('./registry.ts');
  return await openRegistry(env);
};

const listed = (manifests: Manifest[]) =>
  manifests.map(({ name, version, dist }) => ({ name, version, integrity: dist.integrity }));

/** A volume answers to the version that runs in it, and to the release that it was pinned as. */
const holds = ({ labels }: VolumeInfo, wanted: string): boolean =>
  labels['jackin.agent.version'] === wanted || labels['jackin.agent.release'] === wanted;

/** Complete volumes first need a marker that was seen; those of another recipe are not ours to use. */
const cachedAgents = async (engine: Engine, labels: Labels, wanted: string | undefined): Promise<VolumeInfo[]> =>
  newestFirst(await engine.listVolumes({ ...MANAGED, ...labels }), wanted);

const newestFirst = async (found: VolumeInfo[], wanted: string | undefined): Promise<VolumeInfo[]> => {
  const versions = found.filter((volume) => wanted === undefined || holds(volume, wanted));
  if (versions.length < 2) return versions;
  const { default: semver } = await import('semver');
  const version = (volume: VolumeInfo): string => volume.labels['jackin.agent.version'] ?? '0.0.0';
  return versions.sort((a, b) => semver.rcompare(version(a), version(b), true) || (a.createdAt < b.createdAt ? 1 : -1));
};

const writeContent = async (registry: Registry, content: AgentContent, program: string, volume: VolumeWriter, call: LongCall): Promise<void> => {
  let there = false;
  for (const { manifest, place } of content.parts) {
    const watched: Placement = (file) => {
      const target = place(file);
      there ||= target === program;
      return target;
    };
    await unpack(registry, manifest, watched, volume, call);
  }
  if (there) return;
  const [root] = content.parts;
  const message = `${root?.manifest.name}@${root?.manifest.version} has no ${program}: this version of jackin does not know how it is laid out`;
  throw new JackinError('download.failed', message, { hint: 'pin another version of the agent in the configuration' });
};

/** What a volume of this agent, laid out as this version of jackin does it, is found by. */
const agentLabels = (engine: Engine, agent: AgentSlug, recipe: AgentPackage, dependency: string | undefined) => ({
  'jackin.kind': 'agent',
  'jackin.agent': agent,
  'jackin.arch': engine.arch,
  'jackin.recipe': keyOf(LAYOUT, JSON.stringify(recipe), ...(dependency === undefined ? [] : [dependency])),
});

/**
 * Of each agent the newest volume that is known to be complete, or the pinned one.
 * One question to the engine; nothing is fetched, waited for or looked into.
 */
export const cachedAgentVolumes = async (
  engine: Engine,
  wanted: readonly { agent: AgentSlug; version: string | undefined }[],
  { cache, cpuInfo = '/proc/cpuinfo' }: Pick<AgentVolumeOptions, 'cache' | 'cpuInfo'>,
): Promise<{ agent: AgentSlug; name: string; version: string }[]> => {
  if (wanted.length === 0) return [];
  const memory = volumeMemory(cache);
  const volumes = await engine.listVolumes({ ...MANAGED, 'jackin.kind': 'agent', 'jackin.arch': engine.arch });
  const find = async ({ agent, version }: (typeof wanted)[number]) => {
    const { package: recipe } = AGENTS[agent].runtime;
    const labels = Object.entries(agentLabels(engine, agent, recipe, await platformDependency(recipe, engine.arch, cpuInfo)));
    const own = volumes.filter((volume) => labels.every(([name, value]) => volume.labels[name] === value));
    for (const volume of await newestFirst(own, version)) {
      if (await memory.knows(volume)) return [{ agent, name: volume.name, version: volume.labels['jackin.agent.version'] ?? '' }];
    }
    return [];
  };
  return (await Promise.all(wanted.map(find))).flat();
};

/** As `ensureAgentVolume`, for a package that the table of agents need not name. */
export const ensurePackageVolume = async (engine: Engine, options: PackageVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { agent, image, owner, recipe, program, version: pinned, cpuInfo = '/proc/cpuinfo' } = options;
  const memory = volumeMemory(options.cache);
  const dependency = await platformDependency(recipe, engine.arch, cpuInfo);
  const labels = agentLabels(engine, agent, recipe, dependency);
  for (const volume of await cachedAgents(engine, labels, pinned)) {
    const version = volume.labels['jackin.agent.version'] ?? '';
    const check = { volume: volume.name, image, owner, memory };
    const complete = (await memory.knows(volume)) || (await isComplete(engine, check, call));
    if (complete) return { name: volume.name, version, filled: false };
  }

  call.onLine?.(`asking the npm registry for ${recipe.name}`);
  const registry = await registryOf(options.env);
  const content = await resolveContent(registry, { recipe, dependency, pinned }, call);
  const { version, release } = content;
  const manifests = content.parts.map(({ manifest }) => manifest);
  const digest = keyOf(labels['jackin.recipe'], ...manifests.map((manifest) => manifest.dist.integrity));
  const name = inName(`jackin-agent-${agent}-${version}-${engine.arch}-${digest}`);
  const full = {
    ...labels,
    'jackin.agent.version': version,
    ...(release === undefined || release === version ? {} : { 'jackin.agent.release': release }),
  };
  const fill = async (volume: VolumeWriter, fillCall: LongCall): Promise<unknown> => {
    await writeContent(registry, content, program, volume, fillCall);
    return { agent, version, packages: listed(manifests) };
  };
  const { filled } = await ensureFilled(engine, { volume: name, labels: full, image, owner, memory, write: fill }, call);
  return { name, version, filled };
};

/**
 * The read-only volume with an agent's program. Asks the network for nothing when a
 * complete one is cached. Throws `download.failed`, and leaves no half-filled volume.
 */
export const ensureAgentVolume = async (engine: Engine, options: AgentVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { package: recipe, command } = AGENTS[options.agent].runtime;
  const root = `/jackin/agents/${options.agent}/`;
  const program = command.find((part) => part.startsWith(root))?.slice(root.length) ?? '';
  return await ensurePackageVolume(engine, { ...options, recipe, program }, call);
};

/** Run by others than us: git runs it as a hook. */
const PROGRAMS = new Set(['git-hook.mjs']);

const isPty = (file: string): boolean => /^pty-.*\.node$/.test(file);

/**
 * The read-only volume with Node and the capsule: `bin/node` and `capsule/`. Its name
 * holds a key of the capsule's files, so that a new jackin brings a new volume.
 */
export const ensureRuntimeVolume = async (engine: Engine, options: RuntimeVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { capsuleDir, image, owner } = options;
  const { arch } = engine;
  const wanted = (file: string): boolean => !isPty(file) || file === `pty-${arch}.node`;
  const files = (await filesBelow(capsuleDir)).filter((file) => file.kind === 'file' && wanted(file.path));
  if (!files.some((file) => isPty(file.path))) {
    throw new JackinError('failed', `this installation has no terminal module for ${arch} containers (pty-${arch}.node in ${capsuleDir})`);
  }
  const key = keyOf(LAYOUT, NODE_MAJOR, await directoryKey(capsuleDir, wanted));
  const name = `jackin-runtime-${key}-${arch}`;
  const write = async (volume: VolumeWriter, fillCall: LongCall): Promise<unknown> => {
    fillCall.onLine?.(`asking the npm registry for Node ${NODE_MAJOR}`);
    const registry = await registryOf(options.env);
    const node = await registry.resolvePackage(`node-linux-${arch}`, `${NODE_MAJOR}.x`, fillCall.signal);
    const place: Placement = (file) => (file === 'bin/node' ? file : undefined);
    await unpack(registry, node, place, volume, fillCall);
    for (const file of files) {
      const content = createReadStream(path.join(capsuleDir, file.path));
      await volume.file(`capsule/${file.path}`, file.size, PROGRAMS.has(file.path), content);
    }
    return { packages: listed([node]), capsule: key };
  };
  const labels = { 'jackin.kind': 'runtime', 'jackin.arch': arch };
  const request = { volume: name, labels, image, owner, memory: volumeMemory(options.cache), write };
  const { filled } = await ensureFilled(engine, request, call);
  return { name, version: key, filled };
};
