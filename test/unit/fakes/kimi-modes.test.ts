/** What the fake Kimi can be told to be: other rules for tokens, faults, codes of a device, lists and shapes. */
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { CLIENT_ID, createKimiServer, makeKimi, newToken } from '../../fakes/kimi-server.mjs';
import type { ServerOptions } from '../../fakes/kimi-server.mjs';

const DEVICE = 'fake-device';
const identity = {
  'user-agent': 'kimi-code-cli/2.1.0',
  'x-msh-platform': 'kimi_code_cli',
  'x-msh-version': '2.1.0',
  'x-msh-device-name': 'host',
  'x-msh-device-model': 'Linux 6.1 x64',
  'x-msh-os-version': '6.1',
  'x-msh-device-id': DEVICE,
};

let time: number;
let first: { deviceId: string; accessToken: string; refreshToken: string; expiresAt: number };

beforeEach(() => {
  time = 1_800_000_000;
  first = { deviceId: DEVICE, accessToken: newToken('somebody', time + 900), refreshToken: newToken('somebody', time + 9000), expiresAt: time + 900 };
});

const start = (options: ServerOptions = {}) => {
  const kimi = makeKimi({ logins: [first], now: () => time, ...options });
  const post = (path: string, form: Record<string, string>) => {
    const headers = { ...identity, 'content-type': 'application/x-www-form-urlencoded' };
    const { status, body, ...rest } = kimi.answer({ method: 'POST', path, headers, body: new URLSearchParams({ client_id: CLIENT_ID, ...form }).toString() });
    const json = body.startsWith('{') ? (JSON.parse(body) as Record<string, string | number>) : {};
    return { status, json, body, ...rest };
  };
  const get = (path: string, token: string) => kimi.answer({ method: 'GET', path, headers: { authorization: `Bearer ${token}` }, body: '' });
  return {
    kimi,
    refresh: (token: unknown) => post('/api/oauth/token', { grant_type: 'refresh_token', refresh_token: String(token) }),
    isGood: (token: unknown) => get('/coding/v1/models', String(token)).status === 200,
    get: (path: string) => JSON.parse(get(path, first.accessToken).body) as Record<string, unknown>,
    begin: () => post('/api/oauth/device_authorization', {}).json,
    poll: (code: unknown) => post('/api/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: String(code) }).json,
  };
};

describe('a refresh token that was used', () => {
  test('is refused, and the chain goes on', () => {
    const { kimi, refresh, isGood } = start();
    const { access_token } = refresh(first.refreshToken).json;
    expect(refresh(first.refreshToken)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    expect(isGood(access_token)).toBe(true);
    expect(kimi.report()).toMatchObject({ rejected: 1, live: 1, chains: [{ live: true, refreshes: 1, rejected: 1 }] });
  });

  test('ends its whole chain', () => {
    const { kimi, refresh, isGood } = start({ rotation: 'revokes-family' });
    const { access_token, refresh_token } = refresh(first.refreshToken).json;
    expect(refresh(first.refreshToken).status).toBe(400);
    expect(isGood(access_token)).toBe(false);
    expect(refresh(refresh_token).status).toBe(400);
    expect(kimi.report()).toMatchObject({ rejected: 2, live: 0 });
  });

  test('gives the same pair for a while', () => {
    const { refresh } = start({ rotation: 'grace', graceSeconds: 30 });
    const { json } = refresh(first.refreshToken);
    time += 30;
    expect(refresh(first.refreshToken).json).toEqual(json);
    time += 1;
    expect(refresh(first.refreshToken).status).toBe(400);
  });

  test('is good for ever', () => {
    const { refresh } = start({ rotation: 'non-rotating' });
    const one = refresh(first.refreshToken).json;
    const two = refresh(first.refreshToken).json;
    expect([one.refresh_token, two.refresh_token]).toEqual([first.refreshToken, first.refreshToken]);
    expect(two.access_token).not.toBe(one.access_token);
  });
});

test('an access token outlives the refresh of its chain where it is told to, but not its own life', () => {
  const { refresh, isGood } = start({ oldTokenLives: true, expiresIn: 100 });
  expect(refresh(first.refreshToken).json.expires_in).toBe(100);
  expect(isGood(first.accessToken)).toBe(true);
  time += 900;
  expect(isGood(first.accessToken)).toBe(false);
  expect(start().isGood(first.accessToken)).toBe(false);
});

test('a clock that lies shows in its tokens and its date, and nowhere else', () => {
  const { refresh } = start({ clockOffset: 7200 });
  const { json, headers } = refresh(first.refreshToken);
  expect(json.expires_in).toBe(900);
  expect(headers['date']).toBe(new Date((time + 7200) * 1000).toUTCString());
  const { exp } = JSON.parse(Buffer.from(String(json.access_token).split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
  expect(exp).toBe(time + 7200 + 900);
});

describe('faults', () => {
  test('come in the order in which they were scheduled, and only to requests for a token', () => {
    const { kimi, refresh, isGood } = start({ faults: [{ do: 'status', status: 429, retryAfter: 7 }, null] });
    kimi.schedule({ do: 'reset' }, { do: 'reset after' });
    expect(isGood(first.accessToken)).toBe(true);
    expect(refresh(first.refreshToken)).toMatchObject({ status: 429, headers: { 'retry-after': '7' } });
    const { json } = refresh(first.refreshToken);
    expect(refresh(json.refresh_token)).toMatchObject({ broken: 'before' });
    expect(kimi.report().chains[0]?.refreshes).toBe(1);
    expect(refresh(json.refresh_token)).toMatchObject({ broken: 'after' });
    expect(kimi.report().chains[0]?.refreshes).toBe(2);
    expect(refresh(json.refresh_token).status).toBe(400);
  });

  test.each([
    ['a connection that ends before', { do: 'reset' }, 0],
    ['a connection that ends after', { do: 'reset after' }, 1],
    ['an answer that breaks off', { do: 'cut' }, 1],
  ] as const)('%s is seen as such on the network', async (_what, fault, refreshes) => {
    const kimi = makeKimi({ logins: [first], now: () => time, faults: [fault] });
    const server = createKimiServer({}, kimi);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const body = new URLSearchParams({ client_id: CLIENT_ID, grant_type: 'refresh_token', refresh_token: first.refreshToken });
      const asked = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/oauth/token`, { method: 'POST', headers: identity, body });
      await expect(asked.then((response) => response.text())).rejects.toThrow();
      expect(kimi.report().chains[0]?.refreshes).toBe(refreshes);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('a device code', () => {
  test('is answered what was planned, and is granted in the end', () => {
    const { begin, poll, isGood } = start({ device: { polls: ['slow_down', 'authorization_pending', 'expired_token'], interval: 5, expiresIn: 1800 } });
    const { device_code, interval, expires_in } = begin();
    expect([interval, expires_in]).toEqual([5, 1800]);
    expect([1, 2, 3].map(() => poll(device_code).error)).toEqual(['slow_down', 'authorization_pending', 'expired_token']);
    expect(poll(device_code).error).toBe('invalid_grant');
    expect(isGood(poll(begin().device_code).access_token)).toBe(true);
  });

  test('may be denied, never be granted, or be too old', () => {
    const denied = start({ device: { polls: ['access_denied'] } });
    expect(denied.poll(denied.begin().device_code).error).toBe('access_denied');
    const never = start({ device: { polls: 'never', expiresIn: 60 } });
    const { device_code } = never.begin();
    expect([1, 2, 3].map(() => never.poll(device_code).error)).toEqual(Array.from({ length: 3 }, () => 'authorization_pending'));
    time += 60;
    expect(never.poll(device_code).error).toBe('expired_token');
  });
});

test('models and usage are what they are told to be', () => {
  expect(start({ models: [{ id: 'kimi-fake', context_length: 1000 }] }).get('/coding/v1/models')).toMatchObject({ data: [{ id: 'kimi-fake' }] });
  expect(start().get('/coding/v1/usages')).toHaveProperty('usages.limit_5h.used_ratio', 0.12);
  expect(start({ usages: 'counts' }).get('/coding/v1/usages')).toMatchObject({ usage: { used: '40', limit: '100' }, limits: [{ window: { duration: 300 } }] });
});

test('a prompt can make it call a tool, as often as it says', () => {
  const { kimi } = start();
  const tools = [{ type: 'function', function: { name: 'Look', parameters: { properties: { path: {} } } } }, { type: 'function', function: { name: 'Run', parameters: { properties: { command: {} } } } }];
  const messages: object[] = [{ role: 'user', content: 'tool-sleep 3 turns 2' }];
  const say = () => {
    const headers = { ...identity, 'content-type': 'application/json', authorization: `Bearer ${first.accessToken}` };
    const { body } = kimi.answer({ method: 'POST', path: '/coding/v1/chat/completions', headers, body: JSON.stringify({ model: 'kimi-for-coding', messages, tools }) });
    const { message, finish_reason } = (JSON.parse(body) as { choices: { message: { content?: string; tool_calls?: { function: { name: string; arguments: string } }[] }; finish_reason: string }[] }).choices[0]!;
    messages.push(message, { role: 'tool', content: 'done' });
    return { text: message.content, call: message.tool_calls?.[0]?.function, finish_reason };
  };
  for (const _turn of [1, 2]) expect(say()).toMatchObject({ call: { name: 'Run', arguments: expect.stringContaining('"sleep 3"') as string }, finish_reason: 'tool_calls' });
  expect(say()).toEqual({ text: 'fake kimi heard: tool-sleep 3 turns 2', call: undefined, finish_reason: 'stop' });
});
