// The container engine's API over its Unix socket, with Node's own HTTP client:
// scripts and tests look at the engine with something that is not the product,
// and that works before anything is installed.
import http from 'node:http';
import process from 'node:process';

const API = '/v1.41';
const DEFAULT_SOCKET = '/var/run/docker.sock';

/** Path of the engine's socket; a DOCKER_HOST that is no Unix socket cannot be used here. */
export const engineSocket = (/** @type {NodeJS.ProcessEnv} */ env = process.env) => {
  const host = env.DOCKER_HOST;
  if (!host) return DEFAULT_SOCKET;
  if (!host.startsWith('unix://')) throw new Error(`DOCKER_HOST is ${host}; only unix:// sockets work here`);
  return host.slice('unix://'.length);
};

/** The two streams that the engine has interleaved, put together again as text. */
const demultiplex = (/** @type {Buffer} */ raw) => {
  const streams = { stdout: '', stderr: '' };
  for (let at = 0; at + 8 <= raw.length; ) {
    const end = at + 8 + raw.readUInt32BE(at + 4);
    streams[raw[at] === 2 ? 'stderr' : 'stdout'] += raw.subarray(at + 8, end).toString('utf8');
    at = end;
  }
  return streams;
};

const labelFilter = (/** @type {string[]} */ labels) => encodeURIComponent(JSON.stringify({ label: labels }));

/**
 * A client of the engine behind `DOCKER_HOST`, or behind the default socket.
 * Every call but `ping` throws when the engine refuses, with its own words.
 */
export const connectEngine = (/** @type {NodeJS.ProcessEnv} */ env = process.env) => {
  const socketPath = engineSocket(env);

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ json?: unknown, tar?: Buffer | import('node:stream').Readable, accept?: number[], timeout?: number }} [options]
   *   `accept`: statuses besides 2xx and 3xx that are an answer; `timeout` in milliseconds
   * @returns {Promise<{ status: number, body: Buffer }>}
   */
  const call = (method, path, { json, tar, accept = [], timeout = 120_000 } = {}) =>
    new Promise((resolve, reject) => {
      const type = tar ? 'application/x-tar' : 'application/json';
      const request = http.request({ socketPath, method, path: API + path, headers: { 'content-type': type }, timeout });
      request.on('timeout', () => request.destroy(new Error(`the engine gave no answer to ${method} ${path}`)));
      request.on('error', reject);
      request.on('response', (response) => {
        const chunks = /** @type {Buffer[]} */ ([]);
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const body = Buffer.concat(chunks);
          if (status < 400 || accept.includes(status)) resolve({ status, body });
          else reject(new Error(`engine: ${method} ${path}: ${status} ${body.toString('utf8').trim()}`));
        });
      });
      if (tar && !Buffer.isBuffer(tar)) tar.on('error', reject).pipe(request);
      else request.end(tar ?? (json === undefined ? undefined : JSON.stringify(json)));
    });

  const get = async (/** @type {string} */ path) => JSON.parse((await call('GET', path)).body.toString('utf8'));
  /** @type {(path: string, json?: unknown) => Promise<any>} */
  const post = async (path, json) => {
    const { body } = await call('POST', path, { json });
    return body.length ? JSON.parse(body.toString('utf8')) : undefined;
  };
  const remove = async (/** @type {string} */ path) => (await call('DELETE', path, { accept: [404] })).status !== 404;

  return {
    call,
    get,
    post,

    /**
     * The answer while it still comes, for what is too large to hold.
     * @returns {Promise<import('node:http').IncomingMessage>}
     */
    stream: (/** @type {string} */ path) =>
      new Promise((resolve, reject) => {
        http.get({ socketPath, path: API + path }, (response) => {
          if ((response.statusCode ?? 0) < 400) resolve(response);
          else reject(new Error(`engine: GET ${path}: ${response.statusCode}`));
        }).on('error', reject);
      }),

    /** Whether an engine answers at all. */
    ping: () => call('GET', '/_ping', { timeout: 5000 }).then(() => true, () => false),

    removeContainer: (/** @type {string} */ id) => remove(`/containers/${id}?force=1&v=1`),
    removeNetwork: (/** @type {string} */ id) => remove(`/networks/${id}`),
    removeVolume: (/** @type {string} */ name) => remove(`/volumes/${name}`),
    removeImage: (/** @type {string} */ name) => remove(`/images/${name}`),

    /** Creates and starts it; the id. */
    async run(/** @type {string} */ name, /** @type {object} */ spec) {
      const { Id } = await post(`/containers/create?name=${name}`, spec);
      await post(`/containers/${Id}/start`);
      return /** @type {string} */ (Id);
    },

    async logs(/** @type {string} */ id) {
      return demultiplex((await call('GET', `/containers/${id}/logs?stdout=1&stderr=1`)).body);
    },

    /** Runs a program in a container to its end, without stdin. */
    async exec(/** @type {string} */ id, /** @type {string[]} */ argv, options = {}) {
      const spec = { Cmd: argv, AttachStdout: true, AttachStderr: true, ...options };
      const { Id } = await post(`/containers/${id}/exec`, spec);
      const { body } = await call('POST', `/exec/${Id}/start`, { json: { Detach: false, Tty: false } });
      const { ExitCode } = await get(`/exec/${Id}/json`);
      return { code: /** @type {number} */ (ExitCode), ...demultiplex(body) };
    },

    /**
     * Containers (stopped ones too), networks and volumes that have all these labels.
     * @param {string[]} labels
     * @returns {Promise<{ containers: string[], networks: string[], volumes: string[] }>}
     */
    async labelled(...labels) {
      const filters = labelFilter(labels);
      const [containers, networks, volumes] = await Promise.all([
        get(`/containers/json?all=1&filters=${filters}`),
        get(`/networks?filters=${filters}`),
        get(`/volumes?filters=${filters}`),
      ]);
      return {
        containers: containers.map((/** @type {{ Id: string }} */ { Id }) => Id),
        networks: networks.map((/** @type {{ Id: string }} */ { Id }) => Id),
        volumes: (volumes.Volumes ?? []).map((/** @type {{ Name: string }} */ { Name }) => Name),
      };
    },

    /**
     * Removes every container and network that has all these labels.
     * @param {string[]} labels
     */
    async removeLabelled(...labels) {
      const { containers, networks } = await this.labelled(...labels);
      for (const id of containers) await this.removeContainer(id);
      for (const id of networks) await this.removeNetwork(id);
    },
  };
};
