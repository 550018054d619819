import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { labelFilter } from './docker-storage.ts';
import { bounded, boundedOr, engineError, engineMessage, listOf, plainLine, statusOf, withSignal } from './engine-call.ts';
import type { BindMount, ContainerInfo, ContainerSpec, Engine, Removal } from './engine.ts';
import { nodeReadable } from './node-readable.ts';

type ContainerCalls = Pick<
  Engine,
  | 'createContainer'
  | 'startContainer'
  | 'stopContainer'
  | 'removeContainer'
  | 'container'
  | 'listContainers'
  | 'listVolumeUsers'
  | 'containerLogs'
  | 'putArchive'
  | 'getArchive'
>;

/** After the last byte of an archive: the engine still writes what it has buffered. */
const UNPACK_MS = 120_000;

const mounts = (spec: ContainerSpec): Docker.MountSettings[] =>
  spec.mounts.map((mount) => ({
    Type: mount.kind,
    Source: mount.source,
    Target: mount.target,
    ReadOnly: mount.readonly,
    // Volumes hold what we put there, never a copy of what the image has at that path.
    ...(mount.kind === 'volume' ? { VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } } } : {}),
  }));

const createOptions = (spec: ContainerSpec): Docker.ContainerCreateOptions => ({
  name: spec.name,
  Hostname: spec.hostname,
  Image: spec.image,
  Entrypoint: spec.argv,
  Cmd: [],
  User: spec.user,
  WorkingDir: spec.workdir,
  Env: spec.env,
  Labels: { ...spec.labels },
  // A role's own health check would run its program beside ours for as long as the container lives.
  Healthcheck: { Test: ['NONE'] },
  HostConfig: {
    Mounts: mounts(spec),
    Tmpfs: spec.tmpfs,
    NetworkMode: spec.network,
    Init: spec.init,
    CapDrop: spec.capDrop,
    SecurityOpt: spec.noNewPrivileges ? ['no-new-privileges'] : [],
    PidsLimit: spec.pidsLimit,
  },
});

/** A mount as the engine lists it; listing and inspection agree on these fields. */
interface ListedMount {
  Type?: string;
  Source?: string;
  Destination?: string;
  RW?: boolean;
}

/** Counts a mount as writable unless the engine says that it is not. */
const bindsOf = (found: readonly ListedMount[] | null | undefined): BindMount[] =>
  (found ?? []).flatMap(({ Type, Source, Destination, RW }) =>
    Type === 'bind' && Source !== undefined ? [{ kind: 'bind' as const, source: Source, target: Destination ?? '', readonly: RW === false }] : [],
  );

const containerInfo = (found: Docker.ContainerInspectInfo): ContainerInfo => {
  const { State: state, Config: config } = found;
  const ended = state.Status === 'exited' || state.Status === 'dead';
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ''),
    labels: config.Labels ?? {},
    image: config.Image,
    running: state.Running,
    binds: bindsOf(found.Mounts),
    ...(state.Status === 'removing' && { removing: true }),
    ...(ended ? { exitCode: state.ExitCode, oomKilled: state.OOMKilled } : {}),
  };
};

