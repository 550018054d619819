import { isTable, positiveNumber, type Table, textOf } from '../agents/judge.ts';
import { KIMI_CLIENT_ID } from '../agents/kimi-hosts.ts';
import { type HttpAnswer, type RefreshOutcome, type Send, SendError } from './kimi-requests.ts';

/** Kimi's OAuth server: one request, and what its answer comes down to. */

const TIMEOUT_MS = 30_000;
const MAX_MESSAGE = 200;

/** What a server gives with a token; both ways to get one have the same answer. */
export type Grant = Extract<RefreshOutcome, { kind: 'renewed' }>['token'];

export interface OauthServer {
  oauthHost: string;
  /** Who asks, see `identityHeaders`. */
  headers: Readonly<Record<string, string>>;
}

/** POSTs a form, as Kimi Code does. Throws a `SendError`. */
export const postForm = (send: Send, { oauthHost, headers }: OauthServer, path: string, form: Record<string, string>, signal: AbortSignal): Promise<HttpAnswer> =>
  send(
    {
      method: 'POST',
      url: `${oauthHost}${path}`,
      headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams(form).toString(),
      timeoutMs: TIMEOUT_MS,
    },
    signal,
  );

/** The object that an answer holds, or an empty one: a gateway in between answers with a page. */
export const fieldsOf = (body: string): Table => {
  try {
    const value: unknown = JSON.parse(body);
    return isTable(value) ? value : {};
  } catch {
    return {};
  }
};

const messageIn = (fields: Table): string | undefined => {
  const first = (table: Table, keys: string[]): string | undefined => keys.map((key) => textOf(table, key)).find((text) => text !== undefined);
  const error = fields['error'];
  return (
    first(fields, ['error_description', 'message', 'detail', 'error']) ??
    (isTable(error) ? first(error, ['message', 'error_description', 'detail', 'code', 'type']) : undefined)
  );
};

/** What the server says of a failure: one printable line. A text that quotes one of `secrets` is left out whole. */
export const serverSays = ({ status, body }: HttpAnswer, secrets: readonly string[]): string => {
  const said = messageIn(fieldsOf(body));
  const bare = `the server answered with HTTP ${status}`;
  if (said === undefined || secrets.some((secret) => secret !== '' && said.includes(secret))) return bare;
  const line = said.replaceAll(/[^\p{L}\p{N}\p{P}\p{S}]+/gu, ' ').trim().slice(0, MAX_MESSAGE);
  return line === '' ? bare : `${line} (HTTP ${status})`;
};

/** No date can be made of some numbers. Real tokens live for minutes; one that is said to live longer than this is renewed before. */
const MAX_LIFE_S = 365 * 24 * 3600;

/** The token in an answer; undefined when a part is missing without which there is nothing to keep. */
export const grantIn = (body: string): Grant | undefined => {
  const fields = fieldsOf(body);
  const accessToken = textOf(fields, 'access_token');
  const refreshToken = textOf(fields, 'refresh_token');
  const expiresIn = positiveNumber(fields['expires_in']);
  if (accessToken === undefined || refreshToken === undefined || expiresIn === undefined) return undefined;
  // What no header can hold was damaged on its way, and nobody could use it.
  if (!/^[\x21-\x7e]+$/.test(accessToken)) return undefined;
  return { accessToken, refreshToken, expiresIn: Math.min(expiresIn, MAX_LIFE_S), scope: textOf(fields, 'scope') ?? '', tokenType: textOf(fields, 'token_type') ?? 'Bearer' };
};

/** Milliseconds in a `Retry-After`. A date is taken against the server's own clock, which may be another one than ours. */
const retryAfter = ({ headers }: HttpAnswer): { afterMs?: number } => {
  const text = headers['retry-after']?.trim() ?? '';
  const afterMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.parse(headers['date'] ?? '');
  return afterMs > 0 && Number.isFinite(afterMs) ? { afterMs } : {};
};

/** Asks once for a new token. Never throws for anything that a server or the network does. */
export const requestRefresh = async (
  send: Send,
  { refreshToken, ...server }: OauthServer & { refreshToken: string },
  signal: AbortSignal,
): Promise<RefreshOutcome> => {
  const form = { client_id: KIMI_CLIENT_ID, grant_type: 'refresh_token', refresh_token: refreshToken };
  let answer: HttpAnswer;
  try {
    answer = await postForm(send, server, '/api/oauth/token', form, signal);
  } catch (error) {
    if (!(error instanceof SendError)) throw error;
    return { kind: 'no answer', why: error.message, arrived: error.arrived };
  }
  const { status, body } = answer;
  if (status === 200) {
    const token = grantIn(body);
    if (token !== undefined) return { kind: 'renewed', token };
    return { kind: 'no answer', why: 'the server answered, but without a whole token', arrived: true };
  }
  const why = serverSays(answer, [refreshToken]);
  const fields = fieldsOf(body);
  // A page instead of an object is a gateway's, which has not asked the server: it must not end a login.
  const isServers = Object.keys(fields).length > 0;
  const isDenied = status === 401 || status === 403;
  if ((isServers && isDenied) || textOf(fields, 'error') === 'invalid_grant') return { kind: 'refused', why };
  // Whoever is denied or told to come back later has got nothing; any other failure may come after the server has renewed.
  return { kind: 'no answer', why, arrived: status !== 429 && !isDenied, ...retryAfter(answer) };
};
