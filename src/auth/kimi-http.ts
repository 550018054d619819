import type { Agent, IncomingMessage } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import { type HttpAnswer, type HttpRequest, type Send, SendError } from './kimi-requests.ts';

/** What Kimi's servers answer is a few kilobytes; whatever sends more is something else. */
const MAX_ANSWER_BYTES = 1024 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection broke off',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no network',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name could not be looked up',
  ETIMEDOUT: 'the connection timed out',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

/** The code and not the message, which may quote an address with a password of a proxy. */
const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (code === '' ? 'the connection failed' : `the connection failed (${code})`);
};

type Env = Readonly<Record<string, string | undefined>>;

const isLoopback = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);

const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80');

/** Whether `NO_PROXY` names the host: itself or a domain above it, with or without a port, or `*`. */
const isExempt = (url: URL, list: string): boolean =>
  list.split(/[\s,]+/).some((entry) => {
    const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (name === '' || (port !== undefined && port !== portOf(url))) return false;
    const domain = name.replace(/^\*?\.?/, '');
    return name === '*' || url.hostname === domain || (domain !== '' && url.hostname.endsWith(`.${domain}`));
  });

/** The proxy that the environment asks for; undefined for a direct connection. The lower-case name wins, as in curl. */
export const proxyFor = (url: URL, env: Env): string | undefined => {
  const read = (name: string): string | undefined => env[name.toLowerCase()] || env[name] || undefined;
  if (isLoopback(url.hostname) || isExempt(url, read('NO_PROXY') ?? '')) return undefined;
  const proxy = read(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? read('ALL_PROXY');
  return proxy === undefined || proxy.includes('://') ? proxy : `http://${proxy}`;
};

/**
 * A tunnel, for plain HTTP as well: what a proxy refuses must never pass for the
 * server's own refusal, since that one ends a login.
 */
const tunnelThrough = async (proxy: string): Promise<Agent> => {
  if (!/^https?:/.test(proxy)) throw new SendError('the proxy of the environment is of a kind that jackin does not know', false);
  const { default: { HttpsProxyAgent } } = await import('https-proxy-agent');
  try {
    return new HttpsProxyAgent(proxy);
  } catch {
    throw new SendError('the proxy of the environment has no address that makes sense', false);
  }
};

const readAnswer = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new SendError('the answer is too long', true);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const headersOf = ({ headers }: IncomingMessage): HttpAnswer['headers'] =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]));

const exchange = ({ method, headers, body, timeoutMs }: HttpRequest, url: URL, agent: Agent | false, signal: AbortSignal): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    let arrived = false;
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    const request = (secure ? https : http).request(url, { method, agent, headers: { ...headers, ...length, Connection: 'close' } });

    const fail = (why: string): void => void request.destroy(new SendError(why, arrived));
    const onAbort = (): void => fail('it was interrupted');
    const timer = setTimeout(() => fail(`there was no answer within ${timeoutMs / 1000} seconds`), timeoutMs);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      request.destroy();
      settle();
    };
    const give = (error: unknown): void => finish(() => reject(error instanceof SendError ? error : new SendError(`${agent !== false && !arrived ? 'through the proxy: ' : ''}${reasonOf(error)}`, arrived)));

    signal.addEventListener('abort', onAbort, { once: true });
    // Until the connection stands nothing has left this machine; from then on the server may have everything.
    request.once('socket', (socket) => {
      if (!secure && !socket.connecting) arrived = true;
      socket.once(secure ? 'secureConnect' : 'connect', () => (arrived = true));
    });
    // The library would hand on a proxy's refusal as if the server had answered.
    request.on('proxyConnect' as 'socket', (answer: unknown) => {
      const { statusCode } = answer as { statusCode: number };
      if (statusCode !== 200) fail(`the proxy does not let it through (HTTP ${statusCode})`);
    });
    request.on('error', give);
    request.once('response', (response) => {
      const status = response.statusCode ?? 0;
      readAnswer(response).then((text) => finish(() => resolve({ status, headers: headersOf(response), body: text })), give);
    });
    request.end(body);
    if (signal.aborted) onAbort();
  });

/** Sends over HTTP(S), through the proxy that the environment names; never over a connection that was used before. */
export const createSend = (env: Env): Send => async (request, signal) => {
  const url = new URL(request.url);
  const proxy = proxyFor(url, env);
  return exchange(request, url, proxy === undefined ? false : await tunnelThrough(proxy), signal);
};
