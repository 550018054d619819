// Gives every parser of what others wrote inputs that nobody meant.
//
//   npm run fuzz [-- target…] [--seconds N | --count N] [--seed S]
//   npm run fuzz -- target --seed S --index N   one input again
//   npm run fuzz -- target --input BASE64       these bytes
//   npm run fuzz -- --list                      the targets
//
// The time and the number are those of each target; without them 1000 inputs. A
// failure is printed with what replays it, and made shorter where that is simple.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';
import { ESM_BANNER } from './lib/bundle-capsule.mjs';
import { root } from './lib/setup.mjs';

/** Longer than any input may take, on a machine that is busy. */
const SILENCE_MS = 30_000;

const folder = await mkdtemp(path.join(os.tmpdir(), 'jackin-fuzz-run-'));
const main = path.join(folder, 'main.mjs');
const at = path.join(folder, 'at');

const bundle = () =>
  build({ entryPoints: [path.join(root, 'test/fuzz/main.ts')], outfile: main, bundle: true, format: 'esm', platform: 'node', banner: ESM_BANNER, logLevel: 'error', sourcemap: 'inline' });

/** Ends a run whose input goes on for ever, and tells which one it is. */
const watch = (/** @type {import('node:child_process').ChildProcess} */ child) => {
  let last = '';
  return setInterval(async () => {
    const now = await readFile(at, 'utf8').catch(() => '');
    if (now !== last || now === '') {
      last = now;
      return;
    }
    const [target = '', index = '', seed = ''] = now.trim().split('\n');
    console.error(`${target}: input ${index} of seed ${seed} does not end\nreplay: npm run fuzz -- '${target}' --seed ${seed} --index ${index}`);
    child.kill('SIGKILL');
  }, SILENCE_MS);
};

try {
  await bundle();
  const args = ['--enable-source-maps', '--max-old-space-size=2048', main, ...process.argv.slice(2), '--at', at];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  const timer = watch(child);
  process.exitCode = await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  clearInterval(timer);
} finally {
  await rm(folder, { recursive: true, force: true });
}
