// Anthropic's API as Claude Code asks it, as far as one message needs it. Claude
// finds it through ANTHROPIC_BASE_URL. How it is run: see run-server.mjs.
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { createFakeServer, promptOf, readJson, Refusal } from './fake-server.mjs';
import { runFakeServer } from './run-server.mjs';

const answer = (/** @type {import('./fake-server.mjs').Call} */ call) => {
  if (!call.headers['anthropic-version']) throw new Refusal(400, 'invalid_request_error', 'no anthropic-version header');
  const { model, messages, stream } = readJson(call);
  if (!String(model).startsWith('claude-')) throw new Refusal(404, 'not_found_error', `model: ${model}`);
  if (!Array.isArray(messages)) throw new Refusal(400, 'invalid_request_error', 'no messages');
  const text = `fake claude heard: ${promptOf(messages)}`;
  const usage = { input_tokens: 8, output_tokens: 8 };
  const message = { id: `msg_${randomBytes(8).toString('hex')}`, type: 'message', role: 'assistant', model };
  if (!stream) {
    return { json: { ...message, content: [{ type: 'text', text }], stop_reason: 'end_turn', stop_sequence: null, usage } };
  }
  return {
    events: [
      { type: 'message_start', message: { ...message, content: [], stop_reason: null, stop_sequence: null, usage } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
      { type: 'message_stop' },
    ],
  };
};

/** The server, not yet listening. */
export const createClaudeServer = (/** @type {import('./fake-server.mjs').ServerOptions} */ options) =>
  createFakeServer(
    { 'POST /v1/messages': answer },
    ({ error, message }) => ({ type: 'error', error: { type: error, message: `fake claude: ${message}` } }),
    options,
  );

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runFakeServer(createClaudeServer);
