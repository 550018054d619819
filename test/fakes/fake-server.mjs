// What fake servers of agents have in common. A request is served only with a
// credential that the server was told of; what it saw is printed as one JSON line
// per request, with fingerprints in place of every secret. Node built-ins only:
// the tests run the servers inside a container.
import { createServer } from 'node:http';
import { fingerprint } from './run-server.mjs';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** What is wrong with a request; the answer it gets and the word that is recorded. */
export class Refusal extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ error, /** @type {string} */ wrong) {
    super(wrong);
    this.status = status;
    this.error = error;
  }
}

/**
 * @typedef {object} ServerOptions
 * @property {string[]} [apiKeys] keys, or access tokens of logins
 * @property {(entry: RequestEntry) => void} [record]
 *
 * @typedef {object} RequestEntry
 * @property {string} time
 * @property {string} method
 * @property {string} path
 * @property {number} status
 * @property {string} [token] fingerprint of the credential that was sent
 * @property {string} [header] the header that it was sent in
 * @property {string} [wrong] why it was refused
 *
 * @typedef {import('node:http').IncomingHttpHeaders} Headers
 * @typedef {{ headers: Headers, body: string }} Call
 * @typedef {{ json?: unknown, events?: { type: string }[] }} Reply
 */

const readBody = async (/** @type {import('node:http').IncomingMessage} */ request) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Refusal(413, 'invalid_request_error', 'body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** The object in the body of a call. @returns {Record<string, any>} */
export const readJson = (/** @type {Call} */ { headers, body }) => {
  try {
    if (/^application\/json\b/.test(headers['content-type'] ?? '')) return JSON.parse(body);
  } catch {
    // Said below.
  }
  throw new Refusal(400, 'invalid_request_error', 'body is not JSON');
};

/**
 * What the operator asked: the text parts of the last message of theirs that has
 * some, without the reminders that a client wraps in tags.
 */
export const promptOf = (/** @type {{ role?: string, content?: unknown }[]} */ messages) => {
  const asks = messages
    .filter(({ role }) => role === 'user')
    .map(({ content }) => {
      const parts = Array.isArray(content) ? content : [{ text: String(content) }];
      return parts
        .map(({ text }) => (typeof text === 'string' && !/^\s*</.test(text) ? text.trim() : ''))
        .filter(Boolean)
        .join(' ');
    });
  return asks.filter(Boolean).at(-1) ?? '';
};

/** The credential of a request; a key in a header of its own before anything else. */
const credentialIn = (/** @type {Headers} */ headers) => {
  const key = headers['x-api-key'];
  if (typeof key === 'string') return { secret: key, header: 'x-api-key' };
  const secret = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  return secret === undefined ? undefined : { secret, header: 'authorization' };
};

/**
 * A server with these routes (`METHOD /path`), not yet listening. Answers are JSON,
 * or a stream of named events; refusals have the form that `describe` gives them.
 *
 * @param {Record<string, (call: Call) => Reply>} routes
 * @param {(refusal: Refusal) => object} describe
 * @param {ServerOptions} options
 */
export const createFakeServer = (routes, describe, { apiKeys = [], record }) => {
  const known = new Set(apiKeys);

  const serve = async (
    /** @type {import('node:http').IncomingMessage} */ request,
    /** @type {string | undefined} */ secret,
  ) => {
    // Read to its end in any case: a client that is still sending takes an early answer for a broken line.
    const body = await readBody(request);
    if (secret === undefined) throw new Refusal(401, 'authentication_error', 'no credential');
    if (!known.has(secret)) throw new Refusal(401, 'authentication_error', 'unknown credential');
    const name = `${request.method} ${request.url?.replace(/\?.*/s, '')}`;
    const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
    if (!route) throw new Refusal(404, 'not_found_error', 'no such endpoint');
    return route({ headers: request.headers, body });
  };

  return createServer(async (request, response) => {
    const { method = '', url = '', headers } = request;
    const sent = credentialIn(headers);
    const entry = {
      time: new Date().toISOString(),
      method,
      // A query could carry anything, a credential among it.
      path: url.replace(/\?.*/s, '?…'),
      ...(sent && { token: fingerprint(sent.secret), header: sent.header }),
    };
    try {
      const { events, json } = await serve(request, sent?.secret);
      // Recorded before it is answered: who has the answer can rely on the record.
      record?.({ ...entry, status: 200 });
      const blocks = events?.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      response.writeHead(200, { 'content-type': blocks ? 'text/event-stream' : 'application/json' });
      response.end(blocks?.join('') ?? JSON.stringify(json));
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'api_error', String(error));
      record?.({ ...entry, status: refusal.status, wrong: refusal.message });
      response.writeHead(refusal.status, { 'content-type': 'application/json' }).end(JSON.stringify(describe(refusal)));
    }
  });
};
