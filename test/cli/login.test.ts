import { mkdir, readdir, readFile, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { parseKimiConfig, slotForHosts } from '../../src/agents/kimi-config.ts';
import { parseToken } from '../../src/agents/kimi-token.ts';
import { digestOf } from '../../src/keeper/login-note.ts';
import { startKimi } from './own-kimi.ts';
import { makeSandbox, type Sandbox } from './run.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z') / 1000;

const dirOf = (box: Sandbox, account = 'default'): string => path.join(box.jackinHome, 'logins', 'kimi', account);

const credential = async (dir: string): Promise<string> => {
  const names = (await readdir(path.join(dir, 'credentials'))).filter((name) => name.endsWith('.json'));
  expect(names).toHaveLength(1);
  return readFile(path.join(dir, 'credentials', names[0]!), 'utf8');
};

const configIn = async (dir: string): Promise<{ default_model: string; mine?: unknown } & Record<'providers' | 'models' | 'services', Record<string, unknown>>> => {
  const parsed = parseKimiConfig(await readFile(path.join(dir, 'config.toml'), 'utf8'));
  if ('broken' in parsed) throw new Error(parsed.broken);
  return parsed.config as Awaited<ReturnType<typeof configIn>>;
};

test('a login is a directory as Kimi Code itself would have it, private and whole', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  const run = await box.run(['login', 'kimi', '--account', 'work'], { env: kimi.env });
  expect(run.stderr).toContain('FAKE-KIMI');
  expect(run.stderr).toContain(`${kimi.url}/device?user_code=FAKE-KIMI`);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('kimi:work (somebody)');

  const dir = dirOf(box, 'work');
  const slot = slotForHosts(`${kimi.url}/coding/v1`, kimi.url);
  expect((await readdir(dir)).sort()).toEqual(['config.toml', 'credentials', 'device_id', 'oauth']);
  expect(await readdir(path.join(dir, 'credentials'))).toEqual([`${slot}.json`]);
  expect(await readFile(path.join(dir, 'device_id'), 'utf8')).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  for (const [name, mode] of [['', 0o700], ['credentials', 0o700], ['config.toml', 0o600], ['device_id', 0o600], [`credentials/${slot}.json`, 0o600]] as const) {
    expect([name, (await stat(path.join(dir, name))).mode & 0o777]).toEqual([name, mode]);
  }
  const token = parseToken(await credential(dir));
  expect(token).toMatchObject({ expiresAt: NOW + 900, expiresIn: 900, scope: 'kimi-code' });
  expect(token?.refreshToken).not.toBe('');

  const config = await configIn(dir);
  expect(config.default_model).toBe('kimi-code/kimi-for-coding');
  const oauth = { storage: 'file', key: `oauth/${slot}`, oauth_host: kimi.url };
  expect(config.providers).toEqual({ 'managed:kimi-code': { type: 'kimi', api_key: '', base_url: `${kimi.url}/coding/v1`, oauth } });
  expect(config.services['moonshot_search']).toEqual({ base_url: `${kimi.url}/coding/v1/search`, api_key: '', oauth });
  // Nothing of it was said aloud.
  for (const secret of [token!.accessToken, token!.refreshToken]) expect(run.stdout + run.stderr).not.toContain(secret);
});

test('the result is one JSON object on stdout, and everything else is on stderr', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  const run = await box.run(['login', 'kimi', '--format', 'json'], { env: kimi.env });
  expect(JSON.parse(run.stdout)).toMatchObject({ data: { login: { login: 'kimi:default', account: 'somebody', state: 'live', models: ['kimi-code/kimi-for-coding'], holders: [] }, models_missing: null } });
  expect(run.stderr).toContain('FAKE-KIMI');
});

test('the tokens are asked for as Kimi Code asks, and the models after them', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW, device: { polls: ['authorization_pending', 'granted'] } });
  expect((await box.run(['login', 'kimi'], { env: kimi.env })).code).toBe(0);
  expect(kimi.asked()).toEqual(['POST /api/oauth/device_authorization', 'POST /api/oauth/token', 'POST /api/oauth/token', 'GET /coding/v1/models']);
});

test('a login whose models nobody can get is there all the same and works with the usual one', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW, models: [{ id: 'odd' }] });
  const run = await box.run(['login', 'kimi', '--account', 'work'], { env: kimi.env });
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('jackin models kimi --login work --update');
  const config = await configIn(dirOf(box, 'work'));
  expect(config.default_model).toBe('kimi-code/kimi-for-coding');
  expect(config.models['kimi-code/kimi-for-coding']).toMatchObject({ provider: 'managed:kimi-code', model: 'kimi-for-coding', max_context_size: 262144 });
});

test('logging in again gives the login a new grant and leaves what a person set', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.run(['login', 'kimi'], { env: kimi.env });
  const dir = dirOf(box);
  const before = { token: await credential(dir), device: await readFile(path.join(dir, 'device_id'), 'utf8') };
  await writeFile(path.join(dir, 'config.toml'), `${await readFile(path.join(dir, 'config.toml'), 'utf8')}\n[mine]\nkept = true\n`);
  await mkdir(path.join(box.jackinHome, 'keeper', 'notes'), { recursive: true });
  await writeFile(path.join(box.jackinHome, 'keeper', 'notes', 'kimi-default.json'), JSON.stringify({ ended: { token: digestOf(parseToken(before.token)!), why: 'revoked', at: 'then' } }));
  expect((await box.run(['logins', 'list'])).stdout).toContain('ended');

  expect((await box.run(['login', 'kimi'], { env: kimi.env })).code).toBe(0);
  expect(await credential(dir)).not.toBe(before.token);
  expect(await readFile(path.join(dir, 'device_id'), 'utf8')).toBe(before.device);
  expect((await configIn(dir)).mine).toEqual({ kept: true });
  expect((await box.run(['logins', 'list'])).stdout).not.toContain('ended');
});

