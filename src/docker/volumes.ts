import { createReadStream } from 'node:fs';
import path from 'node:path';
import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import type { Owner } from '../shared/owner.ts';
import { resolveClosure } from './closure.ts';
import { directoryKey, keyOf } from './content-key.ts';
import type { Engine, Labels, LongCall, VolumeInfo } from './engine.ts';
import { ensureFilled, isComplete } from './fill.ts';
import { filesBelow } from './files-below.ts';
import type { Env } from './find-endpoint.ts';
import { MANAGED } from './labels.ts';
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

/** Tells a person every quarter of a download that is worth it, not every packet. */
const reporter = (what: string, call: LongCall): ((done: number, total: number | undefined) => void) => {
  let last = 0;
  return (done, total) => {
    const quarter = total === undefined ? Math.floor(done / (25 * MEBIBYTE)) : Math.floor((4 * done) / total);
    if (quarter === last || done < MEBIBYTE) return;
    last = quarter;
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

const runtimeOf = (slug: AgentSlug) => {
  const { runtime, name } = AGENTS[slug];
  if (runtime === undefined) throw new JackinError('failed', `this version of jackin cannot install ${name}`);
  return runtime;
};

/** Complete volumes first need a marker that was seen; those of another recipe are not ours to use. */
const cachedAgents = async (engine: Engine, labels: Labels, wanted: string | undefined): Promise<VolumeInfo[]> => {
  const found = await engine.listVolumes({ ...MANAGED, ...labels });
  const versions = found.filter((volume) => wanted === undefined || volume.labels['jackin.agent.version'] === wanted);
  if (versions.length < 2) return versions;
  const { default: semver } = await import('semver');
  const version = (volume: VolumeInfo): string => volume.labels['jackin.agent.version'] ?? '0.0.0';
  return versions.sort((a, b) => semver.rcompare(version(a), version(b), true) || (a.createdAt < b.createdAt ? 1 : -1));
};

/**
 * The read-only volume with an agent's program. Asks the network for nothing when a
 * complete one is cached. Throws `download.failed`, and leaves no half-filled volume.
 */
export const ensureAgentVolume = async (engine: Engine, options: AgentVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { agent, image, owner } = options;
  const { package: recipe } = runtimeOf(agent);
  const memory = volumeMemory(options.cache);
  const labels = {
    'jackin.kind': 'agent',
    'jackin.agent': agent,
    'jackin.arch': engine.arch,
    'jackin.recipe': keyOf(LAYOUT, JSON.stringify(recipe)),
  };
  for (const volume of await cachedAgents(engine, labels, options.version)) {
    const version = volume.labels['jackin.agent.version'] ?? '';
    const check = { volume: volume.name, image, owner, memory };
    const complete = (await memory.knows(volume)) || (await isComplete(engine, check, call));
    if (complete) return { name: volume.name, version, filled: false };
  }

  call.onLine?.(`asking the npm registry for ${recipe.name}`);
  const registry = await registryOf(options.env);
  const root = { name: recipe.name, wanted: options.version ?? 'latest', omit: recipe.omit };
  const manifests = await resolveClosure(registry, root, call.signal);
  const version = manifests[0]?.version ?? '';
  const digest = keyOf(labels['jackin.recipe'], ...manifests.map((manifest) => manifest.dist.integrity));
  const name = inName(`jackin-agent-${agent}-${version}-${engine.arch}-${digest}`);
  const write = async (volume: VolumeWriter, fillCall: LongCall): Promise<unknown> => {
    for (const manifest of manifests) {
      const dropped = manifest.name === recipe.name ? recipe.drop : [];
      const place: Placement = (file) =>
        dropped.some((prefix) => file.startsWith(prefix)) ? undefined : `node_modules/${manifest.name}/${file}`;
      await unpack(registry, manifest, place, volume, fillCall);
    }
    return { agent, version, packages: listed(manifests) };
  };
  const full = { ...labels, 'jackin.agent.version': version };
  const { filled } = await ensureFilled(engine, { volume: name, labels: full, image, owner, memory, write }, call);
  return { name, version, filled };
};

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
      await volume.file(`capsule/${file.path}`, file.size, false, content);
    }
    return { packages: listed([node]), capsule: key };
  };
  const labels = { 'jackin.kind': 'runtime', 'jackin.arch': arch };
  const request = { volume: name, labels, image, owner, memory: volumeMemory(options.cache), write };
  const { filled } = await ensureFilled(engine, request, call);
  return { name, version: key, filled };
};
