import { once } from 'node:events';
import { readdir, rename } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { slotForHosts } from '../../src/agents/kimi-config.ts';
import { runKeeper } from '../../src/keeper/run-keeper.ts';
import { newToken } from '../fakes/kimi-server.mjs';
import { type OwnKimi, startKimi } from './own-kimi.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

/** A run in the real time, in which a keeper is this process. */
const withKeeper = (kimi: OwnKimi): RunOptions => {
  const end = new AbortController();
  const ended: Promise<unknown>[] = [];
  onTestFinished(async () => {
    end.abort();
    await Promise.all(ended);
  });
  const startKeeper: NonNullable<RunOptions['deps']>['startKeeper'] = (paths) => {
    const running = runKeeper({
      paths,
      env: {},
      uid: process.getuid!(),
      untilIdle: false,
      watchRunning: (tell, signal) => {
        tell(new Set());
        return signal.aborted ? Promise.resolve() : once(signal, 'abort').then(() => undefined);
      },
      log: () => undefined,
      signal: end.signal,
    });
    ended.push(running);
    return Promise.resolve();
  };
  return { env: kimi.env, deps: { now: () => new Date(), startKeeper } };
};

const K3 = { id: 'k3', context_length: 500_000, supports_thinking_type: 'only', display_name: 'K3' };
const USUAL = { id: 'kimi-for-coding', context_length: 262_144, supports_reasoning: true };

test('the models of a login of jackin\u2019s own are those that the server lists, and --update keeps them', async () => {
  const box = await makeSandbox();
  const models: object[] = [USUAL];
  const kimi = await startKimi({ models });
  const options = withKeeper(kimi);
  expect((await box.run(['login', 'kimi', '--account', 'work'], options)).code).toBe(0);
  models.push(K3);

  const run = await box.run(['models', 'kimi', '--login', 'kimi:work'], options);
  expect(run.stderr).toBe('Models of kimi:work, as the server lists them.\n');
  expect(run.code).toBe(0);
  expect(run.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['alias', 'model', 'context', 'can'],
    ['kimi-code/kimi-for-coding (default)', 'kimi-for-coding', '262144', 'thinking, tool_use'],
    ['kimi-code/k3', 'k3', '500000', 'thinking, always_thinking, tool_use'],
    [''],
  ]);
  const config = path.join('jackin/logins/kimi', 'work', 'config.toml');
  expect(await box.read(config)).not.toContain('kimi-code/k3');

  const updated = await box.run(['models', 'kimi', '--login', 'work', '--update', '--format', 'json'], options);
  expect(JSON.parse(updated.stdout)).toMatchObject({ data: { login: 'kimi:work', from: 'server', updated: true } });
  expect(await box.read(config)).toContain('kimi-code/k3');
});

test('without a name it is the login that the configuration has for this directory', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ models: [USUAL] });
  const options = withKeeper(kimi);
  await box.run(['login', 'kimi', '--account', 'work'], options);
  await box.write('config/config.toml', 'version = "v1alpha6"\n[kimi]\nlogin = "work"\n');
  const run = await box.run(['models', 'kimi'], options);
  expect(run.stderr).toBe('Models of kimi:work, as the server lists them.\n');
});

/** What the host's own Kimi would have written for this server. */
const hostLogin = async (box: Sandbox, kimi: OwnKimi, expiresAt: number, accessToken = newToken('somebody', expiresAt)): Promise<void> => {
  const baseUrl = `${kimi.url}/coding/v1`;
  const slot = slotForHosts(baseUrl, kimi.url);
  await box.write(
    'home/.kimi-code/config.toml',
    `default_model = "kimi-code/old"
[providers."managed:kimi-code"]
type = "kimi"
base_url = "${baseUrl}"
oauth = { storage = "file", key = "oauth/${slot}", oauth_host = "${kimi.url}" }
[models."kimi-code/old"]
provider = "managed:kimi-code"
model = "old"
max_context_size = 7
`,
  );
  const token = { access_token: accessToken, refresh_token: 'fake-refresh', expires_at: expiresAt, expires_in: 900, scope: '', token_type: 'Bearer' };
  await box.write(`home/.kimi-code/credentials/${slot}.json`, JSON.stringify(token));
  await box.write('home/.kimi-code/device_id', 'fake-device');
};

