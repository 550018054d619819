import http, { type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { connectEngine } from '../../../src/docker/docker-engine.ts';
import { endInSilence } from '../../../src/docker/docker-inspection.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { type Answer, json, startDockerSocket, VERSION } from '../../fakes/docker-socket.ts';

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close();
});

const connected = async (answers: Record<string, Answer>): Promise<Engine> => {
  const socket = await startDockerSocket({ 'GET /version': VERSION, ...answers });
  open.push(socket);
  return await connectEngine(socket.env);
};

const options = { signal: new AbortController().signal };

const hanging: Answer = (_request, response) => void response.writeHead(200).write('first');

/** As the client library asks: it hears of an error of the request, too. */
const bodyOf = async (socketPath: string): Promise<IncomingMessage> =>
  await new Promise((resolve) => http.get({ socketPath, path: '/slow' }, resolve).on('error', () => undefined));

const piece = (stream: 1 | 2, content: string): Buffer => {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(content), 4);
  return Buffer.concat([header, Buffer.from(content)]);
};

describe('the log', () => {
  test('comes without the headers of its pieces, wherever the engine cuts it', async () => {
    const log = Buffer.concat([piece(1, 'fake-'), piece(1, 'token\n'), piece(2, ''), piece(2, 'a complaint\n')]);
    for (const size of [1, 3, 8, 1000]) {
      const answer: Answer = (_request, response) => {
        for (let at = 0; at < log.length; at += size) response.write(log.subarray(at, at + size));
        response.end();
      };
      const engine = await connected({ 'GET /containers/x/logs': answer });
      expect(await text(await engine.wholeLog('x', options))).toBe('fake-token\na complaint\n');
    }
  });

  test('that the engine cannot read is an error in its words', async () => {
    const engine = await connected({ 'GET /containers/x/logs': json(501, { message: 'configured logging driver does not support reading' }) });
    await expect(engine.wholeLog('x', options)).rejects.toMatchObject({ code: 'engine.failed', message: expect.stringContaining('does not support reading') });
  });
});

describe('events', () => {
  test("are those of the container until now, by the engine's clock, whatever ours says", async () => {
    let asked = new URL('http://unused.invalid');
    const engine = await connected({
      'GET /info': json(200, { SystemTime: '2031-01-02T03:04:05.678901234Z' }),
      'GET /events': (request, response) => {
        asked = new URL(request.url ?? '', 'http://unused.invalid');
        response.end('{"Action":"create"}\n{"Action":"start"}\n');
      },
    });
    expect(await engine.events('x', '2031-01-02T03:04:00.5Z', options)).toEqual(['{"Action":"create"}', '{"Action":"start"}']);
    expect(Object.fromEntries(asked.searchParams)).toEqual({ since: '1925089440.500', until: '1925089445.678', filters: '{"container":["x"]}' });
  });

  test('of an engine that tells no time are an error, not none', async () => {
    const engine = await connected({ 'GET /info': json(200, {}) });
    await expect(engine.events('x', '2031-01-02T03:04:00Z', options)).rejects.toMatchObject({ code: 'engine.failed' });
  });
});

describe('a stream', () => {
  test('ends when the search is interrupted, before and after its first byte', { timeout: 5000 }, async () => {
    const engine = await connected({ 'GET /images/x/get': () => undefined, 'GET /containers/x/export': hanging });
    const early = new AbortController();
    const saving = engine.saveImage('x', early);
    setTimeout(() => early.abort(), 30);
    await expect(saving).rejects.toMatchObject({ code: 'interrupted' });

    const late = new AbortController();
    const body = await engine.exportContainer('x', late);
    setTimeout(() => late.abort(), 30);
    await expect(text(body)).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('that brings nothing any more is an error', { timeout: 5000 }, async () => {
    const socket = await startDockerSocket({ 'GET /slow': hanging });
    open.push(socket);
    const body = await bodyOf(socket.socket);
    await expect(text(endInSilence('exporting', body, 50))).rejects.toMatchObject({ code: 'engine.unreachable', message: 'exporting: the container engine sent nothing for 0.05 s' });
  });

  test('that trickles goes on', { timeout: 5000 }, async () => {
    const trickle: Answer = (_request, response) => {
      void (async () => {
        for (let count = 0; count < 6; count += 1) {
          response.write('x');
          await sleep(40);
        }
        response.end();
      })();
    };
    const socket = await startDockerSocket({ 'GET /slow': trickle });
    open.push(socket);
    const body = await bodyOf(socket.socket);
    expect(await text(endInSilence('exporting', body, 200))).toBe('xxxxxx');
  });
});
