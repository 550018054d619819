import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeKimiLogin } from '../../fakes/kimi-login.mjs';
import { CLIENT_ID, createKimiServer, fingerprint } from '../../fakes/kimi-server.mjs';
import type { RequestEntry } from '../../fakes/kimi-server.mjs';

const API_KEY = 'sk-fake-0123456789';
const identity = {
  'user-agent': 'kimi-code-cli/2.1.0',
  'x-msh-platform': 'kimi_code_cli',
  'x-msh-version': '2.1.0',
  'x-msh-device-name': 'host',
  'x-msh-device-model': 'Linux 6.1 x64',
  'x-msh-os-version': '6.1',
};

let temp: string;
let base: string;
let login: Awaited<ReturnType<typeof writeKimiLogin>>;
let seen: RequestEntry[];
let server: ReturnType<typeof createKimiServer>;

beforeEach(async () => {
  temp = await mkdtemp(path.join(os.tmpdir(), 'fake-kimi-'));
  login = await writeKimiLogin(path.join(temp, 'live'));
  seen = [];
  const expired = await writeKimiLogin(path.join(temp, 'expired'), { age: 1000 });
  server = createKimiServer({ logins: [login, expired], apiKeys: [API_KEY], record: (entry) => seen.push(entry) });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(temp, { recursive: true, force: true });
});

const post = (where: string, body: string, headers: Record<string, string>) =>
  fetch(base + where, { method: 'POST', body, headers: { ...identity, 'x-msh-device-id': login.deviceId, ...headers } });

const refresh = (token: string, headers: Record<string, string> = {}, fields: Record<string, string> = {}) => {
  const form = { client_id: CLIENT_ID, grant_type: 'refresh_token', refresh_token: token, ...fields };
  return post('/api/oauth/token', new URLSearchParams(form).toString(), {
    'content-type': 'application/x-www-form-urlencoded',
    ...headers,
  });
};

const chat = (token: string, headers: Record<string, string> = {}, body?: object) =>
  post('/coding/v1/chat/completions', JSON.stringify(body ?? question('hello')), {
    'content-type': 'application/json',
    authorization: `Bearer ${token}`,
    ...headers,
  });

const question = (prompt: string, stream = true) => ({
  model: 'kimi-for-coding',
  stream,
  messages: [
    { role: 'system', content: 'be kind' },
    { role: 'user', content: [{ type: 'text', text: '<system-reminder>x</system-reminder>' }, { type: 'text', text: prompt }] },
  ],
});

describe('chat', () => {
  test('streams an answer that holds the prompt', async () => {
    const response = await chat(login.accessToken);
    expect(response.status).toBe(200);
    const body = await response.text();
    expect(body).toContain('fake kimi heard: hello');
    expect(body.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(seen).toMatchObject([
      { status: 200, token: fingerprint(login.accessToken), device: fingerprint(login.deviceId) },
    ]);
  });

  test('answers in one piece when no stream is asked for', async () => {
    const response = await chat(login.accessToken, {}, question('hello', false));
    const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
    expect(choices[0]?.message.content).toBe('fake kimi heard: hello');
  });

  test('takes a configured API key from any device', async () => {
    expect((await chat(API_KEY, { 'x-msh-device-id': 'another' })).status).toBe(200);
  });

  test.each([
    ['an unknown token', 401, () => chat('nothing')],
    ['a live token with another device id', 403, () => chat(login.accessToken, { 'x-msh-device-id': 'another' })],
    ['a live token from an unknown program', 403, () => chat(login.accessToken, { 'user-agent': 'curl/8' })],
    ['a request without a device id', 400, () => chat(login.accessToken, { 'x-msh-device-id': '' })],
    ['a body of another type', 400, () => chat(login.accessToken, { 'content-type': 'text/plain' })],
    ['an unknown model', 404, () => chat(login.accessToken, {}, { ...question('x'), model: 'gpt' })],
    ['an endpoint that there is not', 404, () => fetch(`${base}/coding/v1/me`)],
    ['an unknown query', 404, () => fetch(`${base}/coding/v1/models?token=${login.accessToken}`)],
    ['models without a token', 401, () => fetch(`${base}/coding/v1/models`)],
  ])('refuses %s', async (_what, status, ask) => {
    expect((await ask()).status).toBe(status);
    expect(seen.at(-1)).toMatchObject({ status, wrong: expect.any(String) as string });
  });
});

test('models and usage need the token only, but not the token of another device', async () => {
  const authorization = `Bearer ${login.accessToken}`;
  expect((await fetch(`${base}/coding/v1/models`, { headers: { authorization } })).status).toBe(200);
  expect((await fetch(`${base}/coding/v1/usages`, { headers: { authorization } })).status).toBe(200);
  const headers = { authorization, 'x-msh-device-id': 'another' };
  expect((await fetch(`${base}/coding/v1/models`, { headers })).status).toBe(403);
});

describe('refresh', () => {
  test('gives a new pair, and the old pair is worth nothing from then on', async () => {
    const response = await refresh(login.refreshToken);
    expect(response.status).toBe(200);
    const fresh = (await response.json()) as Record<string, string>;
    expect(fresh).toMatchObject({ expires_in: 900, token_type: 'Bearer', scope: 'kimi-code' });
    expect((await chat(fresh.access_token ?? '')).status).toBe(200);
    expect((await chat(login.accessToken)).status).toBe(401);

    const again = await refresh(login.refreshToken);
    expect(again.status).toBe(400);
    expect(await again.json()).toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(fresh.refresh_token ?? '')).status).toBe(200);
  });

  test.each([
    ['another device', 'invalid_grant', () => refresh(login.refreshToken, { 'x-msh-device-id': 'another' })],
    ['another client id', 'invalid_client', () => refresh(login.refreshToken, {}, { client_id: 'x' })],
    ['a field too many', 'invalid_request', () => refresh(login.refreshToken, {}, { scope: 'all' })],
    ['a body that is no form', 'invalid_request', () => refresh(login.refreshToken, { 'content-type': 'application/json' })],
    ['an empty refresh token', 'invalid_grant', () => refresh('')],
    ['no identity header', 'invalid_request', () => refresh(login.refreshToken, { 'x-msh-os-version': '' })],
  ])('is refused for %s, and the token stays good', async (_what, error, ask) => {
    const response = await ask();
    expect(response.ok).toBe(false);
    expect(await response.json()).toMatchObject({ error });
    expect((await refresh(login.refreshToken)).status).toBe(200);
  });
});

