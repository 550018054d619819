import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { createServer as createHttp, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { slotForHosts } from '../../src/agents/kimi-config.ts';
import { slotFile } from '../../src/agents/kimi-login.ts';
import { locatePaths } from '../../src/config/paths.ts';
import { socketOf } from '../../src/keeper/keeper-socket.ts';
import { credential, KIMI_CODE_CONFIG, minutes, tombstone, writeFiles } from '../fixtures/kimi/login.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const SECRETS = /access-secret|refresh-secret|fake-inline-key/;
const USAGE = { usages: { limit_5h: { used_ratio: 0.12, reset_time: '2026-11-21T14:10:00Z' }, limit_7d: { used_ratio: 0.86, reset_time: '2026-11-24T16:00:00Z' }, limit_month_total: { used_ratio: 1 }, limit_month_code: { used_ratio: 0.15 } } };

interface Seen {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
}

let sandbox: Sandbox;
let answer: { status: number; body: unknown };
let seen: Seen[];
let base: string;

const listen = (server: Server): Promise<number> => {
  onTestFinished(() => void server.close());
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  answer = { status: 200, body: USAGE };
  seen = [];
  const server = createHttp((request, response) => {
    seen.push({ method: request.method, url: request.url, headers: request.headers });
    const token = String(request.headers.authorization).replace('Bearer ', '');
    response.writeHead(answer.status, { 'content-type': 'application/json', location: '/elsewhere' });
    response.end(JSON.stringify(answer.body).replace('TOKEN', token));
  });
  base = `http://127.0.0.1:${await listen(server)}/coding/v1`;
});

/** Nothing gets past this machine, whatever is wrong with the program. Every output is looked at for secrets. */
const usage = async (args: string[] = [], options: RunOptions = {}): Promise<Run> => {
  const ran = await sandbox.run(['usage', 'kimi', ...args], { ...options, env: { HTTPS_PROXY: 'http://127.0.0.1:1', ...options.env } });
  expect(ran.stdout + ran.stderr).not.toMatch(SECRETS);
  return ran;
};

const dataOf = async (args: string[] = []) => JSON.parse((await usage([...args, '--format', 'json'])).stdout).data;

const loginFiles = (text: string): Record<string, string> => ({
  'config.toml': KIMI_CODE_CONFIG.replace('https://api.kimi.com/coding/v1', base),
  [slotFile(slotForHosts(base, undefined))]: text,
  device_id: '0e4f99c6-9cc2-4785-8b2f-5f7c0a7b1234',
});

const logInOnHost = (text = credential()) => writeFiles(path.join(sandbox.home, '.kimi-code'), loginFiles(text));
const makeLogin = (account: string, text = credential({ serial: 7, account: `${account}@example.test` })) => writeFiles(path.join(sandbox.jackinHome, 'logins/kimi', account), loginFiles(text));

/** A keeper for which every login is fresh. What it was asked for. */
const keeper = async (): Promise<unknown[]> => {
  const paths = locatePaths({ env: { JACKIN_HOME_DIR: sandbox.jackinHome }, home: sandbox.home });
  const asked: unknown[] = [];
  const server = createServer((socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      asked.push(JSON.parse(line));
      socket.write(`${JSON.stringify({ ok: null })}\n`);
    });
  });
  for (const dir of [paths.keeperDir, path.dirname(socketOf(paths))]) await mkdir(dir, { recursive: true, mode: 0o700 });
  await new Promise<void>((resolve) => server.listen(socketOf(paths), resolve));
  onTestFinished(() => void server.close());
  return asked;
};

