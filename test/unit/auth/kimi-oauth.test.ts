import { expect, test } from 'vitest';
import { logInWithCode } from '../../../src/auth/kimi-device-login.ts';
import { requestRefresh } from '../../../src/auth/kimi-oauth.ts';
import { type HttpAnswer, type HttpRequest, type Send, SendError } from '../../../src/auth/kimi-requests.ts';
import { JackinError } from '../../../src/shared/errors.ts';

const never = new AbortController().signal;
const CLIENT = '17e5f671-d194-4dfb-9706-5516cb48c098';
const TOKEN = { access_token: 'fake-access', refresh_token: 'fake-refresh-2', expires_in: 900, scope: 'kimi-code', token_type: 'Bearer' };

type Reply = Error | { status: number; body?: unknown; headers?: Record<string, string> };

/** A server that gives these answers, one after the other. */
const answering = (...replies: Reply[]): { send: Send; requests: HttpRequest[] } => {
  const requests: HttpRequest[] = [];
  const send: Send = async (request) => {
    requests.push(request);
    const reply = replies.shift();
    if (reply === undefined) throw new Error('nobody expected another request');
    if (reply instanceof Error) throw reply;
    const { status, body = '', headers = {} } = reply;
    return { status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) } satisfies HttpAnswer;
  };
  return { send, requests };
};

const server = { oauthHost: 'https://auth.kimi.example', headers: { 'X-Msh-Device-Id': 'fake-device' } };

const refresh = (...replies: Reply[]) => requestRefresh(answering(...replies).send, { ...server, refreshToken: 'fake-refresh-1' }, never);

