// A jackin of its own: directories, a network and a fake Kimi server that the
// demo, the benchmark and the end-to-end tests use instead of a person's own.
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { writeKimiLogin } from '../../test/fakes/kimi-login.mjs';
import { connectEngine } from './engine-api.mjs';
import { root } from './setup.mjs';

/** Where containers on the sandbox's network find the fake server. */
export const KIMI_HOST = 'http://kimi.demo:8080';
export const KIMI_BASE = `${KIMI_HOST}/coding/v1`;

/** Host variables that would lead an agent, or jackin, somewhere else. */
const FOREIGN = /^(JACKIN|KIMI|MOONSHOT|ANTHROPIC|OPENAI|CLAUDE|CODEX)_/;

/**
 * Makes the directories below a new temporary one; nothing else happens.
 * Everything that is made on the engine later carries `label`.
 */
export const makeSandbox = async (/** @type {string} */ name) => {
  const id = `jackin-${name}-${randomBytes(4).toString('hex')}`;
  const temp = await mkdtemp(path.join(os.tmpdir(), `${id}-`));
  const dirs = {
    temp,
    config: path.join(temp, 'config'),
    home: path.join(temp, 'jackin-home'),
    project: path.join(temp, 'project'),
    userHome: path.join(temp, 'user-home'),
  };
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true });
  await writeFile(path.join(dirs.project, 'README.md'), '# A small project\n\nIt says hello.\n');

  const inherited = Object.entries(process.env).filter(([key]) => !FOREIGN.test(key));
  const env = {
    ...Object.fromEntries(inherited),
    HOME: dirs.userHome,
    JACKIN_CONFIG_DIR: dirs.config,
    JACKIN_HOME_DIR: dirs.home,
    // npm's configuration is that of the person, wherever HOME is now.
    NPM_CONFIG_USERCONFIG: process.env.NPM_CONFIG_USERCONFIG ?? path.join(os.homedir(), '.npmrc'),
  };
  return { id, label: `jackin.sandbox=${id}`, network: id, dirs, env, cli: path.join(root, 'dist/main.js') };
};

/** @typedef {Awaited<ReturnType<typeof makeSandbox>>} Sandbox */

export const writeConfig = (/** @type {Sandbox} */ sandbox, /** @type {string} */ toml) =>
  writeFile(path.join(sandbox.dirs.config, 'config.toml'), `version = "v1alpha6"\n\n${toml}`);

/** A login at the fake server, written the way `kimi login` writes it. */
export const writeLogin = (
  /** @type {string} */ dir,
  /** @type {NonNullable<Parameters<typeof writeKimiLogin>[1]>} */ options = {},
) => writeKimiLogin(dir, { host: KIMI_HOST, base: KIMI_BASE, ...options });

export const makeNetwork = (/** @type {Sandbox} */ sandbox) => {
  const [key = '', value] = sandbox.label.split('=');
  return connectEngine().post('/networks/create', { Name: sandbox.network, Labels: { [key]: value } });
};

/**
 * Starts the fake Kimi server.
 *
 * @param {Sandbox} sandbox
 * @param {{ image: string, runtimeVolume: string }} made
 * @param {import('../../test/fakes/kimi-server.mjs').ServerOptions} options
 */
export const startKimiServer = (sandbox, made, options) => startServer(sandbox, made, 'kimi', options);

/**
 * Starts the fake server of an agent in a container of the sandbox's network, on
 * the Node that the runtime volume holds, and waits until it listens: at
 * `http://<agent>.demo:8080`.
 *
 * @param {Sandbox} sandbox
 * @param {{ image: string, runtimeVolume: string }} made what `jackin prewarm` has printed
 * @param {string} agent
 * @param {object} options those of `test/fakes/<agent>-server.mjs`
 */
export const startServer = async (sandbox, made, agent, options) => {
  const engine = connectEngine();
  const dir = path.join(sandbox.dirs.temp, `server-${randomBytes(4).toString('hex')}`);
  await mkdir(dir, { mode: 0o700 });
  // A copy: the checkout may lie where an engine's user cannot read it.
  await cp(path.join(root, 'test/fakes'), path.join(dir, 'fakes'), { recursive: true, filter: (file) => !file.endsWith('.ts') });
  await writeFile(path.join(dir, 'server.json'), JSON.stringify(options), { mode: 0o600 });

  const [key = '', value] = sandbox.label.split('=');
  const id = await engine.run(`${sandbox.id}-${path.basename(dir)}`, {
    Image: made.image,
    User: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    Entrypoint: ['/jackin/runtime/bin/node', `/fake/fakes/${agent}-server.mjs`],
    Cmd: ['--config', '/fake/server.json', '--listen', '0.0.0.0:8080', '--ttl', '900'],
    Labels: { [key]: value },
    HostConfig: {
      Binds: [`${dir}:/fake:ro`, `${made.runtimeVolume}:/jackin/runtime:ro`],
      CapDrop: ['ALL'],
      NetworkMode: sandbox.network,
    },
    NetworkingConfig: { EndpointsConfig: { [sandbox.network]: { Aliases: [`${agent}.demo`] } } },
  });

  const output = async () => {
    const { stdout, stderr } = await engine.logs(id);
    if (stderr) throw new Error(`the fake server says: ${stderr}`);
    return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  };
  for (let tries = 0; (await output()).length === 0; tries += 1) {
    if (tries === 100) throw new Error('the fake server does not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    id,
    /** Every request so far, oldest first. @returns {Promise<import('../../test/fakes/kimi-server.mjs').RequestEntry[]>} */
    requests: async () => (await output()).slice(1),
    stop: () => engine.removeContainer(id),
  };
};

/** Id that labels everything which jackin has made for this sandbox; undefined before its first launch. */
export const homeId = (/** @type {Sandbox} */ sandbox) =>
  readFile(path.join(sandbox.dirs.home, 'home-id'), 'utf8').then((text) => text.trim(), () => undefined);

/** What is left of the sandbox's instances: on the engine, and as state. */
export const leftovers = async (/** @type {Sandbox} */ sandbox) => {
  const id = await homeId(sandbox);
  const none = { containers: [], networks: [], volumes: [] };
  const { containers, networks, volumes } = id ? await connectEngine().labelled(`jackin.home=${id}`) : none;
  const data = await readdir(path.join(sandbox.dirs.home, 'data')).catch(() => []);
  return { containers, networks, volumes, data };
};

/** Removes all of it, whatever state it is in. Images and shared volumes are caches and stay. */
export const removeSandbox = async (/** @type {Sandbox} */ sandbox) => {
  const engine = connectEngine();
  const id = await homeId(sandbox);
  // Containers of both kinds first: a network with a container on it cannot go.
  const labels = [sandbox.label, ...(id ? [`jackin.home=${id}`] : [])];
  for (const label of labels) {
    for (const container of (await engine.labelled(label)).containers) await engine.removeContainer(container);
  }
  for (const label of labels) await engine.removeLabelled(label);
  await rm(sandbox.dirs.temp, { recursive: true, force: true });
};
