import type { KimiHosts } from '../agents/kimi-hosts.ts';
import { type KimiModel, parseModels } from '../agents/kimi-models.ts';
import { JackinError } from '../shared/errors.ts';
import { serverSays } from './kimi-oauth.ts';
import { type HttpAnswer, type Send, SendError } from './kimi-requests.ts';

const TIMEOUT_MS = 30_000;

interface Asking extends Pick<KimiHosts, 'baseUrl'> {
  accessToken: string;
  /** Who asks; without any for a login of the host, of which jackin is no device. */
  headers: Readonly<Record<string, string>>;
}

/** Asks which models an account may use. Throws `auth.dead` when the server does not take the token, else `failed`. */
export const requestModels = async (send: Send, { baseUrl, accessToken, headers }: Asking, signal: AbortSignal): Promise<KimiModel[]> => {
  const what = `${baseUrl} does not say which models there are`;
  const request = { method: 'GET' as const, url: `${baseUrl}/models`, headers: { ...headers, Authorization: `Bearer ${accessToken}`, Accept: 'application/json' }, timeoutMs: TIMEOUT_MS };
  let answer: HttpAnswer;
  try {
    answer = await send(request, signal);
  } catch (error) {
    if (!(error instanceof SendError)) throw error;
    if (signal.aborted) throw new JackinError('interrupted', 'asking for the models: interrupted');
    throw new JackinError('failed', `${what}: ${error.message}`, { cause: error });
  }
  if (answer.status !== 200) {
    const refused = [401, 402, 403].includes(answer.status);
    const hint = refused ? { hint: 'ask again in a minute; when it stays so, log in again with `jackin login kimi`' } : {};
    throw new JackinError(refused ? 'auth.dead' : 'failed', `${what}: ${serverSays(answer, [accessToken])}`, hint);
  }
  const parsed = parseModels(answer.body);
  if ('broken' in parsed) throw new JackinError('failed', `${what}: its answer makes no sense (${parsed.broken})`);
  return parsed.models;
};
