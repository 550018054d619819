import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../../src/docker/docker-engine.ts';
import type { ContainerSpec, Engine } from '../../../src/docker/engine.ts';
import { json, startDockerSocket, VERSION, type Answer } from '../../fakes/docker-socket.ts';

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close();
});

/** What the engine was asked for: the path, and the body as far as it has come. */
interface Asked {
  path: string;
  body: Promise<string>;
}

const listening = async (answers: Record<string, Answer>): Promise<{ engine: Engine; asked: Asked[] }> => {
  const asked: Asked[] = [];
  const note =
    (answer: Answer): Answer =>
    (request: IncomingMessage, response) => {
      asked.push({ path: request.url ?? '', body: text(request) });
      answer(request, response);
    };
  const noted = Object.entries(answers).map(([key, answer]) => [key, note(answer)]);
  const socket = await startDockerSocket({ 'GET /version': VERSION, ...Object.fromEntries(noted) });
  open.push(socket);
  return { engine: await connectEngine(socket.env), asked };
};

const SPEC: ContainerSpec = {
  name: 'jk-1-x',
  hostname: 'jk-1-x',
  image: 'image',
  argv: ['/jackin/runtime/bin/node', 'capsule.mjs'],
  user: '1000:1000',
  workdir: '/',
  env: ['JACKIN=1', 'LD_PRELOAD'],
  labels: { 'jackin.managed': 'true' },
  mounts: [
    { kind: 'bind', source: '/home/op/app', target: '/home/op/app', readonly: false },
    { kind: 'bind', source: '/home/op/state/handoff', target: '/jackin/handoff', readonly: true },
    { kind: 'volume', source: 'runtime', target: '/jackin/runtime', readonly: true },
  ],
  tmpfs: { '/jackin/run': 'mode=0700' },
  network: 'jk-1-x-net',
  init: true,
  capDrop: ['ALL'],
  noNewPrivileges: true,
  pidsLimit: 4096,
};

const createdWith = async (): Promise<{ path: string; body: { Env: string[]; Entrypoint: string[]; Cmd: string[]; HostConfig: Record<string, unknown> } }> => {
  const { engine, asked } = await listening({ 'POST /containers/create': json(201, { Id: 'c' }) });
  expect(await engine.createContainer(SPEC)).toBe('c');
  return { path: asked[0]!.path, body: JSON.parse(await asked[0]!.body) };
};

describe('a container is created', () => {
  test('with mounts that fail when their source is missing, read-only where they should be', async () => {
    const { HostConfig } = (await createdWith()).body;
    // The engine makes the source of a `Binds` entry when there is none, as root.
    expect(HostConfig).not.toHaveProperty('Binds');
    expect(HostConfig['Mounts']).toMatchObject([
      { Type: 'bind', Source: '/home/op/app', ReadOnly: false },
      { Type: 'bind', Source: '/home/op/state/handoff', ReadOnly: true },
      { Type: 'volume', Source: 'runtime', ReadOnly: true, VolumeOptions: { NoCopy: true } },
    ]);
    expect(JSON.stringify(HostConfig['Mounts'])).not.toContain('CreateMountpoint');
  });

  test('without any right beyond those of its user', async () => {
    const { HostConfig } = (await createdWith()).body;
    expect(HostConfig).toMatchObject({ CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], PidsLimit: 4096, Init: true, NetworkMode: 'jk-1-x-net' });
    for (const more of ['Privileged', 'CapAdd', 'Devices', 'PidMode', 'IpcMode', 'UsernsMode']) expect([more, HostConfig[more] ?? false]).toEqual([more, false]);
  });

  test('with the program and the variables that were given and no others', async () => {
    const { path, body } = await createdWith();
    // The client library repeats the body in the query; the engine reads the name from there.
    expect(new URL(path, 'http://x').searchParams.getAll('name')).toEqual(['jk-1-x']);
    expect(body).toMatchObject({ Env: SPEC.env, Entrypoint: SPEC.argv, Cmd: [], User: '1000:1000', Labels: SPEC.labels });
  });
});

test('a program is run without a variable of its own, without a terminal, with nothing but its arguments', async () => {
  const { engine, asked } = await listening({
    'POST /containers/c/exec': json(201, { Id: 'e' }),
    'POST /exec/e/start': (_request, response) => void response.writeHead(500).end(),
  });
  await expect(engine.exec('c', ['node', 'connect.mjs'])).rejects.toThrow();
  expect(JSON.parse(await asked[0]!.body)).toEqual({ Cmd: ['node', 'connect.mjs'], AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false });
});

describe('what is gone already', () => {
  test('is no error when it is removed, stopped or looked up', async () => {
    const missing = json(404, { message: 'no such container' });
    const { engine } = await listening({
      'DELETE /containers/c': missing,
      'DELETE /networks/n': missing,
      'GET /containers/c/json': missing,
      'POST /containers/c/stop': json(304, {}),
    });
    expect(await engine.removeContainer('c')).toBe('absent');
    expect(await engine.removeNetwork('n')).toBe('absent');
    expect(await engine.container('c')).toBeUndefined();
    await engine.stopContainer('c', 1);
  });

  test('does not hide that a name is taken', async () => {
    const { engine } = await listening({ 'POST /containers/create': json(409, { message: 'The name is already in use' }) });
    await expect(engine.createContainer(SPEC)).rejects.toMatchObject({ code: 'conflict' });
  });
});

test('only what carries the labels is listed', async () => {
  const { engine, asked } = await listening({ 'GET /containers/json': json(200, []) });
  await engine.listContainers({ 'jackin.home': 'h', 'jackin.instance': 'i' });
  const filters = new URL(asked[0]!.path, 'http://x').searchParams.get('filters') ?? '';
  expect(JSON.parse(filters)).toEqual({ label: ['jackin.home=h', 'jackin.instance=i'] });
});
