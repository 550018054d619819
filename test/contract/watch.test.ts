import { afterAll, beforeAll, expect, test } from 'vitest';
import { watchContainers } from '../../src/docker/watch-containers.ts';
import type { Engine } from '../../src/docker/engine.ts';
import { containerSpec, realConstruct, realEngine, testScope } from './support.ts';

const scope = testScope();
let engine: Engine;
let image: string;

beforeAll(async () => {
  engine = await realEngine();
  image = (await realConstruct(engine)).reference;
});

afterAll(() => scope.clean(engine));

test('the real engine tells which containers run, as they start, stop and go', async () => {
  const told: (string[] | undefined)[] = [];
  const stop = new AbortController();
  const watching = watchContainers(process.env, [`jackin.test=${scope.id}`], (running) => void told.push(running && [...running]), stop.signal);
  await expect.poll(() => told, { timeout: 10_000 }).toEqual([[]]);
  const id = await engine.createContainer(containerSpec(`${scope.id}-one`, image, scope.labels));
  await engine.startContainer(id);
  await expect.poll(() => told.at(-1), { timeout: 10_000 }).toEqual([`${scope.id}-one`]);
  await engine.stopContainer(id, 0);
  await expect.poll(() => told.at(-1), { timeout: 10_000 }).toEqual([]);
  await engine.startContainer(id);
  await expect.poll(() => told.at(-1), { timeout: 10_000 }).toEqual([`${scope.id}-one`]);
  await engine.removeContainer(id);
  await expect.poll(() => told.at(-1), { timeout: 10_000 }).toEqual([]);
  stop.abort();
  await watching;
});
