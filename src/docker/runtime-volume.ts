import { createReadStream } from 'node:fs';
import path from 'node:path';
import { JackinError } from '../shared/errors.ts';
import type { Owner } from '../shared/owner.ts';
import { directoryKey, keyOf } from './content-key.ts';
import type { Engine, LongCall } from './engine.ts';
import { registryOf, type RegistryOptions, writePackages } from './fetch-packages.ts';
import { ensureFilled } from './fill.ts';
import { filesBelow } from './files-below.ts';
import type { Placement, VolumeWriter } from './repack.ts';
import { volumeMemory } from './volume-memory.ts';

/** Older ones lose the end of a terminal's output. */
const NODE_MAJOR = '24';
/** Changes when files are laid out differently in the volume. */
const LAYOUT = '2';

export interface VolumeOptions extends RegistryOptions {
  /** Any local image to create containers from; they are never started. A volume that is known to be complete does not wait for it. */
  image: string | Promise<string>;
  /** Directory of the host for what may be lost. */
  cache: string;
  /** This process: others wait for it, or take over when it is gone. */
  owner: Owner;
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

/** Run by others than us: git runs it as a hook. */
const PROGRAMS = new Set(['git-hook.mjs']);

const isPty = (file: string): boolean => /^pty-.*\.node$/.test(file);

/**
 * The kernel lets nobody but root look into the memory, the environment and the
 * descriptors of a process whose program its user cannot read. Keys pass through the
 * capsule and the program that connects to it, and every session has their uid.
 */
const sealing = (volume: VolumeWriter): VolumeWriter => ({
  file: async (file, size, _kind, content) => await volume.file(file, size, 'sealed', content),
});

const placeNode: Placement = (file) => (file === 'bin/node' ? file : undefined);

/** The files of the capsule that belong into a container of this architecture, and what they are known by. */
const capsuleFiles = async (arch: Engine['arch'], capsuleDir: string) => {
  const wanted = (file: string): boolean => !isPty(file) || file === `pty-${arch}.node`;
  const files = (await filesBelow(capsuleDir)).filter((file) => file.kind === 'file' && wanted(file.path));
  if (!files.some((file) => isPty(file.path))) {
    throw new JackinError('failed', `this installation has no terminal module for ${arch} containers (pty-${arch}.node in ${capsuleDir})`);
  }
  return { files, key: keyOf(LAYOUT, NODE_MAJOR, await directoryKey(capsuleDir, wanted)) };
};

const nameOf = (key: string, arch: Engine['arch']): string => `jackin-runtime-${key}-${arch}`;

/** Name of the volume that this jackin's containers get, whether it is there or not. */
export const runtimeVolumeName = async ({ arch }: Engine, capsuleDir: string): Promise<string> => nameOf((await capsuleFiles(arch, capsuleDir)).key, arch);

/**
 * The read-only volume with Node and the capsule: `bin/node` and `capsule/`. Its name
 * holds a key of the capsule's files, so that a new jackin brings a new volume.
 */
export const ensureRuntimeVolume = async (engine: Engine, options: RuntimeVolumeOptions, call: LongCall): Promise<ReadyVolume> => {
  const { capsuleDir, image, owner } = options;
  const { arch } = engine;
  const { files, key } = await capsuleFiles(arch, capsuleDir);
  const name = nameOf(key, arch);
  const write = async (volume: VolumeWriter, fillCall: LongCall): Promise<unknown> => {
    fillCall.onLine?.(`asking the npm registry for Node ${NODE_MAJOR}`);
    const registry = await registryOf(options);
    const node = await registry.resolvePackage(`node-linux-${arch}`, `${NODE_MAJOR}.x`, fillCall.signal);
    await writePackages(registry, [{ manifest: node, place: placeNode }], sealing(volume), fillCall, options.limits);
    for (const file of files) {
      const content = createReadStream(path.join(capsuleDir, file.path));
      await volume.file(`capsule/${file.path}`, file.size, PROGRAMS.has(file.path) ? 'program' : 'data', content);
    }
    return { packages: [{ name: node.name, version: node.version, integrity: node.dist.integrity }], capsule: key };
  };
  const labels = { 'jackin.kind': 'runtime', 'jackin.arch': arch };
  const request = { volume: name, labels, image, owner, memory: volumeMemory(options.cache), write };
  const { filled } = await ensureFilled(engine, request, call);
  return { name, version: key, filled };
};
