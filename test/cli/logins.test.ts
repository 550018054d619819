import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseToken } from '../../src/agents/kimi-token.ts';
import { digestOf } from '../../src/keeper/login-note.ts';
import { newToken } from '../fakes/kimi-server.mjs';
import { makeSandbox, type Sandbox } from './run.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z') / 1000;

/** A login of jackin's own, as `jackin login kimi` makes it. */
const makeLogin = async (box: Sandbox, account: string, expiresAt = NOW + 600): Promise<string> => {
  const at = (file: string): string => `jackin/logins/kimi/${account}/${file}`;
  const credential = JSON.stringify({ access_token: newToken(`${account}@example.org`, expiresAt), refresh_token: 'fake-refresh', expires_at: expiresAt, expires_in: 900, scope: '', token_type: 'Bearer' });
  await box.write(at('credentials/kimi-code.json'), credential);
  await box.write(at('device_id'), 'fake-device');
  await box.write(
    at('config.toml'),
    `default_model = "kimi-code/k3"
[providers."managed:kimi-code"]
type = "kimi"
base_url = "https://api.kimi.com/coding/v1"
oauth = { storage = "file", key = "oauth/kimi-code" }
[models."kimi-code/k3"]
provider = "managed:kimi-code"
model = "k3"
max_context_size = 1000
`,
  );
  return credential;
};

const hold = (box: Sandbox, container: string, account: string): Promise<string> =>
  box.write(`jackin/data/${container}/.jackin/lease.json`, JSON.stringify({ agent: 'kimi', login: account }));

const remains = (box: Sandbox): Promise<string[]> => readdir(path.join(box.jackinHome, 'logins', 'kimi')).then((names) => names.sort());

test('without any there is a way to make one', async () => {
  const box = await makeSandbox();
  const run = await box.run(['logins', 'list']);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('jackin login kimi');
});

test('the list says of each whose it is, where, whether it works, until when, and who holds it', async () => {
  const box = await makeSandbox();
  const credential = await makeLogin(box, 'work');
  await makeLogin(box, 'home', NOW - 60);
  await hold(box, 'jk-fake-one', 'work');
  await box.write('jackin/keeper/notes/kimi-work.json', JSON.stringify({ refreshed_at: '2026-11-21T11:55:00.000Z', sent: null, ended: null }));
  const run = await box.run(['logins', 'list']);
  expect(run.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['login', 'account', 'region', 'state', 'access until', 'last renewed', 'containers'],
    ['kimi:home', 'home@example.org', 'mainland-cn', 'renewed at next use', '2026-11-21T11:59:00Z', '-', '0'],
    ['kimi:work', 'work@example.org', 'mainland-cn', 'live', '2026-11-21T12:10:00Z', '2026-11-21T11:55:00Z', '1'],
    [''],
  ]);
  const json = (await box.run(['logins', 'list', '--format', 'json'])).stdout;
  expect(JSON.parse(json)).toMatchObject({ data: { logins: [{ login: 'kimi:home', state: 'expired-refreshable' }, { login: 'kimi:work', holders: ['jk-fake-one'], refreshed_at: '2026-11-21T11:55:00.000Z' }] } });
  const { accessToken, refreshToken } = parseToken(credential)!;
  for (const secret of [accessToken, refreshToken]) expect(run.stdout + json).not.toContain(secret);
});

test('one that the server renews no more has ended, and says why', async () => {
  const box = await makeSandbox();
  const token = parseToken(await makeLogin(box, 'work'))!;
  await box.write('jackin/keeper/notes/kimi-work.json', JSON.stringify({ refreshed_at: null, sent: null, ended: { token: digestOf(token), why: 'it was used twice', at: 'then' } }));
  expect((await box.run(['logins', 'show', 'kimi:work'])).stdout).toContain('ended: The server does not renew it any more: it was used twice.');
});

test('one that makes no sense does not hide the others', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'work');
  await box.write('jackin/logins/kimi/broken/config.toml', 'no = [toml');
  const run = await box.run(['logins', 'list']);
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/kimi:broken .* dead/);
  expect(run.stdout).toMatch(/kimi:work .* live/);
});

test('one whose end no date can be made of is listed, and can be removed', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'odd', 1e15);
  await makeLogin(box, 'work');
  const run = await box.run(['logins', 'list']);
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/kimi:odd .* live +- /);
  expect(run.stdout).toMatch(/kimi:work .* live/);
  expect((await box.run(['logins', 'remove', 'odd', '--yes'])).code).toBe(0);
});

test('show takes either name, and one that is not there is said with those that are', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'work');
  for (const name of ['work', 'kimi:work']) expect((await box.run(['logins', 'show', name])).stdout).toContain('kimi-code/k3');
  const run = await box.run(['logins', 'show', 'home']);
  expect(run.code).toBe(7);
  expect(run.stderr).toContain('there are: work');
});

test('a login is removed with a word of consent, and only then', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'work');
  await box.write('jackin/keeper/notes/kimi-work.json', '{}');
  const refused = await box.run(['logins', 'remove', 'work']);
  expect(refused.code).toBe(6);
  expect(refused.stderr).toContain('--yes');
  expect(await remains(box)).toEqual(expect.arrayContaining(['work']));
  const run = await box.run(['logins', 'remove', 'work', '--yes']);
  expect(run.code).toBe(0);
  expect(run.stderr).toContain('page of your account');
  expect(await remains(box)).toEqual([]);
  expect(await readdir(path.join(box.jackinHome, 'keeper', 'notes'))).toEqual([]);
});

test('on a terminal the question is asked, and no means no', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'work');
  const no = await box.run(['logins', 'remove', 'work'], { tty: true, input: 'n' });
  expect(no.code).toBe(6);
  expect(await remains(box)).toContain('work');
  expect((await box.run(['logins', 'remove', 'work'], { tty: true, input: 'y' })).code).toBe(0);
  expect(await remains(box)).not.toContain('work');
});

test('a login that containers hold stays, unless it is forced; then it is said what becomes of them', async () => {
  const box = await makeSandbox();
  await makeLogin(box, 'work');
  await hold(box, 'jk-fake-one', 'work');
  await hold(box, 'jk-fake-two', 'home');
  const refused = await box.run(['logins', 'remove', 'work', '--yes']);
  expect(refused.code).toBe(8);
  expect(refused.stderr).toContain('jk-fake-one');
  expect(refused.stderr).not.toContain('jk-fake-two');
  expect(await remains(box)).toContain('work');
  const forced = await box.run(['logins', 'remove', 'work', '--force', '--format', 'json']);
  expect(forced.code).toBe(0);
  expect(JSON.parse(forced.stdout)).toMatchObject({ data: { removed: 'kimi:work', holders: ['jk-fake-one'] } });
  expect(forced.stderr).toContain('jk-fake-one can work with the access token they have until 2026-11-21T12:10:00');
  expect(await remains(box)).not.toContain('work');
});

test('what is not there cannot be removed', async () => {
  const box = await makeSandbox();
  expect((await box.run(['logins', 'remove', 'work', '--yes'])).code).toBe(7);
});
