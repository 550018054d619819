import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { containerCalls } from './docker-containers.ts';
import { execIn } from './docker-exec.ts';
import { imageCalls } from './docker-images.ts';
import { inspectionCalls } from './docker-inspection.ts';
import { storageCalls } from './docker-storage.ts';
import { bounded, engineMessage } from './engine-call.ts';
import type { Engine } from './engine.ts';
import { findEndpoints, type Endpoint, type Env } from './find-endpoint.ts';

/** Docker 20.10. Older engines lack things that a launch relies on. */
const MINIMUM_API = '1.41';
const PROBE_MS = 10_000;

const ARCHITECTURES: Readonly<Record<string, Engine['arch']>> = { amd64: 'x64', x86_64: 'x64', arm64: 'arm64', aarch64: 'arm64' };

const isOlder = (version: string, than: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantMajor = 0, wantMinor = 0] = than.split('.').map(Number);
  return major < wantMajor || (major === wantMajor && minor < wantMinor);
};

const open = async (endpoint: Endpoint): Promise<Docker> => {
  const { default: Client } = await import('dockerode');
  // What is undefined here would otherwise come from the client's own look at the process environment.
  const unset = { ca: undefined, cert: undefined, key: undefined, timeout: undefined, socketPath: undefined, host: undefined };
  const options: object = { ...unset, protocol: 'http', pathPrefix: '/', ...endpoint.target };
  return new Client(options);
};

const whyNot = (error: JackinError): string => {
  const cause = error.cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'ENOENT') return 'there is no such socket';
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return cause === undefined ? error.message : engineMessage(cause);
};

const unreachable = (tried: { endpoint: Endpoint; error: JackinError }[]): JackinError => {
  const reasons = tried.map(({ endpoint, error }) => `  ${endpoint.address} (${endpoint.origin}): ${whyNot(error)}`);
  const denied = tried.some(({ error }) => whyNot(error) === 'permission denied');
  return new JackinError('engine.unreachable', ['no container engine answers; tried:', ...reasons].join('\n'), {
    hint: denied
      ? 'your user may not open the socket: add it to the group docker (sudo usermod -aG docker "$USER"), then log in again'
      : 'install and start Docker, or point DOCKER_HOST at the engine',
    cause: tried[0]?.error,
  });
};

interface Answer {
  ApiVersion?: unknown;
  Arch?: unknown;
  Os?: unknown;
}

const describe = (docker: Docker, { address }: Endpoint, answer: Answer): Engine => {
  const { ApiVersion: apiVersion, Arch, Os } = answer;
  if (typeof apiVersion !== 'string' || !/^\d+\.\d+/.test(apiVersion)) {
    throw new JackinError('engine.unreachable', `what answers at ${address} is not a container engine`, {
      hint: 'check DOCKER_HOST and the current docker context',
    });
  }
  if (isOlder(apiVersion, MINIMUM_API)) {
    throw new JackinError(
      'engine.too-old',
      `the container engine at ${address} speaks API ${apiVersion}; jackin needs ${MINIMUM_API} or newer`,
      { hint: 'upgrade to Docker 20.10 or newer' },
    );
  }
  const arch = ARCHITECTURES[String(Arch)];
  if (Os !== 'linux' || arch === undefined) {
    const message = `the container engine at ${address} runs ${String(Os)}/${String(Arch)} containers; jackin needs linux on amd64 or arm64`;
    throw new JackinError('engine.failed', message);
  }
  return {
    apiVersion,
    arch,
    ...imageCalls(docker),
    ...storageCalls(docker),
    ...containerCalls(docker),
    ...inspectionCalls(docker),
    exec: async (container, argv) => await execIn(docker, container, argv),
  };
};

/**
 * The first engine that answers among the places that the environment names.
 * Throws `engine.unreachable` with every place and reason, or `engine.too-old`.
 */
export const connectEngine = async (env: Env): Promise<Engine> => {
  const tried: { endpoint: Endpoint; error: JackinError }[] = [];
  for (const endpoint of await findEndpoints(env)) {
    const docker = await open(endpoint);
    let answer: Answer;
    try {
      answer = await bounded('asking for its version', async () => await docker.version(), PROBE_MS);
    } catch (error) {
      if (!(error instanceof JackinError)) throw error;
      tried.push({ endpoint, error });
      continue;
    }
    return describe(docker, endpoint, answer);
  }
  throw unreachable(tried);
};
