import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { JackinError, isErrno } from '../shared/errors.ts';

export type Env = Record<string, string | undefined>;

/** One place where a container engine may answer. */
export interface Endpoint {
  /** As a person would write it, such as `unix:///var/run/docker.sock`. */
  address: string;
  /** Who named it: a variable, a docker context, or the default. */
  origin: string;
  target: { socketPath: string } | { host: string; port: number };
}

const DEFAULT_SOCKET = '/var/run/docker.sock';
const DEFAULT_PORT = 2375;

const refuse = (address: string, origin: string, why: string): JackinError =>
  new JackinError('engine.unreachable', `${address} (${origin}) ${why}`, {
    hint: 'point DOCKER_HOST at a local socket (unix:///path/docker.sock) or at a plain tcp:// address',
  });

/** Reads one address in the docker client's notation. Throws for transports that jackin does not speak. */
export const parseAddress = (address: string, origin: string, tls: boolean): Endpoint => {
  if (address.startsWith('unix://')) {
    return { address, origin, target: { socketPath: address.slice('unix://'.length) || DEFAULT_SOCKET } };
  }
  const full = address.includes('://') ? address : `tcp://${address}`;
  if (!URL.canParse(full)) throw refuse(address, origin, 'is not an address of a container engine.');
  const url = new URL(full);
  if (url.protocol === 'ssh:') throw refuse(address, origin, 'needs an ssh connection, which jackin does not make.');
  if (url.protocol !== 'tcp:' && url.protocol !== 'http:') {
    throw refuse(address, origin, `uses ${url.protocol}//, which jackin does not speak.`);
  }
  if (url.hostname === '') throw refuse(address, origin, 'names no host.');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  if (tls || port === 2376) throw refuse(address, origin, 'needs TLS client certificates, which jackin does not use.');
  return { address, origin, target: { host: url.hostname.replace(/^\[|\]$/g, ''), port } };
};

const readJson = async (file: string): Promise<unknown> => {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw new JackinError('engine.unreachable', `${file} is not valid JSON`, { cause: error });
  }
};

const field = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce<unknown>((at, key) => (at !== null && typeof at === 'object' ? Reflect.get(at, key) : undefined), value);

/** The docker client files a context under the SHA-256 of its name. */
const contextEndpoint = async (config: string, name: string, origin: string): Promise<Endpoint> => {
  const id = createHash('sha256').update(name).digest('hex');
  const file = path.join(config, 'contexts', 'meta', id, 'meta.json');
  const host = field(await readJson(file), 'Endpoints', 'docker', 'Host');
  if (typeof host !== 'string' || host === '') {
    throw new JackinError('engine.unreachable', `the docker context "${name}" (${origin}) has no address in ${file}`, {
      hint: 'choose another context with DOCKER_CONTEXT, or name the engine with DOCKER_HOST',
    });
  }
  const tls = await stat(path.join(config, 'contexts', 'tls', id, 'docker')).then(
    () => true,
    () => false,
  );
  return parseAddress(host, `docker context "${name}"`, tls);
};

/**
 * Where to look for the engine, in the docker client's own order: DOCKER_HOST, the
 * current docker context, else the usual sockets. The first that answers is the one.
 */
export const findEndpoints = async (env: Env): Promise<Endpoint[]> => {
  if (env.DOCKER_HOST) return [parseAddress(env.DOCKER_HOST, 'DOCKER_HOST', Boolean(env.DOCKER_TLS_VERIFY))];

  const config = env.DOCKER_CONFIG ?? (env.HOME === undefined ? undefined : path.join(env.HOME, '.docker'));
  if (config !== undefined) {
    const file = path.join(config, 'config.json');
    const current = env.DOCKER_CONTEXT || field(await readJson(file), 'currentContext');
    if (typeof current === 'string' && current !== '' && current !== 'default') {
      return [await contextEndpoint(config, current, env.DOCKER_CONTEXT ? 'DOCKER_CONTEXT' : file)];
    }
  }

  const sockets = [DEFAULT_SOCKET];
  if (env.XDG_RUNTIME_DIR) sockets.push(path.join(env.XDG_RUNTIME_DIR, 'docker.sock'));
  if (env.HOME) sockets.push(path.join(env.HOME, '.docker', 'run', 'docker.sock'));
  return sockets.map((socketPath) => ({ address: `unix://${socketPath}`, origin: 'default', target: { socketPath } }));
};
