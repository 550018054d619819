// A Kimi that can be held in one hand: OAuth, models, usage, chat, search and
// fetch, as Kimi Code asks for them. It believes nothing: a request is served
// only with a live token, the device id that belongs to it and a body of the
// right form. What it saw is printed as one JSON line per request, with
// fingerprints in place of every secret.
//
//   node kimi-server.mjs [--config FILE|-] [--listen ADDRESS:PORT] [--ttl SECONDS]
//
// Tokens come in through the file (0600) or stdin, never argv. Node built-ins
// only: the demo runs this very file, and those beside it, inside a container.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { fingerprint, runFakeServer } from './run-server.mjs';

export const CLIENT_ID = '17e5f671-d194-4dfb-9706-5516cb48c098';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const MAX_BODY_BYTES = 16 * 1024 * 1024;

const MODELS = [
  {
    id: 'kimi-for-coding',
    display_name: 'Kimi for Coding',
    context_length: 262144,
    supports_reasoning: true,
    supports_image_in: true,
    supports_video_in: true,
    supports_thinking_type: 'both',
    think_efforts: { support: true, valid_efforts: ['low', 'high', 'max'], default_effort: 'high' },
  },
];

export { fingerprint };

/** A token of the form that real ones have: a JWT with nobody's signature. */
export const newToken = (/** @type {string} */ subject, /** @type {number} */ expiresAt) => {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const payload = { sub: subject, exp: Math.floor(expiresAt), jti: randomBytes(12).toString('hex') };
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}.${randomBytes(32).toString('base64url')}`;
};

/** What is wrong with a request; the answer it gets and the word that is recorded. */
class Refusal extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ error, /** @type {string} */ wrong) {
    super(wrong);
    this.status = status;
    this.error = error;
  }
}

/**
 * @typedef {object} KnownLogin
 * @property {string} deviceId
 * @property {string} accessToken
 * @property {string} refreshToken
 * @property {number} expiresAt Unix seconds; the server itself refuses the access token after it.
 * @property {string} [subject] the account; carried on into refreshed tokens
 *
 * @typedef {object} ServerOptions
 * @property {KnownLogin[]} [logins]
 * @property {string[]} [apiKeys]
 * @property {number} [expiresIn] lifetime of the tokens that it issues, in seconds
 * @property {(entry: RequestEntry) => void} [record]
 *
 * @typedef {object} RequestEntry
 * @property {string} time
 * @property {string} method
 * @property {string} path
 * @property {number} status
 * @property {string} [token] fingerprint of the bearer token that was sent
 * @property {string} [refresh] fingerprint of the refresh token that was sent
 * @property {string} [device] fingerprint of the device id that was sent
 * @property {{ token: string, refresh: string }} [issued] fingerprints of what was given out
 * @property {string} [wrong] why it was refused
 */

/** The logins that live on the server; refresh tokens work once, and a refresh ends the old access token. */
const makeAccounts = (/** @type {ServerOptions} */ options) => {
  const expiresIn = options.expiresIn ?? 900;
  const logins = (options.logins ?? []).map((login) => ({ subject: 'somebody', ...login }));
  const codes = new Map();
  const used = new Set();

  const issue = (/** @type {(typeof logins)[number]} */ login) => {
    const now = Date.now() / 1000;
    if (login.refreshToken) used.add(login.refreshToken);
    login.accessToken = newToken(login.subject, now + expiresIn);
    login.refreshToken = newToken(login.subject, now + 30 * 24 * 3600);
    login.expiresAt = now + expiresIn;
    return login;
  };

  return {
    expiresIn,
    byAccessToken(/** @type {string} */ token) {
      const login = logins.find((known) => known.accessToken === token);
      if (!login) throw new Refusal(401, 'invalid_token', 'unknown access token');
      if (login.expiresAt <= Date.now() / 1000) throw new Refusal(401, 'invalid_token', 'expired access token');
      return login;
    },
    refresh(/** @type {string} */ token, /** @type {string} */ deviceId) {
      if (used.has(token)) throw new Refusal(400, 'invalid_grant', 'refresh token was used before');
      const login = token ? logins.find((known) => known.refreshToken === token) : undefined;
      if (!login) throw new Refusal(400, 'invalid_grant', 'unknown refresh token');
      if (login.deviceId !== deviceId) throw new Refusal(400, 'invalid_grant', 'refresh from another device');
      return issue(login);
    },
    startDevice(/** @type {string} */ deviceId) {
      const code = randomBytes(20).toString('hex');
      codes.set(code, { deviceId, polls: 0 });
      return code;
    },
    /** The first poll is pending, the second is granted: enough to see that a client waits. */
    pollDevice(/** @type {string} */ code, /** @type {string} */ deviceId) {
      const pending = codes.get(code);
      if (!pending || pending.deviceId !== deviceId) throw new Refusal(400, 'invalid_grant', 'unknown device code');
      pending.polls += 1;
      if (pending.polls < 2) throw new Refusal(400, 'authorization_pending', 'not yet granted');
      codes.delete(code);
      const login = { subject: 'somebody', deviceId, accessToken: '', refreshToken: '', expiresAt: 0 };
      logins.push(login);
      return issue(login);
    },
  };
};

/** Every identity header that the real server may look at must be there. */
const checkIdentity = (/** @type {import('node:http').IncomingHttpHeaders} */ headers) => {
  if (!/^(kimi-code-cli|KimiCLI)\/\d/.test(headers['user-agent'] ?? '')) {
    throw new Refusal(403, 'access_terminated_error', 'not the User-Agent of a Kimi');
  }
  for (const name of ['platform', 'version', 'device-name', 'device-model', 'os-version', 'device-id']) {
    if (!headers[`x-msh-${name}`]) throw new Refusal(400, 'invalid_request', `no X-Msh-${name} header`);
  }
  if (!['kimi_code_cli', 'kimi_cli'].includes(String(headers['x-msh-platform']))) {
    throw new Refusal(400, 'invalid_request', 'unknown X-Msh-Platform');
  }
};

/**
 * The form, when it has exactly these fields, each once.
 * @returns {Record<string, any>}
 */
const readForm = (/** @type {Call} */ call, /** @type {string[]} */ fields) => {
  if (!/^application\/x-www-form-urlencoded\b/.test(call.headers['content-type'] ?? '')) {
    throw new Refusal(400, 'invalid_request', 'body is not a form');
  }
  const pairs = [...new URLSearchParams(call.body)];
  const names = pairs.map(([name]) => name).sort();
  if (names.join() !== [...fields].sort().join()) {
    throw new Refusal(400, 'invalid_request', `form has ${names.join(' ') || 'no fields'}`);
  }
  const form = Object.fromEntries(pairs);
  if (form.client_id !== CLIENT_ID) throw new Refusal(401, 'invalid_client', 'another client id');
  return form;
};

const readJson = (/** @type {Call} */ call) => {
  if (!/^application\/json\b/.test(call.headers['content-type'] ?? '')) {
    throw new Refusal(400, 'invalid_request', 'body is not JSON');
  }
  try {
    return JSON.parse(call.body);
  } catch {
    throw new Refusal(400, 'invalid_request', 'body is not JSON');
  }
};

/** What the last user message says, without the reminders that a client wraps in tags. */
const promptOf = (/** @type {{ role: string, content: unknown }[]} */ messages) => {
  const asks = messages.filter(({ role }) => role === 'user').map(({ content }) => {
    const parts = Array.isArray(content) ? content : [{ type: 'text', text: String(content) }];
    return parts
      .filter(({ type, text }) => type === 'text' && !/^\s*</.test(text))
      .map(({ text }) => text.trim())
      .join(' ');
  });
  return asks.filter(Boolean).at(-1) ?? '';
};

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} body
 * @property {Partial<RequestEntry>} entry
 */

/** @returns {Record<string, (call: Call) => { json?: unknown, text?: string, events?: unknown[] }>} */
const makeRoutes = (/** @type {ReturnType<typeof makeAccounts>} */ accounts, /** @type {Set<string>} */ apiKeys) => {
  const checkBearer = (/** @type {Call} */ call, { identity = true } = {}) => {
    const token = /^Bearer (\S+)$/.exec(call.headers.authorization ?? '')?.[1];
    if (!token) throw new Refusal(401, 'invalid_token', 'no bearer token');
    if (identity) checkIdentity(call.headers);
    if (apiKeys.has(token)) return;
    const login = accounts.byAccessToken(token);
    const deviceId = call.headers['x-msh-device-id'];
    if ((identity || deviceId !== undefined) && deviceId !== login.deviceId) {
      throw new Refusal(403, 'access_denied', 'token of another device');
    }
  };

  const grant = (/** @type {Call} */ call) => {
    const form = new URLSearchParams(call.body);
    const deviceId = String(call.headers['x-msh-device-id']);
    if (form.get('grant_type') === DEVICE_GRANT) {
      const { device_code } = readForm(call, ['client_id', 'device_code', 'grant_type']);
      return accounts.pollDevice(device_code, deviceId);
    }
    if (form.get('grant_type') !== 'refresh_token') {
      throw new Refusal(400, 'unsupported_grant_type', 'unknown grant type');
    }
    const { refresh_token } = readForm(call, ['client_id', 'grant_type', 'refresh_token']);
    call.entry.refresh = fingerprint(refresh_token);
    return accounts.refresh(refresh_token, deviceId);
  };

  return {
    'POST /api/oauth/device_authorization': (call) => {
      checkIdentity(call.headers);
      readForm(call, ['client_id']);
      const page = `http://${call.headers.host}/device`;
      return {
        json: {
          user_code: 'FAKE-KIMI',
          device_code: accounts.startDevice(String(call.headers['x-msh-device-id'])),
          verification_uri: page,
          verification_uri_complete: `${page}?user_code=FAKE-KIMI`,
          expires_in: 600,
          interval: 1,
        },
      };
    },

    'POST /api/oauth/token': (call) => {
      checkIdentity(call.headers);
      const { accessToken, refreshToken } = grant(call);
      call.entry.issued = { token: fingerprint(accessToken), refresh: fingerprint(refreshToken) };
      return {
        json: {
          access_token: accessToken,
          refresh_token: refreshToken,
          expires_in: accounts.expiresIn,
          scope: 'kimi-code',
          token_type: 'Bearer',
        },
      };
    },

    'GET /coding/v1/models': (call) => {
      checkBearer(call, { identity: false });
      return { json: { object: 'list', data: MODELS } };
    },

    'GET /coding/v1/usages': (call) => {
      checkBearer(call, { identity: false });
      const reset_time = new Date(Date.now() + 3600_000).toISOString();
      return {
        json: { usages: { limit_5h: { used_ratio: 0.12, reset_time }, limit_7d: { used_ratio: 0.4, reset_time } } },
      };
    },

    'POST /coding/v1/chat/completions': (call) => {
      checkBearer(call);
      const { model, messages, stream } = readJson(call);
      if (!MODELS.some(({ id }) => id === model)) throw new Refusal(404, 'model_not_found', 'unknown model');
      if (!Array.isArray(messages)) throw new Refusal(400, 'invalid_request', 'no messages');
      const head = { id: `chatcmpl-${randomBytes(8).toString('hex')}`, created: Math.floor(Date.now() / 1000), model };
      const content = `fake kimi heard: ${promptOf(messages)}`;
      const usage = { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 };
      if (!stream) {
        const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
        return { json: { ...head, object: 'chat.completion', choices, usage } };
      }
      const chunk = (/** @type {object} */ delta, /** @type {string | null} */ finish_reason) => ({
        ...head,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, finish_reason }],
      });
      return {
        events: [
          chunk({ role: 'assistant', content: '' }, null),
          chunk({ content }, null),
          { ...chunk({}, 'stop'), usage },
        ],
      };
    },

    'POST /coding/v1/search': (call) => {
      checkBearer(call);
      const { text_query } = readJson(call);
      const result = { title: `About ${text_query}`, url: 'http://kimi.demo/found', snippet: 'found', site_name: 'demo' };
      return { json: { search_results: [result] } };
    },

    'POST /coding/v1/fetch': (call) => {
      checkBearer(call);
      return { text: `# Page\n\n${readJson(call).url}\n` };
    },

    'POST /coding/v1/tools': (call) => {
      checkBearer(call);
      if (readJson(call).method !== 'chat_title') throw new Refusal(404, 'not_found', 'unknown tool method');
      return { json: { title: 'A chat' } };
    },
  };
};

