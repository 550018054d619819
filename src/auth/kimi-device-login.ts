import { positiveNumber, textOf } from '../agents/judge.ts';
import { KIMI_CLIENT_ID } from '../agents/kimi-hosts.ts';
import { JackinError } from '../shared/errors.ts';
import { fieldsOf, type Grant, grantIn, type OauthServer, postForm, serverSays } from './kimi-oauth.ts';
import { type HttpAnswer, type Send, SendError } from './kimi-requests.ts';

/** Logging in with a code that a person confirms in a browser (RFC 8628), as Kimi Code does it. */

const LIMIT_MS = 15 * 60_000;
const DEFAULT_INTERVAL_S = 5;
const SLOWER_BY_S = 5;
/** A laptop that was closed has no network for a while after it is opened. */
const LOST_POLLS = 5;

/** What a person needs to confirm a login. Not a secret: without the device code, which stays here, it gives no token. */
export interface DeviceCode {
  userCode: string;
  url: string;
  /** Seconds that it is waited for at most; undefined when the server does not say. */
  expiresIn: number | undefined;
}

interface Waiting {
  /** Milliseconds. */
  now: () => number;
  /** Ends early with an error when the signal is aborted. */
  sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  signal: AbortSignal;
  /** Called for each code: when one runs out, there is another. */
  onCode: (code: DeviceCode) => void;
}

interface Asked extends DeviceCode {
  deviceCode: string;
  intervalS: number;
}

const failed = (what: string, why: string): JackinError =>
  new JackinError('failed', `${what}: ${why}`, { hint: 'nothing was changed; run the same command again' });

const requestCode = async (send: Send, server: OauthServer, signal: AbortSignal): Promise<Asked> => {
  const what = `${server.oauthHost} gives no code to log in with`;
  let answer: HttpAnswer;
  try {
    answer = await postForm(send, server, '/api/oauth/device_authorization', { client_id: KIMI_CLIENT_ID }, signal);
  } catch (error) {
    throw error instanceof SendError ? failed(what, error.message) : error;
  }
  if (answer.status !== 200) throw failed(what, serverSays(answer, []));
  const fields = fieldsOf(answer.body);
  const userCode = textOf(fields, 'user_code');
  const deviceCode = textOf(fields, 'device_code');
  const url = textOf(fields, 'verification_uri_complete');
  if (userCode === undefined || deviceCode === undefined || url === undefined) throw failed(what, 'its answer is not whole');
  // A person is shown both, and told to open the one: a line break would forge lines, another scheme be something else than a page.
  if (!/^[\x20-\x7e]{1,64}$/.test(userCode) || !/^https?:\/\/[\x21-\x7e]{1,2000}$/i.test(url)) throw failed(what, 'its answer makes no sense');
  const interval = fields['interval'];
  const intervalS = Math.max(1, typeof interval === 'number' ? interval : DEFAULT_INTERVAL_S);
  const expiresIn = positiveNumber(fields['expires_in']);
  return { userCode, deviceCode, url, intervalS, expiresIn: expiresIn && Math.min(expiresIn, LIMIT_MS / 1000) };
};

type Polled = { grant: Grant } | 'pending' | 'slower' | 'expired' | 'lost';

const poll = async (send: Send, server: OauthServer, deviceCode: string, signal: AbortSignal): Promise<Polled> => {
  const form = { client_id: KIMI_CLIENT_ID, device_code: deviceCode, grant_type: 'urn:ietf:params:oauth:grant-type:device_code' };
  let answer: HttpAnswer;
  try {
    answer = await postForm(send, server, '/api/oauth/token', form, signal);
  } catch (error) {
    if (error instanceof SendError && !signal.aborted) return 'lost';
    throw error;
  }
  if (answer.status === 200) {
    const grant = grantIn(answer.body);
    if (grant !== undefined) return { grant };
    throw failed('the login failed', 'the server answered, but without a whole token');
  }
  const error = answer.status < 500 ? textOf(fieldsOf(answer.body), 'error') : undefined;
  if (error === 'authorization_pending') return 'pending';
  if (error === 'slow_down') return 'slower';
  if (error === 'expired_token') return 'expired';
  if (error === 'access_denied') throw new JackinError('auth.missing', 'the login was refused on the page; nothing was changed');
  throw failed('the login failed', serverSays(answer, [deviceCode]));
};

/** Polls with one code until there is a token; undefined when the code has run out. */
const awaitGrant = async (send: Send, server: OauthServer, code: Asked, until: number, { now, sleep, signal }: Waiting): Promise<Grant | undefined> => {
  let { intervalS } = code;
  let lost = 0;
  while (now() < until) {
    const polled = await poll(send, server, code.deviceCode, signal);
    if (typeof polled === 'object') return polled.grant;
    if (polled === 'slower') intervalS += SLOWER_BY_S;
    lost = polled === 'lost' ? lost + 1 : 0;
    if (lost > LOST_POLLS) throw failed('the login failed', `${server.oauthHost} could not be reached ${lost} times`);
    // What no timer can count would be no pause at all.
    await sleep(Math.min(intervalS * 1000, Math.max(0, until - now()), LIMIT_MS), signal);
    // Only after the pause: a server whose codes are all expired must not be asked without end for more.
    if (polled === 'expired') return undefined;
  }
  throw failed('the login failed', 'nobody confirmed it within 15 minutes');
};

/** Gets a grant of its own, once a person has confirmed the code. Nothing is written. Throws a `JackinError`. */
export const logInWithCode = async (send: Send, server: OauthServer, waiting: Waiting): Promise<Grant> => {
  const until = waiting.now() + LIMIT_MS;
  try {
    for (;;) {
      const code = await requestCode(send, server, waiting.signal);
      const { userCode, url, expiresIn } = code;
      waiting.onCode({ userCode, url, expiresIn });
      const grant = await awaitGrant(send, server, code, until, waiting);
      if (grant !== undefined) return grant;
      if (waiting.now() >= until) throw failed('the login failed', 'nobody confirmed it within 15 minutes');
    }
  } catch (error) {
    if (waiting.signal.aborted) throw new JackinError('interrupted', 'the login was interrupted; nothing was changed', { cause: error });
    throw error;
  }
};
