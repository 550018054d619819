import { Readable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../../src/docker/docker-engine.ts';
import { bounded, plainLine } from '../../../src/docker/engine-call.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { json, startDockerSocket, VERSION, type Answer } from '../../fakes/docker-socket.ts';

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close();
});

const connected = async (answers: Record<string, Answer>): Promise<Engine> => {
  const socket = await startDockerSocket({ 'GET /version': VERSION, ...answers });
  open.push(socket);
  return await connectEngine(socket.env);
};

describe('connecting', () => {
  test('takes the engine that answers, whatever the process environment says', async () => {
    expect(await connected({})).toMatchObject({ apiVersion: '1.41', arch: 'x64' });
  });

  test('an engine that is too old: both versions', async () => {
    const old = connected({ 'GET /version': json(200, { ApiVersion: '1.40', Arch: 'amd64', Os: 'linux' }) });
    await expect(old).rejects.toMatchObject({ code: 'engine.too-old', exitCode: 5, message: expect.stringMatching(/1\.40.*1\.41/) });
  });

  test('newer major and minor versions are fine', async () => {
    await expect(connected({ 'GET /version': json(200, { ApiVersion: '1.100', Arch: 'arm64', Os: 'linux' }) })).resolves.toMatchObject({ arch: 'arm64' });
    await expect(connected({ 'GET /version': json(200, { ApiVersion: '2.0', Arch: 'amd64', Os: 'linux' }) })).resolves.toBeDefined();
  });

  test('something that is no engine, and one that runs no linux containers', async () => {
    await expect(connected({ 'GET /version': (_request, response) => void response.end('<html>') })).rejects.toMatchObject({ code: 'engine.unreachable', message: expect.stringContaining('not a container engine') });
    await expect(connected({ 'GET /version': json(200, { ApiVersion: '1.41', Arch: 'amd64', Os: 'windows' }) })).rejects.toThrow('windows/amd64');
  });

  test('nothing there: every place that was tried, why, and what to do', async () => {
    const env = { HOME: '/nonexistent', DOCKER_HOST: 'unix:///nonexistent/docker.sock' };
    await expect(connectEngine(env)).rejects.toMatchObject({
      code: 'engine.unreachable',
      message: 'no container engine answers; tried:\n  unix:///nonexistent/docker.sock (DOCKER_HOST): there is no such socket',
      hint: expect.stringContaining('start Docker'),
    });
    await expect(connectEngine({ DOCKER_HOST: 'tcp://127.0.0.1:1' })).rejects.toThrow('nothing listens there');
  });
});

describe('answers that are not what they should be', () => {
  test.each(['garbage', '{}', '[null]', '"x"', 'null', ''])('listings that are %j are no answer, and not a bug of ours', async (text) => {
    const nonsense: Answer = (_request, response) => void response.end(text);
    const engine = await connected({ 'GET /containers/json': nonsense, 'GET /networks': nonsense, 'GET /images/json': nonsense });
    const calls = [() => engine.listContainers({}), () => engine.listNetworks({}), () => engine.networkSubnets(), () => engine.listImages({})];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({ name: 'JackinError', code: 'engine.failed', message: expect.stringContaining('makes no sense') });
    }
  });

  const build = async (engine: Engine, signal?: AbortSignal): Promise<void> =>
    await engine.buildImage({ context: Readable.from([Buffer.alloc(1024)]), dockerfile: 'Dockerfile', tag: 'x:y', labels: {} }, signal === undefined ? {} : { signal });

  test('an engine that hangs is given up after a limit', { timeout: 3000 }, async () => {
    const hanging = bounded('asking', async () => await new Promise<never>(() => undefined), 50);
    await expect(hanging).rejects.toMatchObject({ code: 'engine.unreachable', message: expect.stringContaining('did not answer within 0.05 s') });
  });

  test('the engine\'s own message is passed on, and a full disk is told apart', async () => {
    const engine = await connected({
      'POST /volumes/create': json(500, { message: 'something broke' }),
      'POST /networks/create': json(500, { message: 'write /var/lib/x: no space left on device' }),
    });
    await expect(engine.createVolume('v', {})).rejects.toMatchObject({ code: 'engine.failed', message: 'creating volume v: something broke' });
    await expect(engine.createNetwork({ name: 'n', labels: {}, subnet: '10.0.0.0/28' })).rejects.toMatchObject({ code: 'disk.full', hint: expect.stringContaining('free some space') });
  });

  test('a connection that breaks in the middle', async () => {
    const engine = await connected({
      'GET /images/': (request) => void request.socket.destroy(),
      'POST /build': (request, response) => {
        response.write('{"stream":"Step 1/2 : FROM x\\n"}\n');
        setTimeout(() => request.socket.destroy(), 20);
      },
    });
    await expect(engine.imageId('x')).rejects.toMatchObject({ code: 'engine.unreachable' });
    await expect(build(engine)).rejects.toMatchObject({ code: 'engine.unreachable' });
  });

  test('a build that says success without an image, one that fills the disk, one that answers garbage', async () => {
    const lying = await connected({ 'POST /build': (_request, response) => void response.end('{"stream":"Successfully built 123\\n"}\n') });
    await expect(build(lying)).rejects.toMatchObject({ code: 'build.failed', message: expect.stringContaining('no such image') });
    const full = await connected({ 'POST /build': (_request, response) => void response.end('{"errorDetail":{"message":"write: no space left on device"}}\n') });
    await expect(build(full)).rejects.toMatchObject({ code: 'disk.full' });
    const garbage = await connected({ 'POST /build': (_request, response) => void response.end('hello\n') });
    await expect(build(garbage)).rejects.toMatchObject({ name: 'JackinError', code: 'build.failed' });
  });

  test('interrupting closes the connection, which is what makes the engine stop', async () => {
    const abort = new AbortController();
    let closed: () => void;
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const engine = await connected({
      'POST /build': (request, response) => {
        response.write('{"stream":"working\\n"}\n');
        request.socket.once('close', () => closed());
        setTimeout(() => abort.abort(), 30);
      },
    });
    await expect(build(engine, abort.signal)).rejects.toMatchObject({ code: 'interrupted', exitCode: 130 });
    await gone;
    await expect(build(engine, abort.signal)).rejects.toMatchObject({ code: 'interrupted' });
  });

  test('a removal that somebody else has begun is waited for', async () => {
    let looks = 0;
    const engine = await connected({
      'DELETE /containers/c': json(409, { message: 'removal of container c is already in progress' }),
      'GET /containers/c/json': (request, response) => {
        looks += 1;
        const inspect = { Id: 'c', Name: '/c', State: { Status: 'removing', Running: false }, Config: {} };
        json(looks < 3 ? 200 : 404, looks < 3 ? inspect : { message: 'no such container' })(request, response);
      },
    });
    expect(await engine.removeContainer('c')).toBe('removed');
    expect(looks).toBe(3);
  });

  test('escape sequences in what the engine says never reach a terminal', () => {
    expect(plainLine('\u001b]0;title\u0007red \u001b[31mtext\u001b[0m\u0008\u009b2J\r\n')).toBe('red text');
  });
});