describe('usage kimi', () => {
  it('asks with the host’s login, and tells what is used and when it starts anew', async () => {
    await logInOnHost();
    const { code, stdout } = await usage();
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      `Kimi, login in ${sandbox.home}/.kimi-code (op@example.test)`,
      '',
      expect.stringMatching(/^5h limit {7}\[#+-+\] {3}12% used {2}resets in 2 h 10 min$/),
      expect.stringMatching(/^Weekly limit {3}\[#+-+\] {3}86% used {2}resets in 3 d 4 h$/),
      expect.stringMatching(/^Monthly limit {2}\[#+\] {2}100% used {2}coding 15%, other 85%$/),
      '',
    ]);
    expect(seen).toMatchObject([{ method: 'GET', url: '/coding/v1/usages' }]);
    // The host's device is told to nobody: the login is not jackin's.
    expect(Object.keys(seen[0]!.headers).sort()).toEqual(['accept', 'authorization', 'connection', 'host']);
  });

  it('is plain data for a script', async () => {
    await logInOnHost();
    expect(await dataOf()).toEqual({
      login: null, decided_by: null, dir: path.join(sandbox.home, '.kimi-code'), account: 'op@example.test', extra: null,
      windows: [
        { name: '5h limit', used_percent: 12, code_percent: null, resets_at: '2026-11-21T14:10:00.000Z' },
        { name: 'Weekly limit', used_percent: 86, code_percent: null, resets_at: '2026-11-24T16:00:00.000Z' },
        { name: 'Monthly limit', used_percent: 100, code_percent: 15, resets_at: null },
      ],
    }); // prettier-ignore
  });

  it('changes nothing of the host’s login, and does not ask with one that is over', async () => {
    const file = path.join(sandbox.home, '.kimi-code', slotFile(slotForHosts(base, undefined)));
    await logInOnHost(credential({ expiresAt: minutes(-1) }));
    const before = [await readFile(file), (await stat(file)).mtimeMs, await readdir(sandbox.home, { recursive: true })];
    expect(await usage()).toMatchObject({ code: 4, stderr: expect.stringMatching(/ended 2026-11-21T11:59:00.000Z, and jackin does not renew the host's logins\nhint: start kimi once on the host.*`jackin login kimi`, then --login/) });
    expect(seen).toEqual([]);
    expect([await readFile(file), (await stat(file)).mtimeMs, await readdir(sandbox.home, { recursive: true })]).toEqual(before);
    await expect(readdir(sandbox.jackinHome)).rejects.toThrow(/ENOENT/);
  });

  it.each([['', /there is no Kimi login to ask with/], [tombstone(), /there is no Kimi login to ask with: .*no access token/]])('ends with code 4 where there is no login that works: %s', async (text, message) => {
    if (text !== '') await logInOnHost(text);
    expect(await usage()).toMatchObject({ code: 4, stderr: expect.stringMatching(message) });
    expect(seen).toEqual([]);
  });

  it('sends the key of another provider to nobody but that one', async () => {
    const config = `default_model = "mine"\n[providers.mine]\ntype = "openai"\napi_key = "fake-inline-key"\n[models.mine]\nprovider = "mine"\nmodel = "m"\nmax_context_size = 1000\n`;
    await writeFiles(path.join(sandbox.home, '.kimi-code'), { 'config.toml': config });
    expect(await usage()).toMatchObject({ code: 4 });
    await writeFiles(path.join(sandbox.home, '.kimi-code'), { 'config.toml': config.replace('type = "openai"', `type = "kimi"\nbase_url = "${base}"`) });
    expect((await usage()).code).toBe(0);
    expect(seen[0]!.headers.authorization).toBe('Bearer fake-inline-key');
  });

  it('uses the login of jackin’s own that is named, else the one that the configuration names for this directory', async () => {
    await makeLogin('work');
    await makeLogin('home');
    const asked = await keeper();
    expect((await usage(['--login', 'kimi:work'])).stdout).toContain("Kimi, login work of jackin's own (work@example.test)\n");
    const file = await sandbox.write('config/config.toml', 'version = "v1alpha6"\n\n[kimi]\nlogin = "home"\n');
    expect(await dataOf()).toMatchObject({ login: 'home', account: 'home@example.test', decided_by: { layer: 'global', file, line: 4 } });
    expect(await dataOf(['--login', 'work'])).toMatchObject({ login: 'work', decided_by: { layer: 'command line' } });
    expect(asked).toEqual(['work', 'home', 'work'].map((account) => ({ op: 'fresh', account })));
    expect(seen).toHaveLength(3);
  });

  it('ends with code 7 where there is no login of that name, and starts no keeper for it', async () => {
    const startKeeper = () => Promise.reject(new Error('a keeper was started'));
    expect(await usage(['--login', 'work'], { deps: { startKeeper } })).toMatchObject({ code: 7, stderr: expect.stringContaining('`jackin login kimi --account work`') });
  });
});

describe('a server that gives no usage', () => {
  beforeEach(() => logInOnHost());

  it.each([
    [401, { error: { message: 'The API Key appears to be invalid' } }, 4, /does not take this login: The API Key appears to be invalid \(HTTP 401\)/],
    [404, { message: 'no such thing' }, 1, /has no coding plan, so there is no usage to show: no such thing \(HTTP 404\)/],
    [429, { detail: 'slow down' }, 1, /does not tell the usage: slow down \(HTTP 429\)/],
    [500, {}, 1, /does not tell the usage: the server answered with HTTP 500/],
    [302, {}, 1, /does not tell the usage/],
    [401, { message: 'bad token TOKEN\u001b[31m' }, 4, /does not take this login: the server answered with HTTP 401/],
    [200, { hello: 'world' }, 1, /holds no usage that jackin understands/],
  ])('with status %i is told in its own words: %j', async (status, body, code, message) => {
    answer = { status, body };
    const ran = await usage();
    expect(ran).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
    expect(ran.stderr).not.toContain('\u001b');
    // Nobody is sent elsewhere with a token.
    expect(seen).toHaveLength(1);
  });

  it('that is not there is named', async () => {
    await writeFiles(path.join(sandbox.home, '.kimi-code'), { 'config.toml': KIMI_CODE_CONFIG.replace('https://api.kimi.com/coding/v1', 'http://127.0.0.1:1/v1'), [slotFile(slotForHosts('http://127.0.0.1:1/v1', undefined))]: credential() });
    expect(await usage()).toMatchObject({ code: 1, stderr: expect.stringContaining('127.0.0.1:1 does not answer: the connection was refused') });
  });
});

describe('the bars', () => {
  beforeEach(() => logInOnHost());

  const at = async (columns: number, env: Record<string, string> = {}): Promise<string> => {
    const chunks: string[] = [];
    const stdout = { isTTY: true, columns, write: (text: string) => chunks.push(text) > 0 } as never;
    expect((await usage([], { env, deps: { stdout } })).code).toBe(0);
    return chunks.join('');
  };
  const plain = (text: string): string => text.replaceAll(/\u001b\[\d+m/g, '');

  it.each([10, 24, 40, 60, 61, 62, 63, 64, 80, 120, 300])('fit a terminal of %i columns', async (columns) => {
    const lines = plain(await at(columns)).split('\n').slice(1);
    const widest = Math.max(...lines.map((line) => line.length));
    // Words are not cut: below their own length nothing helps.
    expect(widest).toBeLessThanOrEqual(Math.max(columns, 'coding 15%, other 85%'.length, 'Monthly limit: 100% used'.length));
  });

  it('are ASCII where the locale is, and colours are for terminals that want them', async () => {
    expect(await at(80, { NO_COLOR: '1' })).toMatch(/^[\x20-\x7e\n]*$/);
    expect(await at(80, { LANG: 'C' })).toContain('\u001b[33m');
    expect(await at(80, { LANG: 'en_US.UTF-8' })).toContain('█');
    expect(await at(80, { LANG: 'en_US.UTF-8', LC_ALL: 'C' })).not.toContain('█');
    expect((await usage([], { env: { LANG: 'en_US.UTF-8' } })).stdout).not.toContain('\u001b');
  });

  it('show a little as something, and not quite all as not all', async () => {
    answer = { status: 200, body: { usages: { limit_5h: { used_ratio: 0.001 }, limit_7d: { used_ratio: 0.99 }, limit_month_total: { used_ratio: 0 } } } };
    const [little, most, none] = (await usage()).stdout.split('\n').slice(2);
    expect(little).toMatch(/\[#-+\]/);
    expect(most).toMatch(/\[#+-\]/);
    expect(none).toMatch(/\[-+\]/);
  });

  it('come with extra usage, and with a sentence where there are none', async () => {
    answer = { status: 200, body: { usages: {}, boosterWallet: { balance: { type: 'BOOSTER', amount: '2000000000', amountLeft: '1500000000' }, monthlyUsed: { priceInCents: '250' } } } };
    expect((await usage()).stdout).toMatch(/\n\nThe server names no limits\.\n\nExtra usage: 15\.00 USD of 20\.00 USD left; 2\.50 USD used this month, without a limit\n$/);
  });
});
