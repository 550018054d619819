import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Plugin } from 'esbuild';
import { decodeJson, encodeFrame, encodeJson, frameReader, type Frame } from '../../../src/capsule/frames.ts';
import { FrameType, type LaunchRequest, type SessionRequest } from '../../../src/capsule/protocol.ts';

/** The home has tests of its own; here its preparation does what the workdir's name says. */
const FAKE_PREPARE = `export const prepareInstance = async ({ workdir }) => {
  if (workdir === '/slow') await new Promise((resolve) => setTimeout(resolve, 1000));
  if (workdir === '/refuse') throw new Error('the disk is full');
  return { report: { logins: [{ slug: 'kimi', outcome: 'none', why: 'no login' }], github: 'no gh' }, variables: {} };
};`;

const fakePrepare: Plugin = {
  name: 'fake-prepare',
  setup: (api) => {
    api.onResolve({ filter: /home\/prepare\.ts$/ }, ({ path: name }) => ({ path: name, namespace: 'fake' }));
    api.onLoad({ filter: /.*/, namespace: 'fake' }, () => ({ contents: FAKE_PREPARE, loader: 'js' }));
  },
};

/** Bundles the capsule as the product does, into a directory that the caller removes. */
export const bundleForTest = async (): Promise<string> => {
  const outdir = await mkdtemp(path.join(os.tmpdir(), 'jackin-capsule-'));
  const script = path.resolve(import.meta.dirname, '../../../scripts/lib/bundle-capsule.mjs');
  const { bundleCapsule } = (await import(script)) as { bundleCapsule: (outdir: string, options: object) => Promise<void> };
  await bundleCapsule(outdir, { plugins: [fakePrepare] });
  return outdir;
};

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export const exitOf = (child: ChildProcess): Promise<Exit> =>
  new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));

export interface TestCapsule {
  /** A directory of its own; the socket is in `run` below it, the home in `home`. */
  dir: string;
  child: ChildProcess;
  exit: Promise<Exit>;
  log: () => string;
  connect: () => Promise<Client>;
  /** Starts what the host's exec runs. */
  startConnect: () => ChildProcess;
  end: () => Promise<void>;
}

/** Runs the bundled capsule as a process of this machine; `end` leaves nothing of it. */
export const runCapsule = async (bundle: string, env: Record<string, string> = {}, nodeOptions: string[] = []): Promise<TestCapsule> => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'jackin-run-'));
  const run = path.join(dir, 'run');
  const places = ['run', 'agents', 'home', 'handoff', 'state', 'default-home'].flatMap((name) => [`--${name}`, path.join(dir, name)]);
  const child = spawn(process.execPath, [...nodeOptions, path.join(bundle, 'capsule.mjs'), ...places], {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exit = exitOf(child);
  return {
    dir,
    child,
    exit,
    log: () => log,
    connect: () => connectClient(path.join(run, 'capsule.sock')),
    startConnect: () => spawn(process.execPath, [path.join(bundle, 'connect.mjs'), '--run', run], { stdio: 'pipe' }),
    end: async () => {
      child.kill('SIGKILL');
      await exit;
      await rm(dir, { recursive: true, force: true });
    },
  };
};

export interface Client {
  socket: net.Socket;
  send: (type: FrameType, payload?: Uint8Array) => void;
  json: (type: FrameType, value: unknown) => void;
  launch: (session: Partial<SessionRequest>, more?: Partial<LaunchRequest>) => void;
  /** All bytes of `output` frames so far. */
  output: () => Buffer;
  errorOutput: () => Buffer;
  /** The JSON of the first frame of that type, once it is there. */
  got<T>(type: FrameType): Promise<T>;
  /** The JSON of all frames of that type so far. */
  all<T>(type: FrameType): T[];
  /** Waits until the output holds the text. */
  sees: (text: string) => Promise<void>;
  closed: Promise<void>;
}

const TIMEOUT_MS = 10_000;

const connectClient = async (file: string): Promise<Client> => {
  const socket = await dial(file, Date.now() + TIMEOUT_MS);
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  const read = frameReader((frame) => frames.push(frame));
  const wake = () => waiting.forEach((check) => check());
  socket.on('data', (chunk) => {
    read(chunk);
    wake();
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const bytes = (type: FrameType) => Buffer.concat(frames.filter((frame) => frame.type === type).map((frame) => frame.payload));
  const until = <T>(look: () => T | undefined, what: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = globalThis.setTimeout(() => {
        waiting.delete(check);
        reject(new Error(`${what} did not come; got ${frames.map((frame) => frame.type.toString(16)).join(' ')}`));
      }, TIMEOUT_MS);
      const check = () => {
        const found = look();
        if (found === undefined) return;
        clearTimeout(timer);
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  const write = (frame: Buffer) => socket.writable && socket.write(frame);
  return {
    socket,
    closed,
    send: (type, payload) => write(encodeFrame(type, payload)),
    json: (type, value) => write(encodeJson(type, value)),
    launch: (session, more) => write(encodeJson(FrameType.launch, launchRequest(session, more))),
    output: () => bytes(FrameType.output),
    errorOutput: () => bytes(FrameType.errorOutput),
    got: async <T>(type: FrameType) => decodeJson(await until(() => frames.find((frame) => frame.type === type), `frame ${type.toString(16)}`)) as T,
    all: <T>(type: FrameType) => frames.filter((frame) => frame.type === type).map((frame) => decodeJson(frame) as T),
    sees: async (text) => {
      await until(() => (bytes(FrameType.output).includes(text) ? true : undefined), `output ${JSON.stringify(text)}`);
    },
  };
};

export const launchRequest = (session: Partial<SessionRequest>, more: Partial<LaunchRequest> = {}): LaunchRequest => ({
  setup: { workdir: '/', agents: [], git: { github: { mode: 'ignore' } }, hooks: [] },
  session: { agent: 'kimi', argv: ['true'], cwd: '/', io: 'pipe', size: { cols: 100, rows: 30 }, env: {}, keys: {}, ...session },
  detached: false,
  ...more,
});

const dial = async (file: string, deadline: number): Promise<net.Socket> => {
  for (;;) {
    const socket = net.connect(file);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await setTimeout(10);
    }
  }
};
