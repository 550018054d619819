// An Amp server that can be held in one hand: the account, a thread, and the
// socket over which Amp sends a message and hears the answer. A request is
// served only with a key that the server was told of. What it saw is printed as
// one JSON line per request, with fingerprints in place of every secret.
//
//   node amp-server.mjs [--config FILE|-] [--listen ADDRESS:PORT] [--ttl SECONDS]
//
// Keys come in through the file (0600) or stdin, never argv. Node built-ins only:
// the tests run this very file inside a container.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { fingerprint, runFakeServer } from './run-server.mjs';

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const OWNER = 'user_fake';

/** What is wrong with a request; the answer it gets and the word that is recorded. */
class Refusal extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ wrong) {
    super(wrong);
    this.status = status;
  }
}

/**
 * @typedef {object} ServerOptions
 * @property {string[]} [apiKeys] keys, or access tokens of sessions
 * @property {(entry: RequestEntry) => void} [record]
 *
 * @typedef {object} RequestEntry
 * @property {string} time
 * @property {string} method
 * @property {string} path
 * @property {number} status 101 for a socket
 * @property {string} [token] fingerprint of the key that was sent
 * @property {string} [header] the header that it was sent in
 * @property {string} [wrong] why it was refused
 *
 * @typedef {{ threadId: string, wsToken: string, seq: number }} Thread
 */

const newThread = () => ({ threadId: `T-${randomUUID()}`, wsToken: randomBytes(16).toString('hex'), seq: 0 });

/** 22 characters of letters and digits, as the ids of messages have them. */
const newMessageId = () => `M-${randomBytes(11).toString('hex')}`;

/** Answers of `/api/internal` by method; what is not here does not exist. */
const internalResult = (/** @type {string} */ method, /** @type {any} */ params) => {
  switch (method) {
    case 'getUserInfo':
      return { id: OWNER, email: 'op@example.test', emailVerified: true, username: 'op', features: [], team: null };
    case 'loadPlugins':
    case 'loadSkills':
    case 'notices':
      return [];
    case 'listAgentModes':
    case 'archiveThread':
    case 'recordCLISignIn':
    case 'newsCard':
    case 'splashDispatch':
      return null;
    case 'getThreadTail': {
      const data = { id: params.thread, v: 0, created: Date.now(), messages: [], agentMode: 'medium', meta: { usesThreadActors: true } };
      return { thread: { id: params.thread, title: null, updatedAt: null, creatorUserID: OWNER, data }, messages: [], hasMoreBefore: false };
    }
    default:
      return undefined;
  }
};

const makeRoutes = (/** @type {Map<string, Thread>} */ threads) => ({
  '/api/internal': (/** @type {any} */ { method, params }) => {
    const result = internalResult(method, params);
    return result === undefined ? { ok: false, error: { code: 'unknown-method', message: `no ${method}` } } : { ok: true, result };
  },
  '/api/thread-actors': (/** @type {any} */ { threadId }) => {
    const thread = threads.get(threadId) ?? newThread();
    threads.set(thread.threadId, thread);
    return {
      threadId: thread.threadId,
      wsToken: thread.wsToken,
      usesDtw: true,
      usesThreadActors: true,
      executorType: 'local-client',
      ownerUserId: OWNER,
      threadVersion: thread.seq,
    };
  },
  '/api/telemetry': () => ({}),
});

