import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { pickSubnet, hostSubnets } from '../../src/docker/networks.ts';
import type { ContainerSpec, Engine } from '../../src/docker/engine.ts';
import { collect } from '../fakes/collect.ts';
import { fakeEngine, filesOfTar, type FakeExecRequest } from '../fakes/engine.ts';
import { containerSpec, realConstruct, realEngine, testScope } from './support.ts';

const tarOf = (files: Record<string, string>): Readable => {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o644 }, content);
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
};

/** What the shell of a real container answers to the scripts below. */
const playShell = async ({ argv, stdin, stdout, stderr }: FakeExecRequest): Promise<number> => {
  if (argv[0] !== 'sh') {
    stdout.write(`exec: "${argv[0]}": executable file not found`);
    return 126;
  }
  const script = argv[2] ?? '';
  if (script.startsWith('cat')) stdout.write(await collect(stdin));
  if (script.includes('echo after')) stdout.write('after\n');
  if (script.includes('echo bad')) stderr.write('bad\n');
  return Number(/exit (\d+)/.exec(script)?.[1] ?? 0);
};

const FAKE_IMAGE = 'fake/debian';

const engines: { name: string; open: () => Promise<{ engine: Engine; image: string }> }[] = [
  {
    name: 'the fake engine',
    open: async () => {
      const build = (dockerfile: string, say: (line: string) => void): string | undefined => {
        if (!dockerfile.includes('exit 7')) return undefined;
        say('about to fail');
        return "The command '/bin/sh -c echo about to fail; exit 7' returned a non-zero code: 7";
      };
      return { engine: fakeEngine({ images: [FAKE_IMAGE], exec: playShell, build }), image: FAKE_IMAGE };
    },
  },
  {
    name: 'the real engine',
    open: async () => {
      const engine = await realEngine();
      return { engine, image: (await realConstruct(engine)).reference };
    },
  },
];

