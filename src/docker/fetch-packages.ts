import type { Readable } from 'node:stream';
import { DOWNLOAD_LIMITS, type DownloadLimits } from './download-limits.ts';
import type { ByteCount, LongCall } from './engine.ts';
import type { Env } from './find-endpoint.ts';
import type { Manifest, Registry } from './registry.ts';
import type { Placement, VolumeWriter } from './repack.ts';

/** How many packages are on their way at once: an agent may have several small ones. */
const AT_ONCE = 4;
const MEBIBYTE = 1024 * 1024;
/** How often a bar is told, at most. */
const TOLD_EVERY = MEBIBYTE / 4;

/** A package that goes into a volume, and where its files go. */
export interface Part {
  manifest: Manifest;
  place: Placement;
}

export interface RegistryOptions {
  /** Where npm's configuration is found. */
  env: Env;
  limits?: DownloadLimits;
}

/** Asks npm's configuration which registry is meant. A launch that finds its volumes never loads npm's libraries. */
export const registryOf = async ({ env, limits }: RegistryOptions): Promise<Registry> => {
  const { openRegistry } = await import('./registry.ts');
  return await openRegistry(env, limits);
};

/**
 * Tells of a download: the bytes often, for a bar; a new line every quarter of one
 * that is worth it, and every 25 MiB of a big one, for who reads lines.
 */
const reporter = (what: string, call: LongCall): ((done: number, total: number | undefined) => void) => {
  let line = `downloading ${what}`;
  let quarter = 0;
  let told = 0;
  return (done, total) => {
    const step = Math.floor(done / Math.min((total ?? Infinity) / 4, 25 * MEBIBYTE));
    if (step !== quarter && done >= MEBIBYTE) {
      quarter = step;
      const size = total === undefined ? '' : ` of ${(total / MEBIBYTE).toFixed(1)}`;
      line = `${what}: ${(done / MEBIBYTE).toFixed(1)}${size} MiB`;
    } else if (done - told < TOLD_EVERY && done !== total) return;
    told = done;
    const bytes: ByteCount = total === undefined ? { done } : { done, total };
    call.onLine?.(line, bytes);
  };
};

const open = async (registry: Registry, manifest: Manifest, call: LongCall): Promise<Readable> => {
  const what = `${manifest.name}@${manifest.version}`;
  call.onLine?.(`downloading ${what}`);
  const options = { onBytes: reporter(what, call), ...(call.signal === undefined ? {} : { signal: call.signal }) };
  const tarball = await registry.openTarball(manifest, options);
  // It may break before its turn: then whoever takes it finds that out, and not the process by ending.
  tarball.on('error', () => undefined);
  tarball.read(0);
  return tarball;
};

/** Downloads packages, several at once, and writes their files one package after the other. */
export const writePackages = async (registry: Registry, parts: readonly Part[], volume: VolumeWriter, call: LongCall, limits: DownloadLimits = DOWNLOAD_LIMITS): Promise<void> => {
  const { repackTarball } = await import('./repack.ts');
  const opened: Promise<Readable>[] = [];
  const openUpTo = (count: number): void => {
    for (const { manifest } of parts.slice(opened.length, count)) {
      const tarball = open(registry, manifest, call);
      tarball.catch(() => undefined);
      opened.push(tarball);
    }
  };
  try {
    for (const [index, { manifest, place }] of parts.entries()) {
      openUpTo(index + AT_ONCE);
      await repackTarball(`${manifest.name}@${manifest.version}`, await opened[index]!, place, volume, limits);
    }
  } finally {
    for (const tarball of await Promise.allSettled(opened)) if (tarball.status === 'fulfilled') tarball.value.destroy();
  }
};
