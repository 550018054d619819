/** `main-keeper.ts` as a process: what depends on its real streams and on where it runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keeperStatus } from '../../src/keeper/ask-keeper.ts';
import { makeTemporaryDir } from '../fixtures/kimi/tree.ts';

let folder: string;
let program: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await makeTemporaryDir();
  program = path.join(folder, 'keeper.js');
  await build({ entryPoints: [path.resolve(import.meta.dirname, '../../src/main-keeper.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' });
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}');
  env = { PATH: process.env.PATH ?? '', HOME: folder, JACKIN_HOME_DIR: path.join(folder, 'jackin'), DOCKER_HOST: `unix://${folder}/no-engine.sock` };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.skipIf(!existsSync('/dev/full'))('lives on when its log cannot be written: a full disk must not cost the logins their keeper', async () => {
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'ignore', openSync('/dev/full', 'w')] });
  const ended = once(child, 'exit');
  await expect.poll(() => keeperStatus({ keeperDir: path.join(folder, 'jackin/keeper') }), { timeout: 10_000 }).toMatchObject({ pid: child.pid });
  expect(await ended).toEqual([0, null]);
});
