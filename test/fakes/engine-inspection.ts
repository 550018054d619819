import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import type { ContainerInfo, ContainerSpec, Inspection, InspectOptions, Labels } from '../../src/docker/engine.ts';
import { JackinError } from '../../src/shared/errors.ts';

interface FakeFile {
  content: Buffer;
  mode: number;
}

interface InspectedContainer {
  info: ContainerInfo;
  spec: ContainerSpec;
  files: Map<string, FakeFile>;
  networks: Set<string>;
  log: string[];
}

/** What the fake engine tells of its things, besides what it knows of them: the leaks that a test plants. */
export interface Planted {
  /** Command line of every process, by name of the container. */
  processes: Map<string, string[]>;
  events: Map<string, string[]>;
  /** Of an image by its reference: more lines of its history, and the files of each layer. */
  history: Map<string, string[]>;
  layers: Map<string, Record<string, string>[]>;
  /** Calls that fail, by name, and with what message. */
  failing: Map<keyof Inspection, string>;
}

interface State {
  images: Map<string, { id: string; labels: Labels }>;
  volumes: Map<string, { labels: Labels; files: Map<string, FakeFile> }>;
  networks: Map<string, { labels: Labels; subnet: string }>;
  get: (key: string) => InspectedContainer;
  find: (key: string) => InspectedContainer | undefined;
}

export const tarWith = (files: Iterable<[string, string | Buffer]>): Readable => {
  const tar = pack();
  for (const [name, content] of files) tar.entry({ name }, content);
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
};

const bytesOf = async (tar: Readable): Promise<Buffer> => Buffer.concat(await tar.toArray());

const describe = ({ info, spec, networks }: InspectedContainer, image: string | undefined): object => ({
  Id: info.id,
  Name: `/${info.name}`,
  Created: '2026-11-21T10:00:00.000000000Z',
  Image: image,
  Config: { Env: spec.env, Labels: spec.labels, Cmd: spec.argv, User: spec.user },
  Mounts: spec.mounts.map(({ kind, source, target }) => (kind === 'volume' ? { Type: kind, Name: source, Destination: target } : { Type: kind, Source: source, Destination: target })),
  NetworkSettings: { Networks: Object.fromEntries([...networks].map((name) => [name, {}])) },
});

export const newPlanted = (): Planted => ({ processes: new Map(), events: new Map(), history: new Map(), layers: new Map(), failing: new Map() });

/** The part of the fake engine that a search reads. */
export const fakeInspection = (state: State, planted: Planted): Inspection => {
  const referenceOf = (image: string): string | undefined => [...state.images].find(([reference, { id }]) => image === reference || image === id)?.[0];
  const fail = (call: keyof Inspection, { signal }: InspectOptions): void => {
    if (signal.aborted) throw new JackinError('interrupted', 'interrupted');
    const message = planted.failing.get(call);
    if (message !== undefined) throw new JackinError('engine.failed', message);
  };
  const found = (name: string, labels: Labels | undefined): object | undefined => labels && { Name: name, Labels: labels };
  return {
    inspect: async (kind, name, options) => {
      fail('inspect', options);
      const image = referenceOf(name);
      switch (kind) {
        case 'container': {
          const container = state.find(name);
          return container && describe(container, state.images.get(container.info.image)?.id);
        }
        case 'image':
          return image === undefined ? undefined : { Id: state.images.get(image)!.id, Size: 270_000_000, Created: '2026-11-21T10:00:00Z', Config: { Labels: state.images.get(image)!.labels } };
        case 'history of image':
          return image === undefined ? undefined : ['FROM scratch', ...(planted.history.get(image) ?? [])].map((line) => ({ CreatedBy: line }));
        case 'network':
          return name === 'bridge' || name === 'none' ? { Name: name } : found(name, state.networks.get(name)?.labels);
        case 'volume':
          return found(name, state.volumes.get(name)?.labels);
        default:
          return kind satisfies never;
      }
    },
    commandLines: async (container, options) => {
      fail('commandLines', options);
      const { info, spec } = state.get(container);
      if (!info.running) throw new JackinError('engine.failed', `Container ${info.id} is not running`);
      return [spec.argv.join(' '), ...(planted.processes.get(info.name) ?? [])];
    },
    events: async (container, _since, options) => {
      fail('events', options);
      const { info } = state.get(container);
      return [JSON.stringify({ Action: 'create', Actor: { ID: info.id } }), ...(planted.events.get(info.name) ?? [])];
    },
    wholeLog: async (container, options) => {
      fail('wholeLog', options);
      return Readable.from(state.get(container).log.map((line) => Buffer.from(`${line}\n`)), { objectMode: false });
    },
    exportContainer: async (container, options) => {
      fail('exportContainer', options);
      return tarWith([...state.get(container).files].map(([name, { content }]) => [name, content]));
    },
    saveImage: async (reference, options) => {
      fail('saveImage', options);
      const image = referenceOf(reference);
      if (image === undefined) throw new JackinError('engine.failed', `saving image ${reference}: no such image`);
      const layers = await Promise.all((planted.layers.get(image) ?? []).map(async (files) => await bytesOf(tarWith(Object.entries(files)))));
      return tarWith([...layers.map((layer, index): [string, Buffer] => [`${'abc'[index % 3]!.repeat(64)}/layer.tar`, layer]), ['manifest.json', '[{}]']]);
    },
    volumeSizes: async (options) => {
      fail('volumeSizes', options);
      const sizeOf = (files: Map<string, FakeFile>): number => [...files.values()].reduce((sum, { content }) => sum + content.length, 0);
      return new Map([...state.volumes].map(([name, { files }]) => [name, sizeOf(files)]));
    },
  };
};
