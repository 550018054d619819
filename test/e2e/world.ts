/**
 * What the end-to-end tests stand on: a sandbox with the real CLI and the real
 * engine, a fake Kimi server, and ways to look at everything a launch leaves
 * behind without asking the product.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstat, readFile, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import {
  KIMI_BASE,
  homeId,
  leftovers,
  makeNetwork,
  makeSandbox,
  removeSandbox,
  startKimiServer,
  startServer,
  writeConfig,
  writeLogin,
} from '../../scripts/lib/sandbox.mjs';
import type { Sandbox } from '../../scripts/lib/sandbox.mjs';
import { formsOf } from './find-secrets.ts';

export { KIMI_BASE, writeLogin };
export type Login = Awaited<ReturnType<typeof writeLogin>>;
type ServerOptions = Parameters<typeof startKimiServer>[2];
type KimiServer = Awaited<ReturnType<typeof startKimiServer>>;

const engine = connectEngine();

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

interface Prewarmed {
  data: { roles: { image: { tag: string } }[]; volumes: { runtime: { name: string } } };
}

export interface World {
  sandbox: Sandbox;
  /** Runs the built CLI to its end; more environment may be given, `undefined` takes a variable away. */
  jackin(args: string[], env?: Record<string, string | undefined>): Promise<Outcome>;
  config(toml: string): Promise<void>;
  serve(options: ServerOptions): Promise<KimiServer>;
  /** The fake server of another agent. */
  serveAgent(agent: string, options: object): Promise<KimiServer>;
  /** `jackin load agent-smith <project> --prompt`, on the fake server's network. */
  prompt(text: string, env?: Record<string, string | undefined>): Promise<Outcome>;
  /** Names of the sandbox's containers. */
  containers(): Promise<string[]>;
  /** Stops a container behind jackin's back. */
  stopContainer(container: string): Promise<void>;
  /** Everything on the engine and on disk that outlives a launch, as text by where it stands. */
  traces(): Promise<Map<string, string>>;
  /** One directory of state for every instance. */
  stateDirs(): Promise<string[]>;
  remove(): Promise<void>;
}

/** Telemetry is off: a test sends nothing to anybody but the fake server. */
const QUIET = '[env]\nKIMI_DISABLE_TELEMETRY = "1"\n';

