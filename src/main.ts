import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { runCli } from './cli/program.ts';
import type { Deps } from './launch/deps.ts';
import { isErrno, messageOf } from './shared/errors.ts';

const BUILD_VERSION = process.env.JACKIN_BUILD_VERSION ?? '0.0.0';

/** A signal does not end the process: the command takes back what it began and then ends by itself. */
const abortOnSignals = (): AbortSignal => {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // Said twice while no session listens as well: the engine may hang. What was begun is in the journal, for the next command.
      if (controller.signal.aborted && process.listenerCount(name) === 1) process.exit(130);
      controller.abort();
    });
  }
  return controller.signal;
};

/** What the system knows, or what stands for it where it knows nothing: then the command that needs it says so. */
const orElse = (ask: () => string, fallback: string): string => {
  try {
    return ask();
  } catch {
    return fallback;
  }
};

/** The system's own link tells in no time what the language's library would take 15 ms to load for. */
const timeZone = (): string | undefined => process.env.TZ || /\/zoneinfo\/(.+)$/.exec(orElse(() => readlinkSync('/etc/localtime'), ''))?.[1];

/**
 * A stream that breaks (its reader is gone, its disk full) must not end this
 * process in the middle of what it does. Tells what broke it first.
 */
const surviveErrors = (stream: NodeJS.WriteStream): (() => unknown) => {
  let first: unknown;
  stream.on('error', (error) => (first ??= error));
  return () => first;
};

const outputTrouble = surviveErrors(process.stdout);
surviveErrors(process.stderr);

const deps: Deps = {
  env: process.env,
  // A shell may stand in a directory that was removed: it is then told by its name.
  cwd: orElse(() => process.cwd(), path.resolve('/', process.env.PWD ?? '')),
  home: process.env.HOME || orElse(homedir, '/nonexistent'),
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  now: () => new Date(),
  timeZone,
  randomBytes: (count) => randomBytes(count),
  packageRoot: path.resolve(import.meta.dirname, '..'),
  version: BUILD_VERSION,
  ...(process.platform === 'darwin' && {
    keychain: async (service: string) => {
      const { readKeychain } = await import('./auth/keychain.ts');
      return readKeychain(service);
    },
  }),
  startKeeper: async (paths) => {
    const { startKeeper } = await import('./keeper/start-keeper.ts');
    await startKeeper(paths, { program: [process.execPath, path.join(import.meta.dirname, 'keeper.js')], env: process.env });
  },
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

/** A result that nobody got is not a success, unless its reader did not want the rest, as `head` does. */
const codeWithOutput = (code: number): number => {
  const trouble = outputTrouble();
  if (code !== 0 || trouble === undefined || isErrno(trouble, 'EPIPE')) return code;
  process.stderr.write(`error: the result could not be written: ${messageOf(trouble)}\n`);
  return 1;
};

// Nothing is left to wait for, and yet the command has not ended: without this, Node would end it without a word.
process.once('beforeExit', () => {
  process.stderr.write('error: unexpected: the command waits for something that will never come\nhint: this is a bug in jackin\n');
  process.exit(1);
});

const ended = await runCli(process.argv.slice(2), deps);
await flushed(process.stdout);
const code = codeWithOutput(ended);
await flushed(process.stderr);
// Not only the exit code: the engine's end of a stream, or a terminal's input, would hold the process for a while longer.
process.exit(code);
