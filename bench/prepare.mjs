// What a warm launch spends on finding out that image and volumes are there, the
// first time in its process, against one question to the engine.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { build } from 'esbuild';
import { root } from '../scripts/lib/setup.mjs';
import { makeSandbox } from '../scripts/lib/sandbox.mjs';
import { median, ratio, runQuietly } from './measure.mjs';

const TURNS = 15;
const BUDGET_MS = 20;

/** Runs in a process of its own, as each launch does; prints the milliseconds of both. */
const PROGRAM = `
import { performance } from 'node:perf_hooks';
import { locatePaths } from './src/config/paths.ts';
import { connectEngine } from './src/docker/docker-engine.ts';
import { imageFacts } from './src/launch/facts.ts';
import { prepareEngine } from './src/launch/prepare.ts';
import { readBuiltInRole } from './src/roles/find-role.ts';

const [packageRoot] = process.argv.slice(2);
const { env } = process;
const deps = { env, packageRoot, signal: new AbortController().signal, now: () => new Date() };
const role = await readBuiltInRole('agent-smith', packageRoot);
const { construct, constructIsOverride, role: tag } = await imageFacts(deps, role);
const wanted = {
  role: { key: role.key, content: role.contentHash, path: role.source.path, hooks: role.hooks },
  image: { construct, construct_is_override: constructIsOverride, role: tag, dockerfile: role.dockerfile },
  agent: { slug: 'kimi', version: null, packages: null },
  others: role.agents.filter((agent) => agent !== 'kimi').map((agent) => ({ agent, version: undefined })),
  rebuild: false,
};
const engine = await connectEngine(env);
await engine.imageId(construct);
const time = async (act) => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};
const question = await time(() => engine.imageId(construct));
const decision = await time(() => prepareEngine(deps, locatePaths({ env, home: env.HOME }), engine, wanted, () => undefined));
process.stdout.write(JSON.stringify({ question, decision }));
`;

const bundleProgram = async (/** @type {string} */ temp) => {
  const empty = path.join(temp, 'empty.cjs');
  await writeFile(empty, 'module.exports = {};');
  const unused = ['ssh2', 'cpu-features', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs'];
  await build({
    stdin: { contents: PROGRAM, resolveDir: root, sourcefile: 'prepare-bench.mjs' },
    outdir: temp,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    outExtension: { '.js': '.mjs' },
    alias: Object.fromEntries(unused.map((name) => [name, empty])),
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); const __dirname = import.meta.dirname; const __filename = import.meta.filename;" },
    logLevel: 'warning',
  });
  return path.join(temp, 'stdin.mjs');
};

export const measure = async () => {
  const temp = await mkdtemp(path.join(os.tmpdir(), 'jackin-bench-'));
  const sandbox = await makeSandbox('bench-prepare');
  try {
    const options = { cwd: sandbox.dirs.project, env: sandbox.env };
    runQuietly(process.execPath, [sandbox.cli, 'prewarm', 'agent-smith', '--agent', 'kimi'], options);
    const program = await bundleProgram(temp);
    const runs = Array.from({ length: TURNS + 1 }, () => JSON.parse(runQuietly(process.execPath, [program, root], options))).slice(1);
    const decision = median(runs.map((run) => run.decision));
    return [
      {
        what: `deciding that all is there, first in a process, median of ${TURNS}`,
        value: `${decision.toFixed(1)} ms, ${ratio(decision, median(runs.map((run) => run.question)))} one question`,
        budget: { text: `${BUDGET_MS} ms`, isExceeded: decision > BUDGET_MS },
      },
    ];
  } finally {
    await Promise.all([temp, sandbox.dirs.temp].map((dir) => rm(dir, { recursive: true, force: true })));
  }
};
