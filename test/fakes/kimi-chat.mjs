// What the fake Kimi says. A prompt may ask for more than an echo: with
// `tool-sleep 20 turns 3` in it, Kimi is told to sleep in its shell, 20 seconds
// at a time and three times over, so that one session spans several requests.
import { randomBytes } from 'node:crypto';
import { Refusal } from './kimi-accounts.mjs';

/** @typedef {{ role: string, content?: unknown }} Message */

const textIn = (/** @type {Message} */ { content }) => {
  const parts = Array.isArray(content) ? content : [{ type: 'text', text: String(content) }];
  return parts
    .filter(({ type, text }) => type === 'text' && !/^\s*</.test(text))
    .map(({ text }) => text.trim())
    .join(' ');
};

/** What the last user message says, without the reminders that a client wraps in tags, and what was said since. */
const lastAsk = (/** @type {Message[]} */ messages) => {
  const at = messages.findLastIndex((message) => message.role === 'user' && textIn(message) !== '');
  const since = messages.slice(at + 1);
  const results = since.filter(({ role }) => role === 'tool').length;
  return { prompt: at === -1 ? '' : textIn(/** @type {Message} */ (messages[at])), results };
};

/** The name of the tool that runs a command: whatever takes one. */
const shellAmong = (/** @type {{ function?: { name: string, parameters?: { properties?: object } } }[]} */ tools) => {
  const shell = tools.find((tool) => Object.hasOwn(tool.function?.parameters?.properties ?? {}, 'command'));
  if (!shell?.function) throw new Refusal(400, 'invalid_request', 'no tool runs a command');
  return shell.function.name;
};

/** The message that answers a conversation, and why it ends there. */
const answerTo = (/** @type {Message[]} */ messages, /** @type {any[]} */ tools) => {
  const { prompt, results } = lastAsk(messages);
  const seconds = /\btool-sleep (\d+)/.exec(prompt)?.[1];
  const turns = seconds === undefined ? 0 : Number(/\bturns (\d+)/.exec(prompt)?.[1] ?? 1);
  if (results >= turns) return { delta: { content: `fake kimi heard: ${prompt}` }, reason: 'stop' };
  const call = {
    index: 0,
    id: `call_${randomBytes(6).toString('hex')}`,
    type: 'function',
    function: { name: shellAmong(tools), arguments: JSON.stringify({ command: `sleep ${seconds}`, timeout: Number(seconds) + 30, description: 'sleep' }) },
  };
  return { delta: { tool_calls: [call] }, reason: 'tool_calls' };
};

/**
 * The answer to a chat request, whole or as the events of a stream.
 * @param {Record<string, any>} request
 * @param {number} created Unix seconds
 */
export const chat = ({ model, messages, tools = [], stream }, created) => {
  if (!Array.isArray(messages)) throw new Refusal(400, 'invalid_request', 'no messages');
  const head = { id: `chatcmpl-${randomBytes(8).toString('hex')}`, created: Math.floor(created), model };
  const usage = { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 };
  const { delta, reason } = answerTo(messages, tools);
  if (!stream) {
    const choices = [{ index: 0, message: { role: 'assistant', ...delta }, finish_reason: reason }];
    return { json: { ...head, object: 'chat.completion', choices, usage } };
  }
  const chunk = (/** @type {object} */ piece, /** @type {string | null} */ finish_reason) => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: piece, finish_reason }],
  });
  return { events: [chunk({ role: 'assistant', content: '' }, null), chunk(delta, null), { ...chunk({}, reason), usage }] };
};
