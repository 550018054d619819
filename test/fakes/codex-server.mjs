// OpenAI's API as Codex asks it, as far as one answer needs it: under /v1 with a
// key, under /backend-api with a ChatGPT login. Codex finds it through a model
// provider of its configuration. How it is run: see run-server.mjs.
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { createFakeServer, promptOf, readJson, Refusal } from './fake-server.mjs';
import { runFakeServer } from './run-server.mjs';

/** @typedef {import('./fake-server.mjs').Call} Call */

/** The account that a login works for stands in a header of its own. */
const accountOf = (/** @type {Call} */ { headers }) => {
  const account = headers['chatgpt-account-id'];
  if (typeof account !== 'string') throw new Refusal(400, 'invalid_request_error', 'no ChatGPT-Account-Id header');
  return account;
};

const answer = (/** @type {Call} */ call) => {
  const { model, input, stream } = readJson(call);
  if (!String(model).startsWith('gpt-')) throw new Refusal(404, 'not_found_error', `model: ${model}`);
  if (!Array.isArray(input)) throw new Refusal(400, 'invalid_request_error', 'no input');
  if (!stream) throw new Refusal(400, 'invalid_request_error', 'not asked for a stream');
  const id = randomBytes(8).toString('hex');
  const text = `fake codex heard: ${promptOf(input)}`;
  const item = { id: `msg_${id}`, type: 'message', role: 'assistant' };
  const done = { ...item, status: 'completed', content: [{ type: 'output_text', text, annotations: [] }] };
  const response = { id: `resp_${id}`, object: 'response', model, status: 'in_progress', output: [] };
  const usage = {
    input_tokens: 8,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 8,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 16,
  };
  return {
    events: [
      { type: 'response.created', response },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', content: [] } },
      { type: 'response.output_text.delta', item_id: item.id, output_index: 0, content_index: 0, delta: text },
      { type: 'response.output_item.done', output_index: 0, item: done },
      { type: 'response.completed', response: { ...response, status: 'completed', output: [done], usage } },
    ],
  };
};

/** The server, not yet listening. */
export const createCodexServer = (/** @type {import('./fake-server.mjs').ServerOptions} */ options) =>
  createFakeServer(
    {
      'POST /v1/responses': answer,
      'POST /backend-api/codex/responses': (call) => {
        accountOf(call);
        return answer(call);
      },
      // Which server works for the account. Without an answer Codex asks nothing else.
      'GET /backend-api/wham/accounts/check': (call) => {
        const NONE = 'NO_CONSTRAINT';
        return { json: { accounts: [{ id: accountOf(call), workspace_backend_origin: NONE, account_routing_override: NONE }] } };
      },
    },
    ({ error, message }) => ({ error: { type: error, code: error, message: `fake codex: ${message}`, param: null } }),
    options,
  );

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createCodexServer);