test('without a region, logging in again goes to the hosts where the login has been', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.run(['login', 'kimi'], { env: kimi.env });
  const before = await credential(dirOf(box));
  expect((await box.run(['login', 'kimi'])).code).toBe(0);
  expect(await credential(dirOf(box))).not.toBe(before);
});

test('a keeper that renews the old grant at this moment is waited for: its pair must not come to lie over the new one', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.run(['login', 'kimi'], { env: kimi.env });
  const before = await credential(dirOf(box));
  const lock = path.join(dirOf(box), 'oauth', `${slotForHosts(`${kimi.url}/coding/v1`, kimi.url)}.lock`);
  await mkdir(lock);
  const second = box.run(['login', 'kimi'], { env: kimi.env });
  await vi.waitFor(() => expect(kimi.asked().filter((what) => what === 'POST /api/oauth/token')).toHaveLength(2));
  await sleep(300);
  expect(await credential(dirOf(box))).toBe(before);
  await rmdir(lock);
  expect((await second).code).toBe(0);
  expect(await credential(dirOf(box))).not.toBe(before);
});

test('with other hosts the whole set is theirs, and the old grant is gone', async () => {
  const box = await makeSandbox();
  const first = await startKimi({ now: () => NOW });
  const second = await startKimi({ now: () => NOW });
  await box.run(['login', 'kimi'], { env: first.env });
  expect((await box.run(['login', 'kimi'], { env: second.env })).code).toBe(0);
  const dir = dirOf(box);
  const slot = slotForHosts(`${second.url}/coding/v1`, second.url);
  expect(await readdir(path.join(dir, 'credentials'))).toEqual([`${slot}.json`]);
  expect(await readFile(path.join(dir, 'config.toml'), 'utf8')).not.toContain(first.url);
});

test('a login that fails leaves the old one as it was', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW, device: { polls: ['granted', 'access_denied'] } });
  await box.run(['login', 'kimi'], { env: kimi.env });
  const before = await credential(dirOf(box));
  const run = await box.run(['login', 'kimi'], { env: kimi.env });
  expect(run.code).toBe(4);
  expect(run.stderr).toContain('refused on the page');
  expect(await credential(dirOf(box))).toBe(before);
});

test('an interrupted login leaves nothing', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW, device: { polls: 'never' } });
  const run = await box.run(['login', 'kimi'], { env: kimi.env, signal: AbortSignal.timeout(300) });
  expect(run.code).toBe(130);
  expect(await readdir(path.join(box.jackinHome, 'logins', 'kimi')).catch(() => [])).toEqual([]);
});

test('what a killed login left is removed by the next one, and is never taken for a login', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.write('jackin/logins/kimi/.work.0123456789ab.tmp/device_id', 'half');
  expect((await box.run(['logins', 'list', '--format', 'json'])).stdout).toContain('"logins": []');
  await box.run(['login', 'kimi', '--account', 'work'], { env: kimi.env });
  expect((await readdir(path.join(box.jackinHome, 'logins', 'kimi'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test('a login whose files make no sense is mended by logging in again', async () => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.write('jackin/logins/kimi/default/config.toml', 'no = [toml');
  expect((await box.run(['login', 'kimi'], { env: kimi.env })).code).toBe(0);
  expect((await box.run(['logins', 'show', 'default'])).stdout).toContain('live');
});

test.each([['../x'], ['Work'], ['.work'], ['a/b']])('%s is no name for a login', async (name) => {
  const box = await makeSandbox();
  const run = await box.run(['login', 'kimi', '--account', name]);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('lower-case');
});

test('a server that nobody reaches is named', async () => {
  const box = await makeSandbox();
  const run = await box.run(['login', 'kimi'], { env: { KIMI_CODE_OAUTH_HOST: 'http://127.0.0.1:1', KIMI_CODE_BASE_URL: 'http://127.0.0.1:1/v1' } });
  expect(run.code).toBe(1);
  expect(run.stderr).toContain('http://127.0.0.1:1 gives no code to log in with: the connection was refused');
});

test('a host in the environment that is no address is refused before anything is asked', async () => {
  const box = await makeSandbox();
  const run = await box.run(['login', 'kimi'], { env: { KIMI_CODE_OAUTH_HOST: 'file:///etc' } });
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('KIMI_CODE_OAUTH_HOST');
});

test.each(['a link', 'a file'])('%s in the place of a login is left alone, and nobody is asked to confirm anything', async (what) => {
  const box = await makeSandbox();
  const kimi = await startKimi({ now: () => NOW });
  await box.write('home/.kimi-code/credentials/kimi-code.json', 'of the host');
  const place = dirOf(box, 'work');
  await mkdir(path.dirname(place), { recursive: true });
  await (what === 'a link' ? symlink(path.join(box.home, '.kimi-code'), place) : writeFile(place, ''));
  const run = await box.run(['login', 'kimi', '--account', 'work'], { env: kimi.env });
  expect(run.code).toBe(8);
  expect(run.stderr).toContain(`${place} is no directory`);
  expect(kimi.asked()).toEqual([]);
  expect(await readdir(path.join(box.home, '.kimi-code', 'credentials'))).toEqual(['kimi-code.json']);
});
