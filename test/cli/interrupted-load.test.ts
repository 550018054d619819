import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { type EngineFault, faultyEngine } from '../fakes/faulty-engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const installation = useInstallation();

/** What a launch that fails must not leave behind. */
interface Left {
  containers: string[];
  networks: string[];
  state: string[];
  journal: string[];
}

const NOTHING: Left = { containers: [], networks: [], state: [], journal: [] };
const DEAD = { pid: 999_999_999, started: '1', boot: 'another' };

interface World {
  sandbox: Sandbox;
  engine: FakeEngine;
  load: (through: FakeEngine, signal?: AbortSignal) => Promise<Run>;
  /** Of instances: what fills volumes is not counted, the next launch clears it away. */
  left: () => Promise<Left>;
  /** Makes this process, as far as jackin can tell, another one that has died. */
  bury: () => Promise<void>;
}

const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

const isFiller = (labels: Readonly<Record<string, string>>): boolean => labels['jackin.kind'] === 'fill';

const makeWorld = async (): Promise<World> => {
  const sandbox = await makeSandbox();
  const engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  await engine.createNetwork({ name: 'other', labels: {}, subnet: '10.99.0.0/28' });
  const journal = path.join(sandbox.jackinHome, 'journal');
  return {
    sandbox,
    engine,
    load: (through, signal) =>
      sandbox.run(['load', 'agent-smith', '--prompt', 'hi', '--network', 'other'], { ...installation(), engine: through, ...(signal && { signal }) }),
    left: async () => ({
      containers: engine.containers().filter(({ info }) => !isFiller(info.labels)).map(({ info }) => info.name),
      networks: (await engine.listNetworks({})).map(({ name }) => name).filter((name) => name !== 'other'),
      state: await namesIn(path.join(sandbox.jackinHome, 'data')),
      journal: await namesIn(journal),
    }),
    bury: async () => {
      for (const name of await namesIn(journal)) {
        const file = path.join(journal, name);
        const entry = JSON.parse(await readFile(file, 'utf8')) as object;
        await writeFile(file, JSON.stringify({ ...entry, owner: DEAD }));
      }
      for (const { info } of engine.containers()) {
        if (isFiller(info.labels)) Object.assign(info.labels, { 'jackin.owner': JSON.stringify(DEAD) });
      }
    },
  };
};

/** A launch in a fresh world, with a fault at one of its engine calls. */
const loadWithFault = async (failAt: number, fault: EngineFault, signal?: AbortSignal): Promise<World & { result: Run; where: string }> => {
  const world = await makeWorld();
  const { engine, calls } = faultyEngine(world.engine, failAt, fault);
  const result = await world.load(engine, signal);
  return { ...world, result, where: `call ${failAt}, ${calls[failAt - 1]}` };
};

/** The next launch, of another process: it works, and what there is afterwards belongs to it alone. */
const expectNextLoadToWork = async ({ engine, load, left, bury }: World, where: string): Promise<void> => {
  await bury();
  expect(await load(engine), `after ${where}`).toMatchObject({ code: 0, stdout: 'hello\n' });
  const { containers, networks, state, journal } = await left();
  expect([containers.length, networks, state, journal], `after ${where}`).toEqual([1, [`${containers[0]}-net`], containers, []]);
  expect(engine.containers().filter(({ info }) => isFiller(info.labels)).map(({ info }) => info.name), `after ${where}`).toEqual([]);
  for (const { name } of await engine.listVolumes({})) expect([...engine.volumeFiles(name).keys()], `after ${where}`).toContain('.jackin-complete');
};

/** Goes through every engine call of a first launch, some at a time: what is interrupted may wait a while before it notices. */
const atEveryCall = async (check: (failAt: number) => Promise<void>): Promise<void> => {
  const world = await makeWorld();
  const { engine, calls } = faultyEngine(world.engine, 0, 'fails');
  expect(await world.load(engine)).toMatchObject({ code: 0 });
  expect(calls).toEqual(expect.arrayContaining(['buildImage', 'createVolume', 'putArchive', 'createNetwork', 'createContainer', 'connectNetwork', 'startContainer', 'exec']));
  const left = calls.map((_call, index) => index + 1);
  const work = async (): Promise<void> => {
    for (let failAt = left.shift(); failAt !== undefined; failAt = left.shift()) await check(failAt);
  };
  await Promise.all(Array.from({ length: 8 }, work));
};

describe('a launch that goes wrong at any call to the engine leaves nothing behind', { timeout: 120_000 }, () => {
  it('because the call fails', async () => {
    await atEveryCall(async (failAt) => {
      const { result, where, left } = await loadWithFault(failAt, 'fails');
      expect(result, `at ${where}`).toMatchObject({ code: 5, stdout: '' });
      expect(result.stderr, `at ${where}`).toContain('made to fail');
      expect(await left(), `at ${where}`).toEqual(NOTHING);
    });
  });

  it('because the answer is lost, and the next launch works', async () => {
    await atEveryCall(async (failAt) => {
      const { result, where, left, ...world } = await loadWithFault(failAt, 'answer lost');
      expect(result, `at ${where}`).toMatchObject({ code: 5, stdout: '' });
      expect(await left(), `at ${where}`).toEqual(NOTHING);
      await expectNextLoadToWork({ ...world, left }, where);
    });
  });

  it('because somebody interrupts it', async () => {
    await atEveryCall(async (failAt) => {
      const controller = new AbortController();
      const { result, where, left } = await loadWithFault(failAt, { done: () => controller.abort() }, controller.signal);
      expect(result, `at ${where}`).toMatchObject({ code: 130, stdout: '' });
      expect(result.stderr, `at ${where}`).toContain('interrupted');
      expect(await left(), `at ${where}`).toEqual(NOTHING);
    });
  });

  it('once another command has run, because it was killed', async () => {
    let taken = 0;
    await atEveryCall(async (failAt) => {
      const { where, left, ...world } = await loadWithFault(failAt, 'gone');
      taken += (await left()).journal.length;
      await world.bury();
      expect(await world.sandbox.run(['status'], { engine: world.engine }), `after ${where}`).toMatchObject({ code: 0, stdout: 'no instances\n' });
      expect(await left(), `after ${where}`).toEqual(NOTHING);
      await expectNextLoadToWork({ ...world, left }, where);
    });
    expect(taken, 'kills that left something to take back').toBeGreaterThan(4);
  });
});
