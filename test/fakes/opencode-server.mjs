// A model provider as OpenCode talks to one, small enough to be held in one
// hand: the three forms of API that its providers speak, told apart by the end
// of the path. A request is served only with a key that the server was told of.
// What it saw is printed as one JSON line per request, with fingerprints in place
// of every secret.
//
//   node opencode-server.mjs [--config FILE|-] [--listen ADDRESS:PORT] [--ttl SECONDS]
//
// Keys come in through the file (0600) or stdin, never argv. Node built-ins only:
// the tests run this very file inside a container.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { fingerprint, runFakeServer } from './run-server.mjs';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** What is wrong with a request; the answer it gets and the word that is recorded. */
class Refusal extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ wrong) {
    super(wrong);
    this.status = status;
  }
}

/**
 * @typedef {object} ServerOptions
 * @property {string[]} [apiKeys]
 * @property {(entry: RequestEntry) => void} [record]
 *
 * @typedef {object} RequestEntry
 * @property {string} time
 * @property {string} method
 * @property {string} path
 * @property {number} status
 * @property {string} [token] fingerprint of the key that was sent
 * @property {string} [header] the header that it was sent in
 * @property {string} [wrong] why it was refused
 */

/** What the last message of the operator says. */
const promptOf = (/** @type {any} */ { messages, input }) => {
  const turns = messages ?? input;
  if (!Array.isArray(turns)) throw new Refusal(400, 'no messages');
  const { content } = turns.findLast(({ role }) => role === 'user') ?? { content: '' };
  if (typeof content === 'string') return content;
  return content.flatMap((/** @type {any} */ { text }) => text ?? []).join(' ');
};

/** Events of an answer as OpenAI's older API sends them. */
const chatEvents = (/** @type {string} */ id, /** @type {string} */ model, /** @type {string} */ text) => {
  const chunk = (/** @type {object} */ delta, /** @type {string | null} */ finish_reason) => ({
    id,
    object: 'chat.completion.chunk',
    created: Math.floor(Date.now() / 1000),
    model,
    choices: [{ index: 0, delta, finish_reason }],
  });
  const usage = { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 };
  return [chunk({ role: 'assistant', content: '' }, null), chunk({ content: text }, null), { ...chunk({}, 'stop'), usage }];
};

/** The same as its newer API does. */
const responseEvents = (/** @type {string} */ id, /** @type {string} */ model, /** @type {string} */ text) => {
  const response = { id, object: 'response', created_at: Math.floor(Date.now() / 1000), model, status: 'in_progress', output: [] };
  const item = { id: `msg_${id}`, type: 'message', role: 'assistant', status: 'in_progress', content: [] };
  const place = { item_id: item.id, output_index: 0, content_index: 0 };
  const part = { type: 'output_text', text, annotations: [] };
  const done = { ...item, status: 'completed', content: [part] };
  const usage = { input_tokens: 8, output_tokens: 8, total_tokens: 16, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
  const events = [
    { type: 'response.created', response },
    { type: 'response.output_item.added', output_index: 0, item },
    { type: 'response.content_part.added', ...place, part: { ...part, text: '' } },
    { type: 'response.output_text.delta', ...place, delta: text },
    { type: 'response.output_text.done', ...place, text },
    { type: 'response.content_part.done', ...place, part },
    { type: 'response.output_item.done', output_index: 0, item: done },
    { type: 'response.completed', response: { ...response, status: 'completed', output: [done], usage } },
  ];
  return events.map((event, sequence_number) => ({ ...event, sequence_number }));
};

/** The same as Anthropic's API does. */
const messageEvents = (/** @type {string} */ id, /** @type {string} */ model, /** @type {string} */ text) => {
  const usage = { input_tokens: 8, output_tokens: 8 };
  const message = { id, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null, usage };
  return [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ];
};

const APIS = /** @type {const} */ ([
  ['/chat/completions', chatEvents],
  ['/responses', responseEvents],
  ['/messages', messageEvents],
]);

/** As a stream, each event under its name where it has one. */
const printEvents = (/** @type {readonly any[]} */ events) => {
  const blocks = events.map((event) => `${event.type ? `event: ${event.type}\n` : ''}data: ${JSON.stringify(event)}\n\n`);
  return blocks.join('') + (events.some(({ type }) => type) ? '' : 'data: [DONE]\n\n');
};

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

const credentialOf = (/** @type {import('node:http').IncomingHttpHeaders} */ headers) => {
  const key = headers['x-api-key'];
  if (typeof key === 'string') return { token: key, header: 'x-api-key' };
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : { token, header: 'authorization' };
};

/**
 * The server, not yet listening.
 * @param {ServerOptions} options
 */
export const createOpencodeServer = (options) => {
  const apiKeys = new Set(options.apiKeys ?? []);

  const serve = async (/** @type {import('node:http').IncomingMessage} */ request, /** @type {string | undefined} */ token) => {
    // Read to its end in any case: a client that is still sending takes an early answer for a broken line.
    const body = await readBody(request);
    if (token === undefined) throw new Refusal(401, 'no key');
    if (!apiKeys.has(token)) throw new Refusal(401, 'unknown key');
    const [, eventsOf] = APIS.find(([end]) => request.url?.endsWith(end)) ?? [];
    if (request.method !== 'POST' || !eventsOf) throw new Refusal(404, 'no such endpoint');
    const { model, stream, ...asked } = JSON.parse(body);
    if (stream !== true) throw new Refusal(400, 'not asked for a stream');
    return printEvents(eventsOf(`fake-${randomBytes(8).toString('hex')}`, model, `fake opencode heard: ${promptOf(asked)}`));
  };

  return createServer(async (request, response) => {
    const { method = '', url = '' } = request;
    const sent = credentialOf(request.headers);
    const entry = {
      time: new Date().toISOString(),
      method,
      // A query could carry anything, a key among it.
      path: url.replace(/\?.*/s, '?…'),
      ...(sent && { token: fingerprint(sent.token), header: sent.header }),
    };
    try {
      const events = await serve(request, sent?.token);
      // Recorded before it is answered: who has the answer can rely on the record.
      options.record?.({ ...entry, status: 200 });
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }).end(events);
    } catch (error) {
      const { status, message } = error instanceof Refusal ? error : new Refusal(500, String(error));
      options.record?.({ ...entry, status, wrong: message });
      const problem = { type: 'error', error: { type: 'fake_error', message: `fake opencode: ${message}` } };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(problem));
    }
  });
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createOpencodeServer);
