import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { runCli } from '../../src/cli/program.ts';
import type { Engine } from '../../src/docker/engine.ts';
import type { Deps } from '../../src/launch/deps.ts';
import { JackinError } from '../../src/shared/errors.ts';

const packageRoot = path.resolve(import.meta.dirname, '..', '..');

export interface Sandbox {
  root: string;
  home: string;
  config: string;
  jackinHome: string;
  project: string;
  /** Writes a file below the sandbox's root. */
  write: (file: string, text: string) => Promise<string>;
  read: (file: string) => Promise<string>;
  run: (argv: string[], options?: RunOptions) => Promise<Run>;
}

export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  engine?: Engine;
  env?: Record<string, string>;
  cwd?: string;
  tty?: boolean;
  /** What stands on standard input; on a terminal the keys that are pressed. */
  input?: string;
  signal?: AbortSignal;
  /** In place of what the sandbox would give. */
  deps?: Partial<Deps>;
}

const sink = (tty: boolean): { stream: Writable & { isTTY?: boolean }; text: () => string } => {
  const chunks: Buffer[] = [];
  const stream: Writable & { isTTY?: boolean } = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  stream.isTTY = tty;
  return { stream, text: () => Buffer.concat(chunks).toString() };
};

/** A terminal on which these keys have been pressed; it stays open, as terminals do. */
const keyboard = (keys: string): Deps['stdin'] => {
  const stream = new PassThrough();
  if (keys !== '') stream.write(keys);
  return Object.assign(stream, { isTTY: true, setRawMode: () => undefined });
};

/** A home, a configuration and a project of its own for one test; removed when it ends. */
export const makeSandbox = async (): Promise<Sandbox> => {
  const root = await realpath(await mkdtemp(path.join(tmpdir(), 'jackin-cli-')));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const at = (name: string): string => path.join(root, name);
  const sandbox = { root, home: at('home'), config: at('config'), jackinHome: at('jackin'), project: at('project') };
  for (const folder of [sandbox.home, sandbox.config, sandbox.project]) await mkdir(folder);
  const write = async (file: string, text: string): Promise<string> => {
    const full = path.resolve(root, file);
    await mkdir(path.dirname(full), { recursive: true });
    await writeFile(full, text);
    return full;
  };
  const run = async (argv: string[], options: RunOptions = {}): Promise<Run> => {
    const tty = options.tty ?? false;
    const stdout = sink(tty);
    const stderr = sink(tty);
    const stdin = tty ? keyboard(options.input ?? '') : Readable.from(options.input === undefined ? [] : [Buffer.from(options.input)]);
    const deps: Deps = {
      // No test asks a server for a role, whatever name it makes up.
      env: { JACKIN_CONFIG_DIR: sandbox.config, JACKIN_HOME_DIR: sandbox.jackinHome, GIT_ALLOW_PROTOCOL: 'file', ...options.env },
      cwd: options.cwd ?? sandbox.project,
      home: sandbox.home,
      uid: process.getuid!(),
      gid: process.getgid!(),
      stdin,
      stdout: stdout.stream,
      stderr: stderr.stream,
      now: () => new Date('2026-11-21T12:00:00Z'),
      randomBytes: (count) => new Uint8Array(count),
      packageRoot,
      version: '0.0.0-test',
      startKeeper: () => Promise.reject(new JackinError('failed', 'this test has no keeper')),
      connectEngine: () =>
        options.engine === undefined
          ? Promise.reject(new JackinError('engine.unreachable', 'this test has no engine'))
          : Promise.resolve(options.engine),
      signals: process,
      signal: options.signal ?? new AbortController().signal,
      ...options.deps,
    };
    const code = await runCli(argv, deps);
    return { code, stdout: stdout.text(), stderr: stderr.text() };
  };
  return { ...sandbox, write, read: (file) => readFile(path.resolve(root, file), 'utf8'), run };
};
