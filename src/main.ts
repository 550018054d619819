import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import path from 'node:path';
import { runCli } from './cli/program.ts';
import type { Deps } from './launch/deps.ts';

const BUILD_VERSION = process.env.JACKIN_BUILD_VERSION ?? '0.0.0';

/** A signal does not end the process: the command takes back what it began and then ends by itself. */
const abortOnSignals = (): AbortSignal => {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  return controller.signal;
};

const deps: Deps = {
  env: process.env,
  cwd: process.cwd(),
  home: process.env.HOME || homedir(),
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  now: () => new Date(),
  randomBytes: (count) => randomBytes(count),
  packageRoot: path.resolve(import.meta.dirname, '..'),
  version: BUILD_VERSION,
  connectEngine: async (env) => {
    const { connectEngine } = await import('./docker/docker-engine.ts');
    return connectEngine(env);
  },
  signals: process,
  signal: abortOnSignals(),
};

/** Resolves when everything written so far has left this process; a reader that is gone gets nothing more. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });

const code = await runCli(process.argv.slice(2), deps);
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
// Not only the exit code: the engine's end of a stream, or a terminal's input, would hold the process for a while longer.
process.exit(code);
