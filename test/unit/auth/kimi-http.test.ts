import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createSend, proxyFor } from '../../../src/auth/kimi-http.ts';
import { SendError } from '../../../src/auth/kimi-requests.ts';

const never = new AbortController().signal;

const listen = async (server: net.Server): Promise<number> => {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
};

const serve = async (handler: http.RequestListener): Promise<string> => `http://127.0.0.1:${await listen(http.createServer(handler))}`;

const request = (url: string, more = {}) => ({ method: 'POST' as const, url: `${url}/x`, headers: { 'X-Fake': 'fake' }, body: 'fake-body', timeoutMs: 2000, ...more });

const failure = async (sent: Promise<unknown>): Promise<{ why: string; arrived: boolean }> => {
  const error = await sent.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof SendError)) throw new Error(`expected a SendError and not ${String(error)}`);
  return { why: error.message, arrived: error.arrived };
};

test('what is sent arrives, and the whole answer comes back whatever its status', async () => {
  const url = await serve((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => (body += chunk.toString()));
    incoming.on('end', () => {
      response.writeHead(418, { 'X-Answer': 'yes' }).end(JSON.stringify({ method: incoming.method, path: incoming.url, fake: incoming.headers['x-fake'], body }));
    });
  });
  const answer = await createSend({})(request(url), never);
  expect(answer.status).toBe(418);
  expect(answer.headers['x-answer']).toBe('yes');
  expect(JSON.parse(answer.body)).toEqual({ method: 'POST', path: '/x', fake: 'fake', body: 'fake-body' });
});

test('no redirect is followed: a token goes to nobody else', async () => {
  const asked: string[] = [];
  const url = await serve((incoming, response) => {
    asked.push(incoming.url ?? '');
    response.writeHead(307, { Location: '/elsewhere' }).end();
  });
  expect((await createSend({})(request(url), never)).status).toBe(307);
  expect(asked).toEqual(['/x']);
});

test('where nobody listens, nothing arrived', async () => {
  expect(await failure(createSend({})(request('http://127.0.0.1:1'), never))).toEqual({ why: 'the connection was refused', arrived: false });
});

test('a name that nobody knows is one to which nothing arrived', async () => {
  expect((await failure(createSend({})(request('http://nobody.invalid'), never))).arrived).toBe(false);
});

