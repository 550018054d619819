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
// A test in the same process can leave the network out: `makeKimi` answers too.
import { createServer } from 'node:http';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { makeAccounts, newToken, Refusal } from './kimi-accounts.mjs';
import { chat } from './kimi-chat.mjs';
import { spoil, withoutActing } from './kimi-faults.mjs';
import { fingerprint, runFakeServer } from './run-server.mjs';

export const CLIENT_ID = '17e5f671-d194-4dfb-9706-5516cb48c098';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const TOKEN_PATH = '/api/oauth/token';
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

export { fingerprint, newToken };

/**
 * @typedef {import('./kimi-faults.mjs').Answer} Answer
 * @typedef {import('./kimi-faults.mjs').Fault} Fault
 *
 * @typedef {import('./kimi-accounts.mjs').AccountRules & {
 *   apiKeys?: string[],
 *   models?: object[],
 *   usages?: 'ratios' | 'counts',
 *   faults?: (Fault | null)[],
 *   record?: (entry: RequestEntry) => void,
 * }} ServerOptions `models`: the list that /models answers with. `usages`: the shape of /usages, of Kimi
 *   Code 2.1 (the default) or of what came before. `faults`: what becomes of the next requests for a token, in order.
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
 * @property {Fault} [fault] what was made to go wrong
 * @property {string} [wrong] why it was refused
 */

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

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} body
 * @property {Partial<RequestEntry>} entry
 */

/** How much of the quota is used, as Kimi Code 2.1 reads it or as those before it did. */
const usagesAt = (/** @type {number} */ now, /** @type {ServerOptions['usages']} */ shape = 'ratios') => {
  const inAnHour = new Date((now + 3600) * 1000).toISOString();
  if (shape === 'ratios') {
    return { usages: { limit_5h: { used_ratio: 0.12, reset_time: inAnHour }, limit_7d: { used_ratio: 0.4, reset_time: inAnHour } } };
  }
  return {
    usage: { used: '40', limit: '100', resetTime: inAnHour },
    limits: [{ window: { duration: 300, timeUnit: 'TIME_UNIT_MINUTE' }, detail: { used: '12', limit: '100', resetTime: inAnHour } }],
  };
};