test('an expired access token is refused, its refresh token is good', async () => {
  const credentials = path.join(temp, 'expired/credentials/kimi-code.json');
  const stored = JSON.parse(await readFile(credentials, 'utf8')) as Record<string, string>;
  const deviceId = await readFile(path.join(temp, 'expired/device_id'), 'utf8');
  expect((await chat(stored.access_token ?? '', { 'x-msh-device-id': deviceId })).status).toBe(401);
  expect((await refresh(stored.refresh_token ?? '', { 'x-msh-device-id': deviceId })).status).toBe(200);
});

test('a device login is granted at the second poll', async () => {
  const form = (fields: Record<string, string>) => new URLSearchParams({ client_id: CLIENT_ID, ...fields }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const started = await post('/api/oauth/device_authorization', form({}), headers);
  const { device_code } = (await started.json()) as { device_code: string };
  const poll = () =>
    post('/api/oauth/token', form({ device_code, grant_type: 'urn:ietf:params:oauth:grant-type:device_code' }), headers);
  expect(await (await poll()).json()).toMatchObject({ error: 'authorization_pending' });
  const { access_token } = (await (await poll()).json()) as { access_token: string };
  expect((await chat(access_token)).status).toBe(200);
});

test('what is recorded holds no token', async () => {
  await chat(login.accessToken);
  await refresh(login.refreshToken);
  await fetch(`${base}/x?token=${login.accessToken}`);
  const record = JSON.stringify(seen);
  for (const secret of [login.accessToken, login.refreshToken, login.deviceId]) expect(record).not.toContain(secret);
  expect(seen).toHaveLength(3);
});

describe('as a program', () => {
  const script = path.resolve(import.meta.dirname, '../../fakes/kimi-server.mjs');
  const start = (...args: string[]) => spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });

  test('serves what stdin tells it, prints requests as JSON lines, ends on SIGTERM', async () => {
    const child = start('--config', '-');
    child.stdin.end(JSON.stringify({ logins: [login] }));
    const lines: Record<string, unknown>[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().split('\n').filter(Boolean)) lines.push(JSON.parse(line) as Record<string, unknown>);
    });
    const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
    await expect.poll(() => lines.length).toBe(1);
    base = String(lines[0]?.listening);
    expect((await chat(login.accessToken)).status).toBe(200);
    await expect.poll(() => lines.length).toBe(2);
    expect(lines[1]).toMatchObject({ path: '/coding/v1/chat/completions', token: fingerprint(login.accessToken) });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('ends by itself when its time is up', async () => {
    const child = start('--ttl', '0.2');
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(0);
  });

  test('refuses a file of tokens that others can read', async () => {
    const file = path.join(temp, 'server.json');
    await writeFile(file, '{}');
    await chmod(file, 0o644);
    const child = start('--config', file);
    expect(await text(child.stderr)).toContain('must be 0600');
  });
});

describe('a written login', () => {
  const files = async (dir: string) => (await readdir(dir, { recursive: true })).sort();
  const mode = async (file: string) => ((await stat(file)).mode & 0o777).toString(8);

  test('of Kimi Code has the slot of its hosts', async () => {
    const dir = path.join(temp, 'other');
    const written = await writeKimiLogin(dir, { host: 'https://auth.kimi.ai', base: 'https://api.kimi.ai/coding/v1' });
    expect(written.slot).toBe('kimi-code-env-0e4f99c69cc27850');
    expect(await files(dir)).toEqual(['config.toml', 'credentials', `credentials/${written.slot}.json`, 'device_id']);
    expect(await mode(path.join(dir, 'credentials'))).toBe('700');
    expect(await mode(path.join(dir, 'credentials', `${written.slot}.json`))).toBe('600');
    expect(await readFile(path.join(dir, 'config.toml'), 'utf8')).toContain('oauth_host = "https://auth.kimi.ai"');
  });

  test('of kimi-cli has its one slot whatever the hosts, and a device id without dashes', async () => {
    const dir = path.join(temp, 'cli');
    const written = await writeKimiLogin(dir, { generation: 'kimi', base: 'http://kimi.demo:8080/coding/v1' });
    expect(written.slot).toBe('kimi-code');
    expect(written.deviceId).toMatch(/^[0-9a-f]{32}$/);
    expect(await readFile(path.join(dir, 'config.toml'), 'utf8')).not.toContain('oauth_host');
  });
});