test('a refresh is asked for as Kimi Code does', async () => {
  const { send, requests } = answering({ status: 200, body: TOKEN });
  const outcome = await requestRefresh(send, { ...server, refreshToken: 'fake refresh&1' }, never);
  expect(outcome).toEqual({ kind: 'renewed', token: { accessToken: 'fake-access', refreshToken: 'fake-refresh-2', expiresIn: 900, scope: 'kimi-code', tokenType: 'Bearer' } });
  expect(requests).toEqual([
    {
      method: 'POST',
      url: 'https://auth.kimi.example/api/oauth/token',
      headers: { 'X-Msh-Device-Id': 'fake-device', 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: `client_id=${CLIENT}&grant_type=refresh_token&refresh_token=fake+refresh%261`,
      timeoutMs: 30_000,
    },
  ]);
});

test('scope and kind of token may be missing', async () => {
  const { scope: _scope, token_type: _type, ...bare } = TOKEN;
  expect(await refresh({ status: 200, body: bare })).toMatchObject({ kind: 'renewed', token: { scope: '', tokenType: 'Bearer' } });
});

test('a lifetime that no date can be made of is a long one', async () => {
  expect(await refresh({ status: 200, body: { ...TOKEN, expires_in: 1e15 } })).toMatchObject({ kind: 'renewed', token: { expiresIn: 365 * 24 * 3600 } });
});

test.each([
  ['no access token', { ...TOKEN, access_token: '' }],
  ['no refresh token', { ...TOKEN, refresh_token: undefined }],
  ['no lifetime', { ...TOKEN, expires_in: 0 }],
  ['a lifetime that is no number', { ...TOKEN, expires_in: '900' }],
  ['an access token that no header can hold', { ...TOKEN, access_token: 'fake\naccess' }],
  ['half of it', JSON.stringify(TOKEN).slice(0, 40)],
  ['a page', '<html>'],
])('an answer with %s is none, and the server has perhaps renewed', async (_what, body) => {
  expect(await refresh({ status: 200, body })).toMatchObject({ kind: 'no answer', arrived: true });
});

test.each([
  [401, { error: 'invalid_token' }],
  [403, { message: 'forbidden' }],
  [400, { error: 'invalid_grant' }],
  [500, { error: 'invalid_grant' }],
])('HTTP %i with %j is a refusal', async (status, body) => {
  expect(await refresh({ status, body })).toMatchObject({ kind: 'refused' });
});

test.each([
  [400, true],
  [404, true],
  [307, true],
  [500, true],
  [503, true],
  [429, false],
])('HTTP %i is no answer', async (status, arrived) => {
  expect(await refresh({ status, body: { error: 'other' } })).toEqual({ kind: 'no answer', why: `other (HTTP ${status})`, arrived });
});

test.each([401, 403])('HTTP %i with a page is a gateway’s, and ends no login', async (status) => {
  expect(await refresh({ status, body: '<html>fake-refresh-1</html>' })).toEqual({ kind: 'no answer', why: `the server answered with HTTP ${status}`, arrived: false });
});

test.each([true, false])('without a connection that held, whether it arrived (%s) is passed on', async (arrived) => {
  expect(await refresh(new SendError('gone', arrived))).toEqual({ kind: 'no answer', why: 'gone', arrived });
});

test.each([
  [{ 'retry-after': '120' }, 120_000],
  [{ 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT', date: 'Sat, 21 Nov 2026 12:00:00 GMT' }, 30_000],
  [{ 'retry-after': 'Sat, 21 Nov 2026 11:00:00 GMT', date: 'Sat, 21 Nov 2026 12:00:00 GMT' }, undefined],
  [{ 'retry-after': 'soon', date: 'Sat, 21 Nov 2026 12:00:00 GMT' }, undefined],
  [{ 'retry-after': '0' }, undefined],
  [{}, undefined],
] as [Record<string, string>, number | undefined][])('%j asks to be left alone for %s ms', async (headers, afterMs) => {
  const outcome = await refresh({ status: 503, headers });
  expect('afterMs' in outcome ? outcome.afterMs : undefined).toBe(afterMs);
});

test.each([
  [{ error: 'invalid_grant', error_description: 'it was\u001b[2J\nused  before' }, 'it was [2J used before (HTTP 401)'],
  [{ error: { message: 'deep' } }, 'deep (HTTP 401)'],
  [{ message: 'x'.repeat(1000) }, `${'x'.repeat(200)} (HTTP 401)`],
  [{ error_description: 'the token fake-refresh-1 was used' }, 'the server answered with HTTP 401'],
])('of %j a person gets one line without a secret', async (body, why) => {
  expect(await refresh({ status: 401, body })).toEqual({ kind: 'refused', why });
});

const CODE = { user_code: 'FAKE-CODE', device_code: 'fake-device-code', verification_uri: 'https://kimi.example/d', verification_uri_complete: 'https://kimi.example/d?user_code=FAKE-CODE', expires_in: 600, interval: 5 };
const pending: Reply = { status: 400, body: { error: 'authorization_pending' } };
const answer = (error: string): Reply => ({ status: 400, body: { error, error_description: `it says ${error} of fake-device-code` } });

/** One login, in which time passes only by waiting. */
const logIn = async (...replies: Reply[]) => {
  const { send, requests } = answering(...replies);
  const pauses: number[] = [];
  const codes: unknown[] = [];
  let time = 0;
  const waiting = {
    now: () => time,
    sleep: (ms: number) => {
      pauses.push(ms);
      time += ms;
      return Promise.resolve();
    },
    signal: never,
    onCode: (code: unknown) => void codes.push(code),
  };
  const outcome = await logInWithCode(send, server, waiting).catch((error: unknown) => error);
  return { outcome, pauses, codes, requests };
};

const errorOf = (outcome: unknown): JackinError => {
  if (!(outcome instanceof JackinError)) throw new Error(`expected an error and not ${JSON.stringify(outcome)}`);
  expect(outcome.message).not.toContain('fake-device-code');
  return outcome;
};

test('a login polls at once, then at the pace that it was given', async () => {
  const { outcome, pauses, codes, requests } = await logIn({ status: 200, body: CODE }, pending, pending, { status: 200, body: TOKEN });
  expect(outcome).toMatchObject({ accessToken: 'fake-access', refreshToken: 'fake-refresh-2' });
  expect(pauses).toEqual([5000, 5000]);
  expect(codes).toEqual([{ userCode: 'FAKE-CODE', url: 'https://kimi.example/d?user_code=FAKE-CODE', expiresIn: 600 }]);
  expect(requests.map(({ url, body }) => [url, body]).slice(0, 2)).toEqual([
    ['https://auth.kimi.example/api/oauth/device_authorization', `client_id=${CLIENT}`],
    ['https://auth.kimi.example/api/oauth/token', `client_id=${CLIENT}&device_code=fake-device-code&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code`],
  ]);
  expect(requests.every(({ headers }) => headers['X-Msh-Device-Id'] === 'fake-device')).toBe(true);
});

test.each([
  [undefined, 5000],
  [0, 1000],
  [7, 7000],
])('an interval of %s means polls every %i ms', async (interval, ms) => {
  const { pauses } = await logIn({ status: 200, body: { ...CODE, interval } }, pending, { status: 200, body: TOKEN });
  expect(pauses).toEqual([ms]);
});

test('whoever is told to slow down stays slow', async () => {
  const { pauses } = await logIn({ status: 200, body: CODE }, answer('slow_down'), pending, answer('slow_down'), { status: 200, body: TOKEN });
  expect(pauses).toEqual([10_000, 10_000, 15_000]);
});

test('when a code runs out there is another one', async () => {
  const second = { ...CODE, user_code: 'FAKE-TWO', device_code: 'fake-device-code-2' };
  const { outcome, codes, pauses } = await logIn({ status: 200, body: CODE }, answer('expired_token'), { status: 200, body: second }, { status: 200, body: TOKEN });
  expect(outcome).toMatchObject({ accessToken: 'fake-access' });
  expect(codes).toMatchObject([{ userCode: 'FAKE-CODE' }, { userCode: 'FAKE-TWO' }]);
  // A server whose codes are all run out is not asked in a circle.
  expect(pauses).toEqual([5000]);
});

test.each([
  ['access_denied', answer('access_denied'), 'auth.missing', 'refused on the page'],
  ['another error', answer('invalid_client'), 'failed', 'HTTP 400'],
  ['a broken server', { status: 502, body: { error: 'authorization_pending' } }, 'failed', 'HTTP 502'],
  ['half a token', { status: 200, body: { ...TOKEN, refresh_token: '' } }, 'failed', 'without a whole token'],
] as [string, Reply, string, string][])('%s ends a login', async (_what, reply, code, says) => {
  const error = errorOf((await logIn({ status: 200, body: CODE }, reply)).outcome);
  expect(error.code).toBe(code);
  expect(error.message).toContain(says);
});

test('a network that is gone for a while ends no login; one that stays away does', async () => {
  const gone = new SendError('gone', false);
  const survived = await logIn({ status: 200, body: CODE }, gone, gone, pending, gone, gone, gone, gone, gone, { status: 200, body: TOKEN });
  expect(survived.outcome).toMatchObject({ accessToken: 'fake-access' });
  const lost = await logIn({ status: 200, body: CODE }, ...Array.from({ length: 6 }, () => gone));
  expect(errorOf(lost.outcome).message).toContain('could not be reached');
});

test('nobody is waited for longer than 15 minutes', async () => {
  const { outcome, pauses } = await logIn({ status: 200, body: { ...CODE, interval: 60 } }, ...Array.from({ length: 15 }, () => pending));
  expect(errorOf(outcome).message).toContain('15 minutes');
  expect(pauses).toHaveLength(15);
});

test.each(['600', '1e10', '1e400'])('nor longer when the server asks for a pause of %s seconds', async (interval) => {
  const body = JSON.stringify(CODE).replace('"interval":5', `"interval":${interval}`);
  const { outcome, pauses } = await logIn({ status: 200, body }, pending, pending);
  expect(errorOf(outcome).message).toContain('15 minutes');
  expect(pauses.reduce((sum, ms) => sum + ms)).toBe(15 * 60_000);
});

test('a code is said to be good for as long as it is waited for', async () => {
  const { codes } = await logIn({ status: 200, body: { ...CODE, expires_in: 1e300 } }, { status: 200, body: TOKEN });
  expect(codes).toMatchObject([{ expiresIn: 900 }]);
});

test.each([
  ['a code of two lines', { ...CODE, user_code: 'FAKE\nerror: forged' }],
  ['a code that is no end', { ...CODE, user_code: 'x'.repeat(65) }],
  ['an address of two lines', { ...CODE, verification_uri_complete: 'https://kimi.example/d\nerror: forged' }],
  ['a script', { ...CODE, verification_uri_complete: 'javascript:alert(1)' }],
  ['a file', { ...CODE, verification_uri_complete: 'file:///etc/passwd' }],
  ['an option', { ...CODE, verification_uri_complete: '--help' }],
  ['a text that turns round', { ...CODE, verification_uri_complete: 'https://kimi.example/\u202Egpj.d' }],
])('%s is shown to nobody', async (_name, body) => {
  const { outcome, codes } = await logIn({ status: 200, body });
  expect(errorOf(outcome).message).toContain('makes no sense');
  expect(codes).toEqual([]);
});

test.each([
  ['user_code', { ...CODE, user_code: undefined }],
  ['device_code', { ...CODE, device_code: '' }],
  ['verification_uri_complete', { ...CODE, verification_uri_complete: undefined }],
])('an answer without %s gives no code', async (_name, body) => {
  expect(errorOf((await logIn({ status: 200, body })).outcome).message).toContain('gives no code');
});

test('a code that cannot be asked for is an error at once', async () => {
  expect(errorOf((await logIn(new SendError('the connection was refused', false))).outcome).message).toBe('https://auth.kimi.example gives no code to log in with: the connection was refused');
  expect(errorOf((await logIn({ status: 500 })).outcome).message).toContain('HTTP 500');
});