/** @returns {Record<string, (call: Call) => { json?: unknown, text?: string, events?: unknown[] }>} */
const makeRoutes = (
  /** @type {ReturnType<typeof makeAccounts>} */ accounts,
  /** @type {() => number} */ now,
  /** @type {ServerOptions} */ options,
) => {
  const apiKeys = new Set(options.apiKeys ?? []);
  const models = /** @type {{ id: string }[]} */ (options.models ?? MODELS);
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
      const { code, expiresIn, interval } = accounts.startDevice(String(call.headers['x-msh-device-id']));
      return {
        json: {
          user_code: 'FAKE-KIMI',
          device_code: code,
          verification_uri: page,
          verification_uri_complete: `${page}?user_code=FAKE-KIMI`,
          expires_in: expiresIn,
          interval,
        },
      };
    },

    [`POST ${TOKEN_PATH}`]: (call) => {
      checkIdentity(call.headers);
      const { accessToken, refreshToken, expiresIn } = grant(call);
      call.entry.issued = { token: fingerprint(accessToken), refresh: fingerprint(refreshToken) };
      return {
        json: {
          access_token: accessToken,
          refresh_token: refreshToken,
          expires_in: expiresIn,
          scope: 'kimi-code',
          token_type: 'Bearer',
        },
      };
    },

    'GET /coding/v1/models': (call) => {
      checkBearer(call, { identity: false });
      return { json: { object: 'list', data: models } };
    },

    'GET /coding/v1/usages': (call) => {
      checkBearer(call, { identity: false });
      return { json: usagesAt(now(), options.usages) };
    },

    'POST /coding/v1/chat/completions': (call) => {
      checkBearer(call);
      const asked = readJson(call);
      if (!models.some(({ id }) => id === asked.model)) throw new Refusal(404, 'model_not_found', 'unknown model');
      return chat(asked, now());
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
 * The server without a network: what it answers, and what it can be asked about itself.
 * @param {ServerOptions} options
 */
export const makeKimi = (options) => {
  const now = options.now ?? (() => Date.now() / 1000);
  const accounts = makeAccounts(options);
  const routes = makeRoutes(accounts, now, options);
  const faults = [...(options.faults ?? [])];

  /** @returns {Answer} */
  const serve = (/** @type {Call} */ call, /** @type {RequestEntry} */ entry) => {
    const date = new Date((now() + (options.clockOffset ?? 0)) * 1000).toUTCString();
    try {
      const key = `${call.method} ${call.path}`;
      if (!Object.hasOwn(routes, key)) throw new Refusal(404, 'not_found', 'no such endpoint');
      const { json, text, events } = /** @type {any} */ (routes)[key](call);
      entry.status = 200;
      if (events) {
        const lines = [...events.map((/** @type {unknown} */ event) => JSON.stringify(event)), '[DONE]'];
        return { status: 200, headers: { date, 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }, body: lines.map((line) => `data: ${line}\n\n`).join('') };
      }
      const type = text === undefined ? 'application/json' : 'text/markdown; charset=utf-8';
      return { status: 200, headers: { date, 'content-type': type }, body: text ?? JSON.stringify(json) };
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'server_error', String(error));
      entry.status = refusal.status;
      entry.wrong = refusal.message;
      const body = JSON.stringify({ error: refusal.error, error_description: `fake kimi: ${refusal.message}` });
      return { status: refusal.status, headers: { date, 'content-type': 'application/json' }, body };
    }
  };

  return {
    /** @returns {Answer} */
    answer(/** @type {{ method: string, path: string, headers: import('node:http').IncomingHttpHeaders, body: string }} */ { method, path, headers, body }) {
      const bearer = headers.authorization?.replace(/^Bearer /, '');
      const device = headers['x-msh-device-id'];
      /** @type {RequestEntry} */
      const entry = {
        time: new Date(now() * 1000).toISOString(),
        method,
        // A query could carry anything, a token among it.
        path: path.replace(/\?.*/s, '?…'),
        status: 0,
        ...(bearer && { token: fingerprint(bearer) }),
        ...(device && { device: fingerprint(String(device)) }),
      };
      const fault = path === TOKEN_PATH ? (faults.shift() ?? undefined) : undefined;
      if (fault) entry.fault = fault;
      const answer = withoutActing(fault) ?? serve({ method, path, headers, body, entry }, entry);
      entry.status = answer.status;
      // Recorded before it is answered: who has the answer can rely on the record.
      options.record?.(entry);
      return fault ? spoil(answer, fault) : answer;
    },
    /** What becomes of the requests for a token that come next; null is an undisturbed one. */
    schedule: (/** @type {(Fault | null)[]} */ ...more) => void faults.push(...more),
    /** Forgets what was scheduled and has not happened yet. */
    calm: () => void faults.splice(0),
    report: accounts.report,
  };
};

/**
 * The server, not yet listening.
 * @param {ServerOptions} options
 */
export const createKimiServer = (options, kimi = makeKimi(options)) =>
  createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request;
    const body = await readBody(request).catch((error) => error);
    if (body instanceof Refusal) {
      response.writeHead(body.status, { connection: 'close' }).end();
      return;
    }
    const { status, headers: fields, body: text, broken, delay = 0 } = kimi.answer({ method, path, headers, body });
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay * 1000));
    if (broken === 'before' || broken === 'after') {
      response.socket?.resetAndDestroy();
      return;
    }
    response.writeHead(status, { ...fields, 'content-length': Buffer.byteLength(text) });
    if (broken === undefined) response.end(text);
    else response.write(text.slice(0, text.length / 2), () => response.socket?.destroy());
  });

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createKimiServer);
