import type { Duplex, Readable } from 'node:stream';

/**
 * What jackin needs of a container engine, and nothing more. One implementation
 * talks to Docker (`docker-engine.ts`), one lives in `test/fakes/`; the contract
 * suite runs on both.
 *
 * Absence is an answer, not an error: `undefined` or `'absent'`. Everything else
 * that goes wrong is a `JackinError` with an `engine.*` or `build.failed` code.
 */
export interface Engine extends Inspection {
  readonly apiVersion: string;
  /** Architecture of the machine that runs the containers, in Node's words. */
  readonly arch: 'x64' | 'arm64';

  /** Id of a local image. Never asks a registry. */
  imageId(reference: string): Promise<string | undefined>;
  pullImage(reference: string, options: LongCall): Promise<void>;
  /** Makes an image out of one root file system; `changes` are Dockerfile lines such as `ENV`. */
  importImage(reference: string, tar: Readable, changes: string[], options: LongCall): Promise<void>;
  buildImage(spec: BuildSpec, options: LongCall): Promise<void>;
  removeImage(reference: string): Promise<Removal>;
  listImages(labels: Labels): Promise<{ id: string; tags: string[]; labels: Labels }[]>;

  createVolume(name: string, labels: Labels): Promise<void>;
  volume(name: string): Promise<VolumeInfo | undefined>;
  listVolumes(labels: Labels): Promise<VolumeInfo[]>;
  removeVolume(name: string): Promise<Removal>;

  /** The subnets (CIDR) that networks of the engine already use. */
  networkSubnets(): Promise<string[]>;
  /** `'overlaps'`: something else uses a part of the subnet by now, and nothing was made. */
  createNetwork(spec: { name: string; labels: Labels; subnet: string }): Promise<'created' | 'overlaps'>;
  connectNetwork(network: string, container: string): Promise<void>;
  listNetworks(labels: Labels): Promise<{ name: string; labels: Labels }[]>;
  networkExists(name: string): Promise<boolean>;
  removeNetwork(name: string): Promise<Removal>;

  /** Its id. `conflict` when the name is taken: creating under a fixed name is an engine-wide lock. */
  createContainer(spec: ContainerSpec): Promise<string>;
  startContainer(container: string): Promise<void>;
  /** Asks it to stop, kills it after `seconds`. */
  stopContainer(container: string, seconds: number): Promise<void>;
  /** Removes it and its anonymous volumes, running or not. */
  removeContainer(container: string): Promise<Removal>;
  container(container: string): Promise<ContainerInfo | undefined>;
  /** Running and stopped ones. */
  listContainers(labels: Labels): Promise<ContainerInfo[]>;
  /** Every container of the engine that has volumes mounted, running or not and whoever made it. */
  listVolumeUsers(): Promise<VolumeUser[]>;
  containerLogs(container: string, lines: number): Promise<string>;

  /** Unpacks a tar (gzip is fine) at `path` of a container. Never for secrets: the engine may keep the bytes. */
  putArchive(container: string, path: string, tar: Readable): Promise<void>;
  /** A tar of `path`, or undefined when there is no such path. */
  getArchive(container: string, path: string): Promise<Readable | undefined>;
  /** Runs a program without a terminal; its three streams and its exit code. */
  exec(container: string, argv: string[]): Promise<ExecHandle>;
}

/**
 * What anybody who may talk to the engine can read of its things. The answers may hold what
 * should not be there: they are to be searched, not printed.
 */
export interface Inspection {
  /** All that the engine says of something, as it says it; undefined when there is no such thing. */
  inspect(kind: InspectedKind, name: string, options: InspectOptions): Promise<object | undefined>;
  /** Command line of every process of a running container. */
  commandLines(container: string, options: InspectOptions): Promise<string[]>;
  /** What happened to a container since a time that the engine itself has given, one text for each; engines forget old ones. */
  events(container: string, since: string, options: InspectOptions): Promise<string[]>;
  /** Everything in its log, as it was written. */
  wholeLog(container: string, options: InspectOptions): Promise<Readable>;
  /** Tar of the container's own file system, without what is mounted into it. */
  exportContainer(container: string, options: InspectOptions): Promise<Readable>;
  /** Tar of an image: its description and the tars of its layers. */
  saveImage(reference: string, options: InspectOptions): Promise<Readable>;
  /** Bytes of every volume by its name. Engines add them up anew each time, which may take long. */
  volumeSizes(options: InspectOptions): Promise<ReadonlyMap<string, number>>;
}

export type InspectedKind = 'container' | 'image' | 'history of image' | 'network' | 'volume';

/** A stream that was given out ends with the signal, too. */
export interface InspectOptions {
  signal: AbortSignal;
}

export type Labels = Readonly<Record<string, string>>;
export type Removal = 'removed' | 'absent';

/** How many there are by now, and in all when somebody knows. */
export interface ByteCount {
  done: number;
  total?: number;
}

/** How far a call is: bytes, or the step of a build. The lines that follow without a step are what that step prints. */
export interface LineProgress extends Partial<ByteCount> {
  stage?: { number: number; count: number };
}

/** Reports what a long call does, and can be told to stop. */
export interface LongCall {
  /** The same line may come again with other counts. */
  onLine?: (line: string, progress?: LineProgress) => void;
  signal?: AbortSignal;
}

export interface BuildSpec {
  /** Tar of the build context. */
  context: Readable;
  /** Path of the Dockerfile inside the context. */
  dockerfile: string;
  tag: string;
  labels: Labels;
  buildArgs?: Record<string, string>;
  /** The classic one where nothing is said. */
  builder?: 'classic' | 'buildkit';
  /** Runs every step, also those that the engine remembers. */
  noCache?: boolean;
}

export interface VolumeInfo {
  name: string;
  labels: Labels;
  /** As the engine gives it: together with the name it identifies a volume, since a name can be used again. */
  createdAt: string;
}

export interface ContainerInfo {
  id: string;
  name: string;
  labels: Labels;
  image: string;
  running: boolean;
  /** Directories and files of the host that are mounted, as the engine names them; an engine in a virtual machine has other paths. */
  binds: readonly BindMount[];
  /** The engine is about to take it from its list. */
  removing?: boolean;
  /** Only when it has ended. */
  exitCode?: number;
  oomKilled?: boolean;
}

export interface VolumeUser {
  container: ContainerInfo;
  /** Names. */
  volumes: string[];
}

export interface BindMount {
  kind: 'bind';
  source: string;
  target: string;
  readonly: boolean;
}

export interface VolumeMount {
  kind: 'volume';
  source: string;
  target: string;
  readonly: boolean;
}

export interface ContainerSpec {
  name: string;
  hostname: string;
  image: string;
  /** Replaces the image's ENTRYPOINT and CMD. */
  argv: string[];
  /** `uid:gid`. */
  user: string;
  workdir: string;
  /** `NAME=value`; a bare `NAME` removes what the image sets. Never a secret. */
  env: string[];
  labels: Labels;
  mounts: (BindMount | VolumeMount)[];
  /** Target → mount options. */
  tmpfs: Record<string, string>;
  network: string;
  /** Runs the engine's init as process 1, which reaps orphans. */
  init: boolean;
  capDrop: string[];
  noNewPrivileges: boolean;
  pidsLimit: number;
}

export interface ExecHandle {
  /** Towards the program's stdin; `end()` closes it. */
  stdin: Duplex;
  stdout: Readable;
  stderr: Readable;
  /** After the streams have ended. */
  exitCode(): Promise<number>;
}