describe.each(engines)('$name', ({ open }) => {
  const scope = testScope();
  let engine: Engine;
  let image: string;
  const named = (suffix: string): string => `${scope.id}-${suffix}`;
  const spec = (suffix: string, more: Partial<ContainerSpec> = {}): ContainerSpec => containerSpec(named(suffix), image, scope.labels, more);

  beforeAll(async () => ({ engine, image } = await open()));
  afterAll(async () => await scope.clean(engine));

  test('tells its API version and architecture', () => {
    expect(engine.apiVersion).toMatch(/^1\.\d+$/);
    expect(['x64', 'arm64']).toContain(engine.arch);
  });

  test('builds, finds, lists and removes an image; absence is an answer', async () => {
    const tag = `${named('image')}:one`;
    expect(await engine.imageId(tag)).toBeUndefined();
    expect(await engine.removeImage(tag)).toBe('absent');

    const lines: string[] = [];
    const context = tarOf({ 'sub/Dockerfile': `FROM ${image}\nENV X=1\n` });
    await engine.buildImage({ context, dockerfile: 'sub/Dockerfile', tag, labels: scope.labels }, { onLine: (line) => lines.push(line) });
    const id = await engine.imageId(tag);
    expect(id).toMatch(/^sha256:/);
    expect(lines.some((line) => line.startsWith('Step 1/'))).toBe(true);
    const listed = await engine.listImages(scope.labels);
    expect(listed).toMatchObject([{ id, tags: [tag], labels: scope.labels }]);
    expect(await engine.listImages({ ...scope.labels, 'jackin.test': 'another' })).toEqual([]);
    expect(await engine.removeImage(tag)).toBe('removed');
    expect(await engine.imageId(tag)).toBeUndefined();
  });

  test('a failing build is an error although the stream ends well', async () => {
    const lines: string[] = [];
    const context = tarOf({ Dockerfile: `FROM ${image}\nRUN echo about to fail; exit 7\n` });
    const build = engine.buildImage({ context, dockerfile: 'Dockerfile', tag: named('bad'), labels: scope.labels }, { onLine: (line) => lines.push(line) });
    await expect(build).rejects.toMatchObject({ code: 'build.failed', message: expect.stringContaining('non-zero code: 7') });
    expect(lines).toContain('about to fail');
    expect(await engine.imageId(named('bad'))).toBeUndefined();
  });

  test('imports a root file system', async () => {
    const tag = `${named('import')}:one`;
    await engine.importImage(tag, tarOf({ 'etc/hello': 'hello' }), ['LABEL jackin.managed=true', 'ENV A=b'], {});
    expect(await engine.imageId(tag)).toMatch(/^sha256:/);
    expect(await engine.removeImage(tag)).toBe('removed');
  });

  test('pulling what does not exist fails and leaves nothing', async () => {
    await expect(engine.pullImage('localhost:1/jackin/absent:one', {})).rejects.toMatchObject({ name: 'JackinError' });
    expect(await engine.imageId('localhost:1/jackin/absent:one')).toBeUndefined();
  });

  test('creates, lists and removes volumes; creating twice changes nothing', async () => {
    const name = named('volume');
    expect(await engine.volume(name)).toBeUndefined();
    expect(await engine.removeVolume(name)).toBe('absent');
    await engine.createVolume(name, { ...scope.labels, kind: 'a' });
    await engine.createVolume(name, { ...scope.labels, kind: 'b' });
    const volume = await engine.volume(name);
    expect(volume).toMatchObject({ name, labels: { ...scope.labels, kind: 'a' } });
    expect(Date.parse(volume?.createdAt ?? '')).not.toBeNaN();
    expect(await engine.listVolumes({ ...scope.labels, kind: 'a' })).toEqual([volume]);
    expect(await engine.listVolumes({ ...scope.labels, kind: 'b' })).toEqual([]);
    expect(await engine.removeVolume(name)).toBe('removed');
    expect(await engine.volume(name)).toBeUndefined();
  });

  test('a volume that a container mounts cannot be removed', async () => {
    const name = named('used');
    await engine.createVolume(name, scope.labels);
    const mounts = [{ kind: 'volume', source: name, target: '/v', readonly: false } as const];
    const id = await engine.createContainer(spec('user', { mounts }));
    await expect(engine.removeVolume(name)).rejects.toMatchObject({ code: 'conflict' });
    expect(await engine.removeContainer(id)).toBe('removed');
    expect(await engine.removeVolume(name)).toBe('removed');
  });

  test('tells which containers have a volume mounted, and how big it is', async () => {
    const [used, alone] = [named('used'), named('alone')];
    for (const name of [used, alone]) await engine.createVolume(name, scope.labels);
    const mounts = [{ kind: 'volume', source: used, target: '/v', readonly: false } as const, { kind: 'bind', source: '/etc', target: '/b', readonly: true } as const];
    const container = await engine.createContainer(spec('user', { mounts }));
    await engine.putArchive(container, '/v', tarOf({ file: 'x'.repeat(5000) }));
    const users = (await engine.listVolumeUsers()).filter(({ volumes }) => volumes.some((name) => name.startsWith(scope.id)));
    expect(users).toMatchObject([{ container: { id: container, name: named('user'), running: false, labels: scope.labels }, volumes: [used] }]);
    const sizes = await engine.volumeSizes({ signal: AbortSignal.timeout(20_000) });
    expect([sizes.get(used), sizes.get(alone)]).toEqual([5000, 0]);
    await engine.removeContainer(container);
    for (const name of [used, alone]) await engine.removeVolume(name);
  });

  test('creates, lists, connects and removes networks; tells an overlap from a name that is taken', async () => {
    const name = named('net');
    const subnet = pickSubnet(await engine.networkSubnets(), await hostSubnets(), Math.random);
    expect(await engine.networkExists(name)).toBe(false);
    expect(await engine.removeNetwork(name)).toBe('absent');
    expect(await engine.createNetwork({ name, labels: scope.labels, subnet })).toBe('created');
    expect(await engine.networkSubnets()).toContain(subnet);
    expect(await engine.networkExists(name)).toBe(true);
    expect(await engine.networkExists('bridge')).toBe(true);
    expect(await engine.listNetworks(scope.labels)).toEqual([{ name, labels: scope.labels }]);
    expect(await engine.createNetwork({ name: named('other'), labels: scope.labels, subnet })).toBe('overlaps');
    expect(await engine.networkExists(named('other'))).toBe(false);
    const elsewhere = pickSubnet(await engine.networkSubnets(), await hostSubnets(), Math.random);
    await expect(engine.createNetwork({ name, labels: scope.labels, subnet: elsewhere })).rejects.toMatchObject({ code: 'conflict' });

    const id = await engine.createContainer(spec('connected', { network: 'bridge' }));
    await engine.connectNetwork(name, id);
    await engine.startContainer(id);
    await expect(engine.removeNetwork(name)).rejects.toMatchObject({ code: 'engine.failed' });
    await engine.removeContainer(id);
    expect(await engine.removeNetwork(name)).toBe('removed');
    expect(await engine.removeNetwork(name)).toBe('absent');
  });

  test('the directories of the host that a container has, in the list as well', async () => {
    const directory = await realpath(await mkdtemp(path.join(tmpdir(), 'jackin-binds-')));
    onTestFinished(() => rm(directory, { recursive: true }));
    const labels = { ...scope.labels, 'jackin.role': 'owner/with binds' };
    const binds = [
      { kind: 'bind' as const, source: directory, target: '/read', readonly: true },
      { kind: 'bind' as const, source: directory, target: '/write', readonly: false },
    ];
    const id = await engine.createContainer(spec('binds', { labels, mounts: binds }));
    const byTarget = (one: { target: string }, other: { target: string }) => (one.target < other.target ? -1 : 1);
    expect([...((await engine.container(id))?.binds ?? [])].sort(byTarget)).toEqual(binds);
    expect([...((await engine.listContainers(labels))[0]?.binds ?? [])].sort(byTarget)).toEqual(binds);
    await engine.removeContainer(id);
  });

  test('a container from its creation to its removal', async () => {
    const name = named('life');
    expect(await engine.container(name)).toBeUndefined();
    expect(await engine.removeContainer(name)).toBe('absent');
    const labels = { ...scope.labels, 'jackin.role': 'owner/some role' };
    const id = await engine.createContainer(spec('life', { labels }));
    const created = await engine.container(name);
    expect(created).toEqual({ id, name, labels: expect.objectContaining(labels), image, running: false, binds: [] });
    await expect(engine.createContainer(spec('life'))).rejects.toMatchObject({ code: 'conflict' });

    await engine.startContainer(name);
    await engine.startContainer(name);
    expect(await engine.container(id)).toMatchObject({ running: true });
    expect(await engine.listContainers(labels)).toMatchObject([{ id, name, running: true }]);
    expect(await engine.listContainers({ ...labels, 'jackin.role': 'other' })).toEqual([]);

    await engine.stopContainer(id, 5);
    expect(await engine.container(id)).toMatchObject({ running: false, exitCode: 143, oomKilled: false });
    expect(await engine.listContainers(labels)).toMatchObject([{ running: false, exitCode: 143 }]);
    await engine.stopContainer(id, 5);
    expect(await engine.containerLogs(id, 10)).toBe('');
    expect(await engine.removeContainer(id)).toBe('removed');
    expect(await engine.removeContainer(id)).toBe('absent');
    expect(await engine.containerLogs(id, 10)).toBe('');
  });

  test('an image that is missing, or a network, is said plainly', async () => {
    await expect(engine.createContainer(spec('no-image', { image: 'jackin/absent:none' }))).rejects.toMatchObject({ code: 'engine.failed', message: expect.stringContaining('jackin/absent:none') });
    const joining = engine.createContainer(spec('no-network', { network: named('absent') })).then(async (id) => await engine.startContainer(id));
    await expect(joining).rejects.toMatchObject({ code: 'engine.failed' });
  });

  test('archives go into the volume of a container that never ran, and come back', async () => {
    const name = named('archive');
    await engine.createVolume(name, scope.labels);
    const mounts = [{ kind: 'volume', source: name, target: '/v', readonly: false } as const];
    const id = await engine.createContainer(spec('archive', { mounts }));
    await engine.putArchive(id, '/v', tarOf({ 'a/b.txt': 'hello', top: 'top' }));

    const file = await engine.getArchive(id, '/v/a/b.txt');
    expect((await filesOfTar(file ?? Readable.from([]))).get('b.txt')?.content.toString()).toBe('hello');
    const directory = await engine.getArchive(id, '/v/a');
    expect([...(await filesOfTar(directory ?? Readable.from([]))).keys()]).toEqual(['a/b.txt']);
    expect(await engine.getArchive(id, '/v/absent')).toBeUndefined();
    expect(await engine.getArchive(named('nobody'), '/v')).toBeUndefined();

    await engine.removeContainer(id);
    const again = await engine.createContainer(spec('archive', { mounts }));
    expect(await engine.getArchive(again, '/v/top')).toBeDefined();
    await engine.removeContainer(again);
    await engine.removeVolume(name);
  });

  test('a volume never gets a copy of what the image has where it is mounted', async () => {
    await engine.createVolume(named('empty'), scope.labels);
    const mounts = [{ kind: 'volume', source: named('empty'), target: '/etc/ssl', readonly: false } as const];
    const id = await engine.createContainer(spec('empty', { mounts }));
    await engine.startContainer(id);
    expect(await engine.getArchive(id, '/etc/ssl/certs')).toBeUndefined();
    await engine.removeContainer(id);
  });

  test('an archive whose source breaks is an error', async () => {
    const id = await engine.createContainer(spec('broken'));
    const source = Readable.from(
      (async function* () {
        yield Buffer.alloc(512);
        throw new Error('source broke');
      })(),
    );
    await expect(engine.putArchive(id, '/', source)).rejects.toThrow();
    await engine.removeContainer(id);
  });

  describe('what a search reads', () => {
    const options = { signal: new AbortController().signal };
    let id: string;

    beforeAll(async () => {
      const name = named('searched');
      await engine.createVolume(named('mounted'), { ...scope.labels, note: 'on a volume' });
      const mounts = [{ kind: 'volume', source: named('mounted'), target: '/mounted', readonly: false } as const];
      id = await engine.createContainer(spec('searched', { network: 'bridge', env: ['NOTE=in the environment'], mounts }));
      await engine.putArchive(id, '/', tarOf({ 'usr/local/note': 'in a file' }));
      await engine.putArchive(id, '/mounted', tarOf({ note: 'in a mounted file' }));
      await engine.startContainer(name);
    });

    test('all that is said of a container, its image, network and volume; undefined for what is not there', async () => {
      const container = (await engine.inspect('container', id, options)) as { Created: string; Image: string };
      expect(JSON.stringify(container)).toContain('NOTE=in the environment');
      expect(Date.parse(container.Created)).not.toBeNaN();
      expect(container).toMatchObject({
        Id: id,
        Image: await engine.imageId(image),
        Mounts: [{ Type: 'volume', Name: named('mounted') }],
        NetworkSettings: { Networks: { bridge: expect.anything() } },
      });
      expect(await engine.inspect('image', container.Image, options)).toMatchObject({ Id: container.Image });
      expect(await engine.inspect('history of image', container.Image, options)).toEqual(expect.arrayContaining([expect.objectContaining({ CreatedBy: expect.any(String) })]));
      expect(await engine.inspect('network', 'bridge', options)).toMatchObject({ Name: 'bridge' });
      expect(JSON.stringify(await engine.inspect('volume', named('mounted'), options))).toContain('on a volume');
      for (const kind of ['container', 'image', 'history of image', 'network', 'volume'] as const) {
        expect(await engine.inspect(kind, named('absent'), options)).toBeUndefined();
      }
    });

    test('command lines, events since it was made, and the log, whole', async () => {
      expect(await engine.commandLines(id, options)).toContainEqual(expect.stringContaining('/usr/bin/sleep 300'));
      const { Created } = (await engine.inspect('container', id, options)) as { Created: string };
      const events = await engine.events(id, Created, options);
      expect(events.map((event) => (JSON.parse(event) as { Action: string }).Action)).toContain('create');
      expect(events.every((event) => event.includes(id))).toBe(true);
      expect((await collect(await engine.wholeLog(id, options))).toString()).toBe('');
    });

    test("the container's own files, without those that are mounted, and the layers of its image", async () => {
      const files = await filesOfTar(await engine.exportContainer(id, options));
      expect(files.get('usr/local/note')?.content.toString()).toBe('in a file');
      expect(files.get('mounted/note')).toBeUndefined();
      const saved = await filesOfTar(await engine.saveImage((await engine.imageId(image)) ?? '', options));
      expect([...saved.keys()]).toContain('manifest.json');
    });

    test('nothing, once the search is over', async () => {
      const over = { signal: AbortSignal.abort() };
      await expect(engine.inspect('container', id, over)).rejects.toMatchObject({ code: 'interrupted' });
      await expect(engine.saveImage(image, over)).rejects.toMatchObject({ code: 'interrupted' });
    });

    test('of a container that is not there or does not run', async () => {
      await expect(engine.commandLines(named('nobody'), options)).rejects.toMatchObject({ code: 'engine.failed' });
      await expect(engine.exportContainer(named('nobody'), options)).rejects.toMatchObject({ code: 'engine.failed' });
      await expect(engine.wholeLog(named('nobody'), options)).rejects.toMatchObject({ code: 'engine.failed' });
      await engine.stopContainer(id, 1);
      await expect(engine.commandLines(id, options)).rejects.toMatchObject({ code: 'engine.failed' });
      await engine.removeContainer(id);
      await engine.removeVolume(named('mounted'));
    });
  });

  describe('exec', () => {
    let id: string;
    beforeAll(async () => {
      id = await engine.createContainer(spec('exec'));
      await engine.startContainer(id);
    });

    test('keeps stdout and stderr apart and gives the exit code', async () => {
      const run = await engine.exec(id, ['sh', '-c', 'echo bad >&2; exit 42']);
      run.stdin.end();
      const [stdout, stderr] = await Promise.all([collect(run.stdout), collect(run.stderr)]);
      expect([stdout.toString(), stderr.toString(), await run.exitCode()]).toEqual(['', 'bad\n', 42]);
    });

    test('closing stdin ends the input, not the output', async () => {
      const run = await engine.exec(id, ['sh', '-c', 'cat; echo after; exit 3']);
      const sent = Buffer.alloc(3_000_000, 'x');
      run.stdin.write(sent);
      run.stdin.end();
      run.stderr.resume();
      const got = await collect(run.stdout);
      expect(got.length).toBe(sent.length + 'after\n'.length);
      expect(got.subarray(-6).toString()).toBe('after\n');
      expect(await run.exitCode()).toBe(3);
    });

    test('a program that is not there exits with 126 or 127', async () => {
      const run = await engine.exec(id, ['/no/such/program']);
      run.stdin.end();
      run.stderr.resume();
      expect((await collect(run.stdout)).toString()).toContain('/no/such/program');
      expect([126, 127]).toContain(await run.exitCode());
    });

    test('a container that does not run is an error', async () => {
      const stopped = await engine.createContainer(spec('stopped'));
      await expect(engine.exec(stopped, ['sh', '-c', 'true'])).rejects.toMatchObject({ code: 'engine.failed' });
      await expect(engine.exec(named('nobody'), ['sh', '-c', 'true'])).rejects.toMatchObject({ code: 'engine.failed' });
    });
  });
});