test('a server that is no TLS server got nothing', async () => {
  const port = await listen(net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  expect((await failure(createSend({})(request(`https://127.0.0.1:${port}`), never))).arrived).toBe(false);
});

// A certificate for localhost that nobody trusts, made for this test; its key protects nothing.
test('a server whose certificate is not trusted got nothing', async () => {
  const { execFileSync } = await import('node:child_process');
  const pem = execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-', '-out', '-', '-days', '1', '-subj', '/CN=localhost'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  let requests = 0;
  const port = await listen(https.createServer({ key: pem, cert: pem }, (_incoming, response) => {
    requests += 1;
    response.end();
  }));
  const { why, arrived } = await failure(createSend({})(request(`https://localhost:${port}`), never));
  expect({ arrived, requests }).toEqual({ arrived: false, requests: 0 });
  expect(why).toMatch(/SELF_SIGNED|certificate/i);
});

test.each([
  ['breaks off before it answers', (socket: net.Socket) => socket.once('data', () => socket.resetAndDestroy())],
  ['hangs up without a word', (socket: net.Socket) => socket.once('data', () => socket.end())],
  ['breaks off in the middle of its answer', (socket: net.Socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'))],
  ['answers with something else than HTTP', (socket: net.Socket) => socket.once('data', () => socket.end('hello\r\n\r\n'))],
])('a server that %s may have acted all the same', async (_what, behave) => {
  const port = await listen(net.createServer((socket) => void behave(socket)));
  expect((await failure(createSend({})(request(`http://127.0.0.1:${port}`), never))).arrived).toBe(true);
});

test('a server that never answers is left after the time that was given', async () => {
  const url = await serve(() => undefined);
  expect(await failure(createSend({})(request(url, { timeoutMs: 100 }), never))).toEqual({ why: 'there was no answer within 0.1 seconds', arrived: true });
});

test('an answer that comes in drops without an end is left as well', async () => {
  const url = await serve((_incoming, response) => {
    const timer = setInterval(() => response.write('.'), 20);
    response.on('close', () => clearInterval(timer));
  });
  expect((await failure(createSend({})(request(url, { timeoutMs: 200 }), never))).why).toContain('no answer within');
});

test('an answer of more than a megabyte is not read to its end', async () => {
  const url = await serve((_incoming, response) => void response.end(Buffer.alloc(1024 * 1024 + 1)));
  expect(await failure(createSend({})(request(url), never))).toEqual({ why: 'the answer is too long', arrived: true });
});

test('a signal ends it, before it began as well', async () => {
  const url = await serve(() => undefined);
  expect(await failure(createSend({})(request(url), AbortSignal.timeout(100)))).toEqual({ why: 'it was interrupted', arrived: true });
  expect(await failure(createSend({})(request(url), AbortSignal.abort()))).toEqual({ why: 'it was interrupted', arrived: false });
});

test('a proxy is used as a tunnel, and what it refuses is not what the server refuses', async () => {
  const seen: string[] = [];
  const proxy = http.createServer();
  proxy.on('connect', (incoming, socket: net.Socket) => {
    seen.push(incoming.url ?? '');
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n{"error":"invalid_grant"}');
  });
  const port = await listen(proxy);
  const env = { HTTPS_PROXY: `http://user:fake-password@127.0.0.1:${port}`, HTTP_PROXY: `127.0.0.1:${port}` };
  for (const url of ['https://kimi.invalid', 'http://kimi.invalid']) {
    expect(await failure(createSend(env)(request(url), never))).toEqual({ why: 'the proxy does not let it through (HTTP 403)', arrived: false });
  }
  expect(seen).toEqual(['kimi.invalid:443', 'kimi.invalid:80']);
});

test('through a proxy that lets it through, the server answers', async () => {
  const server = await listen(http.createServer((_incoming, response) => void response.end('through')));
  const proxy = http.createServer();
  proxy.on('connect', (_incoming, socket: net.Socket) => {
    const onward = net.connect(server, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
  });
  const answer = await createSend({ http_proxy: `http://127.0.0.1:${await listen(proxy)}` })(request('http://kimi.invalid'), never);
  expect(answer.body).toBe('through');
});

test('a proxy that is not there got nothing, and its password is in no message', async () => {
  const sent = createSend({ HTTPS_PROXY: 'http://user:fake-password@127.0.0.1:1' })(request('https://kimi.invalid'), never);
  expect(await failure(sent)).toEqual({ why: 'through the proxy: the connection was refused', arrived: false });
  expect(await failure(createSend({ ALL_PROXY: 'socks5://fake-password@127.0.0.1:1' })(request('https://kimi.invalid'), never))).toEqual({
    why: 'the proxy of the environment is of a kind that jackin does not know',
    arrived: false,
  });
});

test.each([
  ['https://auth.kimi.example/x', {}, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1' }, 'http://p:1'],
  ['https://auth.kimi.example/x', { https_proxy: 'p:1' }, 'http://p:1'],
  ['https://auth.kimi.example/x', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['https://auth.kimi.example/x', { ALL_PROXY: 'http://p:1' }, 'http://p:1'],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: '' }, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'kimi.example' }, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1', no_proxy: 'other, .kimi.example:443' }, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*.kimi.example' }, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
  ['https://auth.kimi.example/x', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'kimi.example:8443, imi.example, .' }, 'http://p:1'],
  ['http://localhost:1/x', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://127.0.0.1:1/x', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://[::1]:1/x', { HTTP_PROXY: 'http://p:1' }, undefined],
] as [string, Record<string, string>, string | undefined][])('%s with %j goes through %s', (url, env, proxy) => {
  expect(proxyFor(new URL(url), env)).toBe(proxy);
});