const readBody = async (/** @type {import('node:http').IncomingMessage} */ request) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Refusal(413, 'invalid_request', 'body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/**
 * The server, not yet listening.
 * @param {ServerOptions} options
 */
export const createKimiServer = (options) => {
  const routes = makeRoutes(makeAccounts(options), new Set(options.apiKeys ?? []));

  return createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request;
    const bearer = headers.authorization?.replace(/^Bearer /, '');
    const device = headers['x-msh-device-id'];
    /** @type {Partial<RequestEntry>} */
    const entry = {
      time: new Date().toISOString(),
      method,
      // A query could carry anything, a token among it.
      path: path.replace(/\?.*/s, '?…'),
      ...(bearer && { token: fingerprint(bearer) }),
      ...(device && { device: fingerprint(String(device)) }),
    };
    let reply;
    try {
      const body = await readBody(request);
      const route = Object.hasOwn(routes, `${method} ${path}`) ? routes[`${method} ${path}`] : undefined;
      if (!route) throw new Refusal(404, 'not_found', 'no such endpoint');
      reply = route({ method, path, headers, body, entry });
      entry.status = 200;
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'server_error', String(error));
      entry.status = refusal.status;
      entry.wrong = refusal.message;
      reply = { json: { error: refusal.error, error_description: `fake kimi: ${refusal.message}` } };
    }
    // Recorded before it is answered: who has the answer can rely on the record.
    options.record?.(/** @type {RequestEntry} */ (entry));

    if (reply.events) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      for (const event of reply.events) response.write(`data: ${JSON.stringify(event)}\n\n`);
      response.end('data: [DONE]\n\n');
      return;
    }
    const type = reply.text === undefined ? 'application/json' : 'text/markdown; charset=utf-8';
    response.writeHead(entry.status, { 'content-type': type }).end(reply.text ?? JSON.stringify(reply.json));
  });
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createKimiServer);
