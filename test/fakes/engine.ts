import { PassThrough, Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';
import { extract, pack } from 'tar-stream';
import type { BuildSpec, ContainerInfo, ContainerSpec, Engine, ExecHandle, Labels } from '../../src/docker/engine.ts';
import { JackinError } from '../../src/shared/errors.ts';
import { collect } from './collect.ts';
import { fakeInspection, newPlanted, type Planted } from './engine-inspection.ts';

interface FakeFile {
  content: Buffer;
  mode: number;
}

/** Path without leading slash → file. */
type Files = Map<string, FakeFile>;

interface FakeContainer {
  info: ContainerInfo;
  spec: ContainerSpec;
  files: Files;
  networks: Set<string>;
  log: string[];
}

export interface FakeExecRequest {
  container: ContainerInfo;
  argv: string[];
  stdin: Readable;
  stdout: Writable;
  stderr: Writable;
}

export interface FakeOptions {
  /** Plays the programs that are run by exec; its result is the exit code. Without it every program is missing. */
  exec?: (request: FakeExecRequest) => number | Promise<number>;
  /** Images that are there from the beginning. */
  images?: string[];
  /** Images that a registry would have. */
  pullable?: string[];
  /** Plays a build: lines go to `say`; a text that it gives back is why the build fails. */
  build?: (dockerfile: string, say: (line: string) => void) => string | undefined;
}

export interface FakeEngine extends Engine {
  /** Name of every call that changes something, with its first argument. */
  calls: string[];
  /** Ends the main process of a container. */
  exit: (container: string, code: number) => void;
  containers: () => FakeContainer[];
  /** Text of the Dockerfile of every build. */
  dockerfiles: string[];
  /** What a search of the engine is to find. */
  planted: Planted;
  /** Files of a volume by path. */
  volumeFiles: (volume: string) => Files;
}

const failed = (message: string): JackinError => new JackinError('engine.failed', message);
const conflict = (message: string): JackinError => new JackinError('conflict', message);

export const filesOfTar = async (tar: AsyncIterable<unknown>): Promise<Files> => {
  const bytes = await collect(tar);
  const files: Files = new Map();
  const entries = extract();
  Readable.from([bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes]).pipe(entries as unknown as Writable);
  for await (const entry of entries) {
    if (entry.header.type === 'file') {
      files.set(entry.header.name.replace(/^\.?\//, ''), { content: await collect(entry), mode: entry.header.mode });
    } else {
      entry.resume();
    }
  }
  return files;
};

const tarOf = (files: [string, FakeFile][]): Readable => {
  const tar = pack();
  for (const [name, { content, mode }] of files) tar.entry({ name, mode }, content);
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
};

const hasLabels = (have: Labels, want: Labels): boolean => Object.entries(want).every(([key, value]) => have[key] === value);

const rangeOf = (cidr: string): [number, number] => {
  const [address = '', bits = '32'] = cidr.split('/');
  const first = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  return [first, first + 2 ** (32 - Number(bits)) - 1];
};

const overlap = (one: string, other: string): boolean => {
  const [a, b] = [rangeOf(one), rangeOf(other)];
  return a[0] <= b[1] && b[0] <= a[1];
};

const fakeImages = (state: State, options: FakeOptions) => {
  const add = (tag: string, labels: Labels): void => void state.images.set(tag, { id: `sha256:${state.nextId()}`, labels });
  for (const tag of options.images ?? []) add(tag, {});
  const play = (text: string, call: { onLine?: (line: string) => void }): void => {
    const instructions = text.split('\n').filter((line) => /^[A-Z]+ /.test(line));
    const failure = options.build?.(text, (line) => call.onLine?.(line));
    if (failure !== undefined) throw new JackinError('build.failed', failure);
    instructions.forEach((line, index) => call.onLine?.(`Step ${index + 1}/${instructions.length} : ${line}`));
  };
  return {
    imageId: async (reference: string) => state.images.get(reference)?.id,
    pullImage: async (reference: string) => {
      state.calls.push(`pullImage ${reference}`);
      if (!options.pullable?.includes(reference)) throw failed(`pulling ${reference}: not found`);
      add(reference, {});
    },
    importImage: async (reference: string, tar: Readable) => {
      state.calls.push(`importImage ${reference}`);
      await filesOfTar(tar);
      add(reference, {});
    },
    buildImage: async (spec: BuildSpec, call: { onLine?: (line: string) => void; signal?: AbortSignal }) => {
      state.calls.push(`buildImage ${spec.tag}`);
      if (call.signal?.aborted) throw new JackinError('interrupted', 'interrupted');
      const text = (await filesOfTar(spec.context)).get(spec.dockerfile)?.content.toString();
      if (text === undefined) throw new JackinError('build.failed', `Cannot locate specified Dockerfile: ${spec.dockerfile}`);
      state.dockerfiles.push(text);
      play(text, call);
      add(spec.tag, spec.labels);
    },
    removeImage: async (reference: string) => {
      state.calls.push(`removeImage ${reference}`);
      return state.images.delete(reference) ? ('removed' as const) : ('absent' as const);
    },
    listImages: async (labels: Labels) =>
      [...state.images].filter(([, image]) => hasLabels(image.labels, labels)).map(([tag, image]) => ({ ...image, tags: [tag] })),
  };
};

const fakeVolumes = (state: State) => {
  const info = (name: string, volume: { labels: Labels; createdAt: string }) => ({
    name,
    labels: volume.labels,
    createdAt: volume.createdAt,
  });
  return {
    createVolume: async (name: string, labels: Labels) => {
      state.calls.push(`createVolume ${name}`);
      state.volume(name, labels);
    },
    volume: async (name: string) => {
      const volume = state.volumes.get(name);
      return volume === undefined ? undefined : info(name, volume);
    },
    listVolumes: async (labels: Labels) =>
      [...state.volumes].filter(([, volume]) => hasLabels(volume.labels, labels)).map(([name, volume]) => info(name, volume)),
    removeVolume: async (name: string) => {
      state.calls.push(`removeVolume ${name}`);
      const used = state.containers.find(({ spec }) => spec.mounts.some(({ kind, source }) => kind === 'volume' && source === name));
      if (used !== undefined) throw conflict(`Volume ${name} is in use by ${used.info.name}`);
      return state.volumes.delete(name) ? ('removed' as const) : ('absent' as const);
    },
  };
};

const BUILT_IN_NETWORKS = ['bridge', 'host', 'none'];

const fakeNetworks = (state: State) => ({
  networkSubnets: async () => ['172.17.0.0/16', ...[...state.networks.values()].map(({ subnet }) => subnet)],
  createNetwork: async ({ name, labels, subnet }: { name: string; labels: Labels; subnet: string }) => {
    state.calls.push(`createNetwork ${name}`);
    if (state.networks.has(name)) throw conflict(`network with name ${name} already exists`);
    if ([...state.networks.values()].some((other) => overlap(other.subnet, subnet))) return 'overlaps' as const;
    state.networks.set(name, { labels, subnet });
    return 'created' as const;
  },
  connectNetwork: async (network: string, container: string) => {
    state.calls.push(`connectNetwork ${network}`);
    if (!state.networks.has(network)) throw failed(`network ${network} not found`);
    state.get(container).networks.add(network);
  },
  listNetworks: async (labels: Labels) =>
    [...state.networks].filter(([, network]) => hasLabels(network.labels, labels)).map(([name, { labels: own }]) => ({ name, labels: own })),
  networkExists: async (name: string) => BUILT_IN_NETWORKS.includes(name) || state.networks.has(name),
  removeNetwork: async (name: string) => {
    state.calls.push(`removeNetwork ${name}`);
    if (state.containers.some(({ info, networks }) => info.running && networks.has(name))) throw failed(`network ${name} has active endpoints`);
    return state.networks.delete(name) ? ('removed' as const) : ('absent' as const);
  },
});

const fakeContainers = (state: State) => ({
  createContainer: async (spec: ContainerSpec) => {
    state.calls.push(`createContainer ${spec.name}`);
    if (!state.hasImage(spec.image)) throw failed(`No such image: ${spec.image}`);
    if (state.containers.some(({ info }) => info.name === spec.name)) throw conflict(`The container name ${spec.name} is already in use`);
    for (const { kind, source } of spec.mounts) if (kind === 'volume') state.volume(source, {});
    const info: ContainerInfo = { id: state.nextId(), name: spec.name, labels: spec.labels, image: spec.image, running: false, binds: spec.mounts.filter((mount) => mount.kind === 'bind') };
    state.containers.push({ info, spec, files: new Map(), networks: new Set([spec.network]), log: [] });
    return info.id;
  },
  startContainer: async (container: string) => {
    state.calls.push(`startContainer ${container}`);
    const { info, spec } = state.get(container);
    if (!BUILT_IN_NETWORKS.includes(spec.network) && !state.networks.has(spec.network)) throw failed(`network ${spec.network} not found`);
    delete info.exitCode;
    info.running = true;
  },
  stopContainer: async (container: string) => {
    state.calls.push(`stopContainer ${container}`);
    const { info } = state.get(container);
    if (info.running) Object.assign(info, { running: false, exitCode: 143, oomKilled: false });
  },
  removeContainer: async (container: string) => {
    state.calls.push(`removeContainer ${container}`);
    const found = state.find(container);
    if (found === undefined) return 'absent' as const;
    state.containers.splice(state.containers.indexOf(found), 1);
    return 'removed' as const;
  },
  container: async (container: string) => {
    const found = state.find(container);
    return found === undefined ? undefined : { ...found.info };
  },
  listContainers: async (labels: Labels) =>
    state.containers.filter(({ info }) => hasLabels(info.labels, labels)).map(({ info }) => ({ ...info })),
  listVolumeUsers: async () =>
    state.containers.flatMap(({ info, spec }) => {
      const volumes = spec.mounts.flatMap(({ kind, source }) => (kind === 'volume' ? [source] : []));
      return volumes.length === 0 ? [] : [{ container: { ...info }, volumes }];
    }),
  containerLogs: async (container: string, lines: number) => (state.find(container)?.log ?? []).slice(-lines).join('\n'),
});

/** The files that a path of a container belongs to, and the path among them. */
const place = (state: State, container: FakeContainer, path: string): { files: Files; inside: string } => {
  const mount = container.spec.mounts.find(({ kind, target }) => kind === 'volume' && (path === target || path.startsWith(`${target}/`)));
  if (mount === undefined) return { files: container.files, inside: path.replace(/^\/|\/$/g, '') };
  return { files: state.volume(mount.source, {}).files, inside: path.slice(mount.target.length).replace(/^\/|\/$/g, '') };
};

const fakeArchives = (state: State) => ({
  putArchive: async (container: string, path: string, tar: Readable) => {
    state.calls.push(`putArchive ${container}`);
    const { files, inside } = place(state, state.get(container), path);
    for (const [name, file] of await filesOfTar(tar)) files.set(inside === '' ? name : `${inside}/${name}`, file);
  },
  getArchive: async (container: string, path: string) => {
    const found = state.find(container);
    if (found === undefined) return undefined;
    const { files, inside } = place(state, found, path);
    const base = path.split('/').at(-1) ?? '';
    const single = files.get(inside);
    if (single !== undefined) return tarOf([[base, single]]);
    const below = [...files].filter(([name]) => name.startsWith(inside === '' ? '' : `${inside}/`));
    return below.length === 0 ? undefined : tarOf(below.map(([name, file]) => [`${base}${name.slice(inside.length)}`, file]));
  },
});

const fakeExec =
  (state: State, options: FakeOptions) =>
  async (container: string, argv: string[]): Promise<ExecHandle> => {
    const { info } = state.get(container);
    if (!info.running) throw failed(`Container ${info.name} is not running`);
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const play = options.exec ?? (() => 126);
    const done = Promise.resolve(play({ container: { ...info }, argv, stdin, stdout, stderr }));
    const ended = done.finally(() => {
      stdout.end();
      stderr.end();
    });
    ended.catch(() => undefined);
    const exitCode = async (): Promise<number> => {
      await Promise.all([finished(stdout, { readable: false }), finished(stderr, { readable: false })]);
      return await done;
    };
    return { stdin, stdout, stderr, exitCode };
  };

const newState = () => {
  let id = 0;
  let clock = 0;
  const images = new Map<string, { id: string; labels: Labels }>();
  const volumes = new Map<string, { labels: Labels; createdAt: string; files: Files }>();
  const containers: FakeContainer[] = [];
  const find = (key: string): FakeContainer | undefined => containers.find(({ info }) => info.id === key || info.name === key);
  return {
    images,
    volumes,
    containers,
    networks: new Map<string, { labels: Labels; subnet: string }>(),
    calls: [] as string[],
    dockerfiles: [] as string[],
    nextId: () => (id += 1).toString(16).padStart(64, '0'),
    hasImage: (reference: string) => images.has(reference) || [...images.values()].some((image) => image.id === reference),
    find,
    get: (key: string): FakeContainer => {
      const found = find(key);
      if (found === undefined) throw failed(`No such container: ${key}`);
      return found;
    },
    volume: (name: string, labels: Labels) => {
      const found = volumes.get(name) ?? { labels, createdAt: new Date((clock += 1000)).toISOString(), files: new Map() };
      volumes.set(name, found);
      return found;
    },
  };
};

type State = ReturnType<typeof newState>;

/** A container engine in memory. Nothing runs in it: programs, builds and registries are what the test says. */
export const fakeEngine = (options: FakeOptions = {}): FakeEngine => {
  const state = newState();
  const planted = newPlanted();
  return {
    apiVersion: '1.41',
    arch: 'x64',
    ...fakeImages(state, options),
    ...fakeVolumes(state),
    ...fakeNetworks(state),
    ...fakeContainers(state),
    ...fakeArchives(state),
    ...fakeInspection(state, planted),
    planted,
    exec: fakeExec(state, options),
    calls: state.calls,
    dockerfiles: state.dockerfiles,
    containers: () => state.containers,
    volumeFiles: (volume) => state.volume(volume, {}).files,
    exit: (container, code) => void Object.assign(state.get(container).info, { running: false, exitCode: code, oomKilled: false }),
  };
};