/** A listing has no field for the exit code, only its text, such as `Exited (137) 2 minutes ago`. */
const listedInfo = (found: Docker.ContainerInfo): ContainerInfo => {
  const code = /^Exited \((\d+)\)/.exec(found.Status)?.[1];
  return {
    id: found.Id,
    name: (found.Names[0] ?? '').replace(/^\//, ''),
    labels: found.Labels ?? {},
    image: found.Image,
    running: ['running', 'paused', 'restarting'].includes(found.State),
    binds: bindsOf(found.Mounts),
    ...(code === undefined ? {} : { exitCode: Number(code) }),
  };
};

/** The engine's multiplexed log, each piece with eight bytes of header, as plain lines. */
const logText = (log: Buffer): string => {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= log.length; ) {
    const length = log.readUInt32BE(at + 4);
    pieces.push(log.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(pieces).toString('utf8').split('\n').map(plainLine).join('\n');
};

const inspect = async (docker: Docker, container: string): Promise<ContainerInfo | undefined> =>
  await boundedOr(`looking up container ${container}`, 404, undefined, async (signal) =>
    containerInfo(await docker.getContainer(container).inspect(withSignal({}, signal))),
  );

const create = async (docker: Docker, spec: ContainerSpec): Promise<string> =>
  await bounded(`creating container ${spec.name}`, async (signal) => {
    try {
      const created = await docker.createContainer(withSignal(createOptions(spec), signal));
      return created.id;
    } catch (error) {
      if (statusOf(error) !== 409) throw error;
      throw new JackinError('conflict', `creating container ${spec.name}: ${engineMessage(error)}`, { cause: error });
    }
  });

const remove = async (docker: Docker, container: string): Promise<Removal> => {
  const what = `removing container ${container}`;
  const answer = await boundedOr<'removed' | 'busy', 'absent'>(what, 404, 'absent', async (signal) => {
    try {
      await docker.getContainer(container).remove(withSignal({ force: true, v: true }, signal));
      return 'removed';
    } catch (error) {
      if (statusOf(error) !== 409) throw error;
      return 'busy';
    }
  });
  if (answer !== 'busy') return answer;
  // Somebody else is removing it: it is gone when the engine no longer knows it.
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await inspect(docker, container)) === undefined) return 'removed';
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new JackinError('engine.failed', `${what}: another removal of it does not finish`);
};

const putArchive = async (docker: Docker, container: string, path: string, source: Readable): Promise<void> => {
  const tar = nodeReadable(source);
  const what = `writing to ${path} of container ${container}`;
  const done = docker.getContainer(container).putArchive(tar, { path });
  // However long the source takes, it has limits of its own; the engine's share begins at its end.
  const sent = finished(tar, { writable: false });
  try {
    await Promise.race([done, sent]);
    await bounded(what, async () => await done, UNPACK_MS);
  } catch (error) {
    tar.destroy();
    done.catch(() => undefined);
    sent.catch(() => undefined);
    throw engineError(what, error);
  }
};

export const containerCalls = (docker: Docker): ContainerCalls => ({
  createContainer: async (spec) => await create(docker, spec),

  startContainer: async (container) => {
    await boundedOr(`starting container ${container}`, 304, undefined, async (signal) =>
      await docker.getContainer(container).start(withSignal({}, signal)),
    );
  },

  stopContainer: async (container, seconds) => {
    const limit = (seconds + 30) * 1000;
    await bounded(
      `stopping container ${container}`,
      async (signal) => {
        await docker
          .getContainer(container)
          .stop(withSignal({ t: seconds }, signal))
          .catch((error: unknown) => {
            if (statusOf(error) !== 304) throw error;
          });
      },
      limit,
    );
  },

  removeContainer: async (container) => await remove(docker, container),
  container: async (container) => await inspect(docker, container),

  listContainers: async (labels) => {
    return await bounded('listing containers', async (signal) =>
      listOf(await docker.listContainers(withSignal({ all: true, filters: labelFilter(labels) }, signal))).map(listedInfo),
    );
  },

  listVolumeUsers: async () => {
    return await bounded('listing containers', async (signal) =>
      listOf(await docker.listContainers(withSignal({ all: true }, signal))).flatMap((found) => {
        const volumes = (found.Mounts ?? []).flatMap(({ Type, Name }) => (Type === 'volume' && Name !== undefined ? [Name] : []));
        return volumes.length === 0 ? [] : [{ container: listedInfo(found), volumes }];
      }),
    );
  },

  containerLogs: async (container, lines) =>
    await boundedOr(`reading the log of container ${container}`, 404, '', async (signal) => {
      const options = { stdout: true, stderr: true, follow: false as const, tail: lines };
      return logText(await docker.getContainer(container).logs(withSignal(options, signal)));
    }),

  putArchive: async (container, path, tar) => {
    await putArchive(docker, container, path, tar);
  },

  getArchive: async (container, path) =>
    await boundedOr(`reading ${path} of container ${container}`, 404, undefined, async (signal) => {
      const body = await docker.getContainer(container).getArchive(withSignal({ path }, signal));
      return body as Readable;
    }),
});