export const makeWorld = async (name: string): Promise<World> => {
  const sandbox = await makeSandbox(`e2e-${name}`);
  await makeNetwork(sandbox);

  const jackin: World['jackin'] = async (args, env = {}) => {
    const child = spawn(process.execPath, [sandbox.cli, ...args], {
      cwd: sandbox.dirs.project,
      env: { ...sandbox.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve(code ?? -1));
    });
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };

  const prewarm = async (agent: string) => {
    const { code, stdout, stderr } = await jackin(['prewarm', 'agent-smith', '--agent', agent, '--format', 'json']);
    if (code !== 0) throw new Error(`jackin prewarm ended with ${code}: ${stderr}`);
    const { roles, volumes } = (JSON.parse(stdout) as Prewarmed).data;
    return { image: roles[0]!.image.tag, runtimeVolume: volumes.runtime.name };
  };

  const containers = async () => {
    const id = await homeId(sandbox);
    if (!id) return [];
    const list = (await engine.labelled(`jackin.home=${id}`)).containers;
    return Promise.all(list.map(async (one) => ((await inspect(one)).Name ?? '').replace(/^\//, '')));
  };

  const stateDirs = async () => {
    const data = path.join(sandbox.dirs.home, 'data');
    return (await readdir(data).catch(() => [])).map((entry) => path.join(data, entry));
  };

  return {
    sandbox,
    jackin,
    containers,
    stateDirs,
    config: (toml) => writeConfig(sandbox, toml.includes('[env]') ? toml : `${QUIET}\n${toml}`),
    serve: async (options) => startKimiServer(sandbox, await prewarm('kimi'), options),
    serveAgent: async (agent, options) => startServer(sandbox, await prewarm(agent), agent, options),
    prompt: (words, env) =>
      jackin(
        ['load', 'agent-smith', sandbox.dirs.project, '--agent', 'kimi', '--network', sandbox.network].concat(
          '--prompt',
          words,
          '--no-input',
        ),
        env,
      ),
    async stopContainer(container) {
      const { status } = await engine.call('POST', `/containers/${container}/stop?t=5`);
      if (status !== 204) throw new Error(`stopping ${container}: ${status}`);
    },
    async traces() {
      const found = new Map<string, string>();
      for (const container of await containers()) await readContainer(container, found);
      for (const dir of await stateDirs()) await readTree(dir, found);
      for (const place of [sandbox.dirs.config, path.join(sandbox.dirs.home, 'instances.json')]) {
        await readTree(place, found);
      }
      return found;
    },
    remove: () => removeSandbox(sandbox),
  };
};

interface Inspected {
  Name?: string;
  Image: string;
  LogPath?: string;
}

const inspect = (container: string): Promise<Inspected> => engine.get(`/containers/${container}/json`);

/** What anybody with the engine at hand can read of a container and of its image. */
const readContainer = async (container: string, found: Map<string, string>): Promise<void> => {
  const { Image } = await inspect(container);
  const read = async (where: string) => (await engine.call('GET', where)).body.toString('utf8');
  found.set(`inspect of ${container}`, await read(`/containers/${container}/json`));
  found.set(`changes in ${container}`, await read(`/containers/${container}/changes`));
  const { stdout, stderr } = await engine.logs(container);
  found.set(`logs of ${container}`, stdout + stderr);
  found.set(`inspect of image ${Image}`, await read(`/images/${Image}/json`));
  found.set(`history of image ${Image}`, await read(`/images/${Image}/history`));
};

const readTree = async (place: string, found: Map<string, string>): Promise<void> => {
  const info = await lstat(place).catch(() => undefined);
  if (info?.isFile()) found.set(place, (await readFile(place)).toString('latin1'));
  if (!info?.isDirectory()) return;
  for (const entry of await readdir(place)) await readTree(path.join(place, entry), found);
};

/** In the instance's state, credential files stand here and nowhere else. */
export const CREDENTIAL_PLACES = /\/data\/[^/]+\/(handoff|home)\//;

/** Everything about a tree that a reader could change by accident, access times aside. */
export const treeHash = async (root: string): Promise<string> => {
  const hash = createHash('sha256');
  const add = async (place: string): Promise<void> => {
    const info = await lstat(place, { bigint: true });
    const { mode, uid, gid, ino, nlink, size, mtimeNs, ctimeNs } = info;
    const fields = [path.relative(root, place), mode, uid, gid, ino, nlink, size, mtimeNs, ctimeNs];
    hash.update(`${fields.join('\0')}\n`);
    if (info.isSymbolicLink()) hash.update(await readlink(place));
    if (info.isFile()) hash.update(await readFile(place));
    if (info.isDirectory()) for (const entry of (await readdir(place)).sort()) await add(path.join(place, entry));
  };
  await add(root);
  return hash.digest('hex');
};

/** Whether one of the secrets stands, in any form, in the container's own file system (what `docker export` gives). */
export const isInFilesystem = async (container: string, secrets: string[]): Promise<boolean> => {
  const forms = secrets.flatMap(formsOf).map((form) => Buffer.from(form));
  const longest = Math.max(...forms.map((form) => form.length));
  let tail = Buffer.alloc(0);
  for await (const chunk of await engine.stream(`/containers/${container}/export`)) {
    const piece = Buffer.concat([tail, chunk as Buffer]);
    if (forms.some((form) => piece.includes(form))) return true;
    // A form may lie across two chunks.
    tail = piece.subarray(-longest);
  }
  return false;
};

/** What is left on the engine and on disk of the sandbox's instances. */
export const leftoversOf = (world: World) => leftovers(world.sandbox);

/** Collects the command lines of every process on this machine until it is told to stop. */
export const watchCommandLines = () => {
  const seen = new Set<string>();
  const over = new AbortController();
  const watch = async () => {
    while (!over.signal.aborted) {
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        seen.add(line.replaceAll('\0', ' '));
      }
      await setTimeout(1);
    }
  };
  const watching = watch();
  return async (): Promise<Map<string, string>> => {
    over.abort();
    await watching;
    return new Map([...seen].map((line) => [`command line ${line.slice(0, 80)}`, line]));
  };
};
