import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectEngine } from '../../src/docker/docker-engine.ts';
import type { ContainerSpec, Engine, Labels } from '../../src/docker/engine.ts';
import { ensureConstruct, type Construct } from '../../src/docker/construct.ts';
import { MANAGED } from '../../src/docker/labels.ts';

export const packageRoot = path.resolve(import.meta.dirname, '../..');

export const realEngine = async (): Promise<Engine> => await connectEngine(process.env);

/** The real construct: built by the first test that needs it, and kept, since it is a cache. */
export const realConstruct = async (engine: Engine): Promise<Construct> =>
  await ensureConstruct(engine, { packageRoot, override: process.env.JACKIN_CONSTRUCT_IMAGE, env: process.env }, {});

/** Names and labels of one test run, and the removal of everything that carries them. */
export const testScope = () => {
  const id = `jackin-test-${randomBytes(4).toString('hex')}`;
  const labels: Labels = { ...MANAGED, 'jackin.test': id };
  const directories: string[] = [];
  return {
    id,
    labels,
    temporary: async (): Promise<string> => {
      const directory = await mkdtemp(path.join(tmpdir(), 'jackin-test-'));
      directories.push(directory);
      return directory;
    },
    clean: async (engine: Engine): Promise<void> => {
      const gone = async (removals: Promise<unknown>[]): Promise<void> => void (await Promise.allSettled(removals));
      // Containers first: what they use cannot go before them. One that resists must not keep the others.
      await gone((await engine.listContainers(labels)).map(async ({ id: container }) => await engine.removeContainer(container)));
      await gone((await engine.listNetworks(labels)).map(async ({ name }) => await engine.removeNetwork(name)));
      await gone((await engine.listVolumes(labels)).map(async ({ name }) => await engine.removeVolume(name)));
      await gone((await engine.listImages(labels)).flatMap(({ tags }) => tags).map(async (tag) => await engine.removeImage(tag)));
      for (const directory of directories) await rm(directory, { recursive: true, force: true });
    },
  };
};

export const containerSpec = (name: string, image: string, labels: Labels, more: Partial<ContainerSpec> = {}): ContainerSpec => ({
  name,
  hostname: 'box',
  image,
  argv: ['/usr/bin/sleep', '300'],
  user: '1234:1234',
  workdir: '/',
  env: [],
  labels,
  mounts: [],
  tmpfs: {},
  network: 'none',
  init: true,
  capDrop: ['ALL'],
  noNewPrivileges: true,
  pidsLimit: 256,
  ...more,
});
