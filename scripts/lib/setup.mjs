// What a fresh clone needs before anything of it runs, each only when it is
// missing: dependencies, the build, an engine. Node built-ins only.
import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { connectEngine } from './engine-api.mjs';

export const root = path.resolve(import.meta.dirname, '../..');

/** Path of a program that the project has installed for itself. */
export const bin = (/** @type {string} */ name) => path.join(root, 'node_modules/.bin', name);

/**
 * Runs a program in the project's directory to its end; its exit code, 128 + n for a signal.
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 * @returns {Promise<number>}
 */
export const run = (program, args, options = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', ...options });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)));
  });

const must = async (/** @type {string} */ what, /** @type {Promise<number>} */ running) => {
  const code = await running;
  if (code !== 0) throw Object.assign(new Error(`${what} failed (exit ${code})`), { exitCode: code });
};

const changedAt = (/** @type {string} */ file) =>
  stat(path.join(root, file)).then(({ mtimeMs }) => mtimeMs, () => 0);

const newestBelow = async (/** @type {string} */ directory) => {
  const entries = await readdir(path.join(root, directory), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const times = await Promise.all(files.map(async (file) => (await stat(path.join(file.parentPath, file.name))).mtimeMs));
  return Math.max(0, ...times);
};

/** Installs the dependencies when they are missing or older than the lock. */
export const ensureDependencies = async () => {
  // npm writes this file last.
  if ((await changedAt('node_modules/.package-lock.json')) >= (await changedAt('package-lock.json'))) return;
  // stdout is left to the caller's results.
  await must('npm ci', run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] }));
};

/** Builds dist/ when it is missing or older than what it is made of. */
export const ensureBuild = async () => {
  const sources = [await newestBelow('src'), await changedAt('scripts/build.mjs'), await changedAt('package-lock.json')];
  if ((await changedAt('dist/package.json')) > Math.max(...sources)) return;
  await must('the build', run(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 2, 2] }));
};

/** Makes an engine answer; the function that is returned stops it again if it was started here. */
export const ensureEngine = async () => {
  const script = path.join(root, 'scripts/engine.sh');
  const answered = await connectEngine().ping();
  await must('setting up a container engine', run('sh', [script, 'start'], { stdio: ['inherit', 2, 2] }));
  return async () => {
    if (!answered) await run('sh', [script, 'stop'], { stdio: ['ignore', 2, 2] });
  };
};