test('of the host\u2019s login the server is asked with the token that is there, and nothing is written', async () => {
  const box = await makeSandbox();
  const now = Date.parse('2026-11-21T12:00:00Z') / 1000;
  const login = { deviceId: 'fake-device', accessToken: newToken('somebody', now + 600), refreshToken: 'fake-refresh', expiresAt: now + 600 };
  const kimi = await startKimi({ models: [K3], logins: [login], now: () => now });
  await hostLogin(box, kimi, login.expiresAt, login.accessToken);
  const run = await box.run(['models', 'kimi']);
  expect(run.stderr).toContain('as the server lists them');
  expect(run.stdout).toContain('kimi-code/k3');
  expect(kimi.asked()).toEqual(['GET /coding/v1/models']);
  expect(await box.read('home/.kimi-code/config.toml')).not.toContain('k3');
});

test('one that has expired is never renewed: the configured models are listed, and it is said', async () => {
  const box = await makeSandbox();
  const now = Date.parse('2026-11-21T12:00:00Z') / 1000;
  const kimi = await startKimi({ now: () => now });
  await hostLogin(box, kimi, now - 60);
  const run = await box.run(['models', 'kimi']);
  expect(run.code).toBe(0);
  expect(run.stderr).toContain('as its configuration lists them: its access token is over');
  expect(run.stdout).toContain('kimi-code/old (default)  old    7');
  expect(kimi.asked()).toEqual([]);
});

test('when the server does not say, the configured models are listed with the reason', async () => {
  const box = await makeSandbox();
  const now = Date.parse('2026-11-21T12:00:00Z') / 1000;
  const kimi = await startKimi({ now: () => now });
  await hostLogin(box, kimi, now + 600);
  const run = await box.run(['models', 'kimi']);
  expect(run.code).toBe(0);
  expect(run.stderr).toContain('unknown access token (HTTP 401)');
  expect(run.stdout).toContain('kimi-code/old');
  // Ctrl-C is no such reason.
  expect(await box.run(['models', 'kimi'], { signal: AbortSignal.abort() })).toMatchObject({ code: 130, stdout: '' });
});

test('the host\u2019s configuration is Kimi\u2019s to change', async () => {
  const box = await makeSandbox();
  const run = await box.run(['models', 'kimi', '--update']);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('--login');
});

test('who is interrupted is told so, and gets no other list in its place', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi();
  const options = withKeeper(kimi);
  expect((await box.run(['login', 'kimi', '--account', 'work'], options)).code).toBe(0);
  const silent = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void (silent.closeAllConnections(), silent.close()));
  const stop = new AbortController();
  silent.once('request', () => stop.abort());
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const config = path.join('jackin/logins/kimi', 'work', 'config.toml');
  await box.write(config, (await box.read(config)).replaceAll(`${kimi.url}/coding`, `http://127.0.0.1:${port}/coding`));
  const dir = path.join(box.jackinHome, 'logins/kimi', 'work', 'credentials');
  await rename(path.join(dir, (await readdir(dir))[0]!), path.join(dir, `${slotForHosts(`http://127.0.0.1:${port}/coding/v1`, kimi.url)}.json`));
  expect((await box.run(['models', 'kimi', '--login', 'work'], { ...options, signal: stop.signal })).code).toBe(130);
});

test('without any login there is nothing to list', async () => {
  const box = await makeSandbox();
  expect((await box.run(['models', 'kimi'])).code).toBe(4);
  expect((await box.run(['models', 'kimi', '--login', 'work'])).code).toBe(7);
  expect(await readdir(path.join(box.jackinHome)).catch(() => [])).toEqual([]);
});