const readBody = async (/** @type {import('node:http').IncomingMessage} */ request) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Refusal(413, 'body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** The parts of an address that cannot hold a secret. */
const pathOf = (/** @type {string} */ url) => url.replace(/\?(?!\w+$).*/s, '?…');

/** Text frames of a web socket, both ways; nothing else is needed. */
const framesOf = (/** @type {import('node:stream').Duplex} */ socket, /** @type {(text: string) => void} */ onText) => {
  let pending = Buffer.alloc(0);
  const take = () => {
    if (pending.length < 2) return false;
    const code = pending.readUInt8(1) & 0x7f;
    const start = code === 126 ? 4 : code === 127 ? 10 : 2;
    if (pending.length < start + 4) return false;
    const length = code === 126 ? pending.readUInt16BE(2) : code === 127 ? Number(pending.readBigUInt64BE(2)) : code;
    const end = start + 4 + length;
    if (pending.length < end) return false;
    const mask = pending.subarray(start, start + 4);
    const payload = Buffer.from(pending.subarray(start + 4, end).map((byte, index) => byte ^ mask.readUInt8(index % 4)));
    const opcode = pending.readUInt8(0) & 0x0f;
    pending = pending.subarray(end);
    if (opcode === 1) onText(payload.toString('utf8'));
    if (opcode === 8) socket.end(Buffer.from([0x88, 0]));
    return true;
  };
  socket.on('data', (/** @type {Buffer} */ chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (take());
  });
  socket.on('error', () => {});
  return (/** @type {string} */ text) => {
    const payload = Buffer.from(text);
    const head = Buffer.alloc(10);
    head.set([0x81, payload.length < 126 ? payload.length : payload.length < 0x10000 ? 126 : 127]);
    if (payload.length < 0x10000) head.writeUInt16BE(payload.length, 2);
    else head.writeBigUInt64BE(BigInt(payload.length), 2);
    const size = payload.length < 126 ? 2 : payload.length < 0x10000 ? 4 : 10;
    socket.write(Buffer.concat([head.subarray(0, size), payload]));
  };
};

/** What follows a message of the operator: it stands in the thread, and so does an answer. */
const answer = (/** @type {Thread} */ thread, /** @type {any} */ { messageId, content }, /** @type {(method: string, params: object) => void} */ tell) => {
  const { threadId } = thread;
  const asked = content.filter((/** @type {any} */ { type }) => type === 'text').map((/** @type {any} */ { text }) => text).join(' ');
  const add = (/** @type {object} */ message) => tell('message_added', { seq: (thread.seq += 1), message: { threadId, ...message } });
  const id = newMessageId();
  add({ role: 'user', messageId, content });
  tell('agent_state', { state: 'streaming', messageId: id });
  const text = `fake amp heard: ${asked}`;
  add({ role: 'assistant', messageId: id, content: [{ type: 'text', text }], state: { type: 'complete', stopReason: 'end_turn' } });
  tell('agent_state', { state: 'idle' });
};

const serveThread = (/** @type {import('node:stream').Duplex} */ socket, /** @type {Thread} */ thread) => {
  const send = framesOf(socket, (text) => {
    if (text === 'ping') return send('pong');
    const { id, method, params } = JSON.parse(text);
    if (id === undefined) return;
    reply({ id, result: method === 'client_resume' ? { replayThroughSeq: thread.seq } : null });
    if (method === 'executor_connect') tell('executor_connected', { executorId: params.clientId, registeredToolCount: 0, guidanceInventory: [] });
    if (method === 'client_append_user_msg') answer(thread, params, tell);
  });
  const reply = (/** @type {object} */ fields) => send(JSON.stringify({ jsonrpc: '2.0', ...fields }));
  const tell = (/** @type {string} */ method, /** @type {object} */ params) => reply({ method, params });
  // Amp waits for a first word before it takes the socket for open.
  tell('agent_state', { state: 'idle' });
};

const protocolsOf = (/** @type {import('node:http').IncomingMessage} */ request) =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());

const acceptSocket = (/** @type {import('node:http').IncomingMessage} */ request, /** @type {import('node:stream').Duplex} */ socket) => {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const head = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${createHash('sha1').update(key).digest('base64')}`,
    `Sec-WebSocket-Protocol: ${protocolsOf(request)[0]}`,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
};

/** The token is in a subprotocol, for want of headers that a browser could set. */
const threadOf = (/** @type {Map<string, Thread>} */ threads, /** @type {string[]} */ protocols) => {
  const params = protocols.find((name) => name.startsWith('rivet_conn_params.'))?.slice('rivet_conn_params.'.length);
  const { wsToken } = JSON.parse(decodeURIComponent(params ?? '%7B%7D'));
  const thread = [...threads.values()].find((known) => known.wsToken === wsToken);
  if (!thread) throw new Refusal(401, 'unknown thread token');
  return thread;
};

/**
 * The server, not yet listening.
 * @param {ServerOptions} options
 */
export const createAmpServer = (options) => {
  /** @type {Map<string, Thread>} */
  const threads = new Map();
  const routes = makeRoutes(threads);
  const apiKeys = new Set(options.apiKeys ?? []);

  /** Runs a request and records it, before it is answered: who has the answer can rely on the record. */
  const handle = async (
    /** @type {import('node:http').IncomingMessage} */ request,
    /** @type {number} */ status,
    /** @type {() => any} */ run,
  ) => {
    const { method = '', url = '', headers } = request;
    const token = headers.authorization?.replace(/^Bearer /, '');
    const entry = { time: new Date().toISOString(), method, path: pathOf(url), ...(token && { token: fingerprint(token), header: 'authorization' }) };
    try {
      const result = await run();
      options.record?.({ ...entry, status });
      return { status, result };
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, String(error));
      options.record?.({ ...entry, status: refusal.status, wrong: refusal.message });
      return { status: refusal.status, result: { error: `fake amp: ${refusal.message}` } };
    }
  };

  const server = createServer(async (request, response) => {
    const { status, result } = await handle(request, 200, async () => {
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
      if (token === undefined) throw new Refusal(401, 'no key');
      if (!apiKeys.has(token)) throw new Refusal(401, 'unknown key');
      const path = (request.url ?? '').replace(/\?.*/s, '');
      const route = Object.hasOwn(routes, path) ? routes[/** @type {keyof typeof routes} */ (path)] : undefined;
      if (request.method !== 'POST' || !route) throw new Refusal(404, 'no such endpoint');
      return route(JSON.parse((await readBody(request)) || '{}'));
    });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(result));
  });

  server.on('upgrade', async (request, socket) => {
    const { status, result } = await handle(request, 101, () => threadOf(threads, protocolsOf(request)));
    if (status === 101) {
      acceptSocket(request, socket);
      serveThread(socket, result);
    } else {
      socket.end(`HTTP/1.1 ${status} Refused\r\n\r\n`);
    }
  });
  return server;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createAmpServer);
