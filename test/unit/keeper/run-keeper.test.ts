import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseToken, printToken } from '../../../src/agents/kimi-token.ts';
import { ownLoginDir, readOwnLogin } from '../../../src/auth/own-login.ts';
import { locatePaths, type Paths } from '../../../src/config/paths.ts';
import { connectKeeper, keeperStatus } from '../../../src/keeper/ask-keeper.ts';
import { freshLogin, holdLogin, type KeeperDeps, openKeeper } from '../../../src/keeper/fresh-login.ts';
import { writeLease } from '../../../src/keeper/holders.ts';
import { socketOf } from '../../../src/keeper/keeper-socket.ts';
import { runKeeper } from '../../../src/keeper/run-keeper.ts';
import type { Fault } from '../../fakes/kimi-faults.mjs';
import { writeKimiLogin } from '../../fakes/kimi-login.mjs';
import { createKimiServer, makeKimi } from '../../fakes/kimi-server.mjs';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;
let paths: Paths;
let said: string[];
let running: Set<string>;
let tellRunning: (() => void)[];
let refreshes: number;
const cleanUp: (() => Promise<unknown>)[] = [];

const UID = process.getuid?.() ?? 0;

beforeEach(async () => {
  root = await makeTemporaryDir();
  paths = locatePaths({ env: { JACKIN_HOME_DIR: path.join(root, 'jackin') }, home: root });
  said = [];
  running = new Set();
  tellRunning = [];
  refreshes = 0;
});

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  await rm(root, { recursive: true });
});

/** A login that has `left` seconds of `life`, at a server that listens. */
const logIn = async (left = 900, life = 900, faults: (Fault | null)[] = []) => {
  const dir = ownLoginDir(paths.loginsDir, 'work');
  const probe = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const base = `http://127.0.0.1:${port}`;
  await mkdir(path.dirname(dir), { recursive: true });
  const login = await writeKimiLogin(dir, { host: base, base: `${base}/coding/v1` });
  const options = { logins: [login], expiresIn: life, faults, record: ({ path: where, status }: { path: string; status: number }) => void (where.endsWith('/token') && status === 200 && (refreshes += 1)) };
  const kimi = makeKimi(options);
  const server = createKimiServer(options, kimi);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  cleanUp.push(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
  const { slot, token } = await readOwnLogin(paths.loginsDir, 'work', UID);
  await writeFile(path.join(dir, `credentials/${slot}.json`), printToken({ ...token!, expiresAt: Math.floor(Date.now() / 1000) + left, expiresIn: life }));
  return kimi;
};

/** A keeper in this process. */
const run = (untilIdle = true) => {
  const stop = new AbortController();
  const ended = runKeeper({
    paths,
    env: {},
    uid: UID,
    untilIdle,
    log: (line) => said.push(line),
    signal: stop.signal,
    lingerMs: 1000,
    watchRunning: async (tell, signal) => {
      const told = (): void => tell(new Set(running));
      tellRunning.push(told);
      told();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  });
  cleanUp.push(async () => (stop.abort(), ended.catch(() => undefined)));
  return { stop, ended };
};

const deps = (startKeeper: KeeperDeps['startKeeper'] = async () => void run()): KeeperDeps => ({ env: { JACKIN_HOME_DIR: paths.jackinHome }, home: root, uid: UID, startKeeper, signal: new AbortController().signal });

const isThere = (file: string): Promise<boolean> => stat(file).then(() => true, () => false);

/** Later than a keeper lingers that nobody needs. */
const LATE: Fault = { do: 'delay', seconds: 2 };

describe('who wants a token', () => {
  it('gets it from a keeper that is started for it, and ends by itself', async () => {
    await logIn(100);
    const login = await freshLogin('work', deps());
    expect(refreshes).toBe(1);
    expect((login.token?.expiresAt ?? 0) - Date.now() / 1000).toBeGreaterThan(800);
    await expect.poll(() => said.at(-1), { timeout: 8000 }).toMatch(/^keeper \d+ ends$/);
    expect(await readdir(paths.keeperDir)).toEqual(['notes']);
    expect(await keeperStatus(paths)).toBeUndefined();
  });

  it('needs no keeper to hear that there is no such login', async () => {
    await expect(freshLogin('work', deps(() => Promise.reject(new Error('not wanted'))))).rejects.toMatchObject({ code: 'not-found' });
  });

  it('hears why there is none', async () => {
    await logIn(100);
    const { slot, token, dir } = await readOwnLogin(paths.loginsDir, 'work', UID);
    await writeFile(path.join(dir, `credentials/${slot}.json`), printToken({ ...token!, refreshToken: 'fake-revoked' }));
    await expect(freshLogin('work', deps())).rejects.toMatchObject({ code: 'auth.dead', hint: expect.stringContaining('jackin login kimi') });
  });

  it('is served by one keeper, however many start one at the same time', async () => {
    await logIn(100);
    let started = 0;
    const many = deps(async () => ((started += 1), void run()));
    await Promise.all([1, 2, 3, 4].map(() => freshLogin('work', many)));
    expect(started).toBeGreaterThan(1);
    expect(refreshes).toBe(1);
    expect(said.filter((line) => line.endsWith(' runs'))).toHaveLength(1);
    expect(await run().ended).toBe('already');
  });

  it('may go away meanwhile: an answer that is on its way is waited for, since it may be the login', { timeout: 30_000 }, async () => {
    await logIn(100, 900, [LATE]);
    const before = (await readOwnLogin(paths.loginsDir, 'work', UID)).token?.refreshToken;
    const { ended } = run();
    await expect.poll(() => isThere(socketOf(paths))).toBe(true);
    const line = await connectKeeper(paths);
    line?.ask({ op: 'fresh', account: 'work' }).catch(() => undefined);
    await expect.poll(() => refreshes, { timeout: 5000 }).toBe(1);
    line?.close();
    expect(await ended).toBe('done');
    expect((await readOwnLogin(paths.loginsDir, 'work', UID)).token?.refreshToken).not.toBe(before);
  });

  it.each(['stop', 'a signal'])('is no reason to cut an answer short: %s waits for it', { timeout: 30_000 }, async (what) => {
    await logIn(100, 900, [LATE]);
    const before = (await readOwnLogin(paths.loginsDir, 'work', UID)).token?.refreshToken;
    const { stop, ended } = run();
    await expect.poll(() => isThere(socketOf(paths))).toBe(true);
    const line = await connectKeeper(paths);
    line?.ask({ op: 'fresh', account: 'work' }).catch(() => undefined);
    await expect.poll(() => refreshes, { timeout: 5000 }).toBe(1);
    if (what === 'stop') await (await connectKeeper(paths))?.ask({ op: 'stop', force: false });
    else stop.abort();
    expect(await ended).toBe('done');
    expect((await readOwnLogin(paths.loginsDir, 'work', UID)).token?.refreshToken).not.toBe(before);
  });

  it('is told when it does not start', { timeout: 30_000 }, async () => {
    await logIn();
    await expect(freshLogin('work', deps(async () => undefined))).rejects.toMatchObject({ code: 'failed', message: 'the keeper of the logins does not start' });
  });
});

describe('who is interrupted', () => {
  it.each(['a token', 'a place among the holders'])('waits no longer for %s, and the keeper goes on', { timeout: 30_000 }, async (what) => {
    await logIn(100, 900, [{ do: 'delay', seconds: 2 }]);
    const stop = new AbortController();
    const waiting = { ...deps(async () => void run(false)), signal: stop.signal };
    const asked = what === 'a token' ? freshLogin('work', waiting) : holdLogin('work', 'jk-one', waiting);
    const outcome = asked.then(
      () => 'done',
      (error: { code?: string }) => error.code,
    );
    await expect.poll(() => refreshes, { timeout: 5000 }).toBe(1);
    const begun = performance.now();
    stop.abort();
    expect(await outcome).toBe('interrupted');
    expect(performance.now() - begun).toBeLessThan(1000);
    await expect.poll(async () => ((await readOwnLogin(paths.loginsDir, 'work', UID)).token?.expiresAt ?? 0) * 1000 - Date.now(), { timeout: 8000 }).toBeGreaterThan(800_000);
  });
});

describe('an instance', () => {
  const instance = async (container: string): Promise<void> => {
    await mkdir(path.join(paths.dataDir, container, 'handoff'), { recursive: true });
    await writeLease(path.join(paths.dataDir, container), 'work');
  };

  it('keeps the keeper for as long as it runs', { timeout: 30_000 }, async () => {
    await logIn(3, 6);
    const hold = await holdLogin('work', 'jk-one', deps());
    await instance('jk-one');
    running.add('jk-one');
    for (const tell of tellRunning) tell();
    await hold.started();
    hold.release();
    await expect.poll(() => refreshes, { timeout: 10_000 }).toBeGreaterThan(1);
    const current = path.join(paths.dataDir, 'jk-one/handoff/current/kimi-code/credentials');
    const [name = ''] = await readdir(current);
    await expect.poll(async () => parseToken(await readFile(path.join(current, name), 'utf8'))?.accessToken).toBe((await readOwnLogin(paths.loginsDir, 'work', UID)).token?.accessToken);
    expect((await keeperStatus(paths))?.logins).toMatchObject([{ account: 'work', holders: ['jk-one'], state: 'live' }]);
    running.clear();
    for (const tell of tellRunning) tell();
    await expect.poll(() => said.at(-1), { timeout: 8000 }).toMatch(/ends$/);
  });

  it('that is never made is forgotten when its launch is gone', async () => {
    await logIn();
    const hold = await holdLogin('work', 'jk-never', deps());
    expect((await keeperStatus(paths))?.logins).toMatchObject([{ holders: ['jk-never'] }]);
    hold.release();
    await expect.poll(async () => (await keeperStatus(paths))?.logins).toEqual([]);
  });

  it('that is looked at gets another keeper when this one dies', async () => {
    await logIn();
    const hold = await holdLogin('work', 'jk-one', deps());
    await instance('jk-one');
    running.add('jk-one');
    await hold.started();
    // As if it had been killed: nothing is said.
    void cleanUp.splice(cleanUp.length - 1, 1)[0]?.();
    await expect.poll(() => said.filter((line) => line.endsWith(' runs')).length, { timeout: 5000 }).toBe(2);
    hold.release();
  });

  it('has a new token within seconds after the machine has slept', async () => {
    await logIn();
    const hold = await holdLogin('work', 'jk-one', deps());
    // Whatever its beginning makes the keeper do is over by then.
    await sleep(1500);
    const awake = Date.now.bind(Date);
    const asleep = vi.spyOn(Date, 'now').mockImplementation(() => awake() + 8 * 3_600_000);
    cleanUp.push(async () => asleep.mockRestore());
    await expect.poll(() => refreshes, { timeout: 3000 }).toBe(1);
    hold.release();
  });

  it('keeps a keeper from being stopped by accident; one that was stopped on purpose stays away', async () => {
    await logIn();
    const hold = await holdLogin('work', 'jk-one', deps());
    const ask = async (force: boolean): Promise<void> => {
      const line = await connectKeeper(paths);
      await line?.ask({ op: 'stop', force }).finally(() => force || line.close());
      await line?.ended;
    };
    await expect(ask(false)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('kimi:work') });
    await hold.started();
    await ask(true);
    await sleep(300);
    expect(await keeperStatus(paths)).toBeUndefined();
    expect(said.filter((line) => line.endsWith(' runs'))).toHaveLength(1);
    hold.release();
  });
});

describe('a keeper that is told to end while the server renews a login', () => {
  it.each(['its launch waits', 'its launch is gone'])('ends when the new pair is on the disk: %s', async (who) => {
    const kimi = await logIn(100);
    kimi.schedule({ do: 'delay', seconds: 1.5 });
    const { stop, ended } = run();
    const line = await openKeeper(paths, deps(async () => undefined));
    const asked = line.ask({ op: 'fresh', account: 'work' }).catch(() => undefined);
    await expect.poll(() => refreshes).toBe(1);
    if (who !== 'its launch waits') line.close();
    stop.abort();
    expect(await ended).toBe('done');
    // The process exits now: what was not written by then is gone, and the old token is used up.
    expect((await readOwnLogin(paths.loginsDir, 'work', UID)).token?.expiresAt).toBeGreaterThan(Date.now() / 1000 + 800);
    await asked;
  });
});

describe('what a killed keeper leaves', () => {
  it('is no obstacle: its socket and its lock are taken over', async () => {
    await logIn();
    await mkdir(paths.keeperDir, { recursive: true, mode: 0o700 });
    const dead = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(socketOf(paths))}, () => process.kill(process.pid, 'SIGKILL'))`]);
    await new Promise((resolve) => dead.once('exit', resolve));
    expect(await isThere(socketOf(paths))).toBe(true);
    await writeFile(path.join(paths.keeperDir, 'keeper.lock'), JSON.stringify({ pid: dead.pid, started: '1', boot: 'another' }));
    expect(await keeperStatus(paths)).toBeUndefined();
    await freshLogin('work', deps());
    expect(await keeperStatus(paths)).toMatchObject({ pid: process.pid });
  });
});

describe('a keeper', () => {
  it('that cannot see who holds a login looks again, and ends for no such reason', async () => {
    await logIn();
    await writeFile(paths.dataDir, 'in the way');
    const { ended } = run();
    await expect.poll(() => said.at(-1)).toMatch(/^who holds a login cannot be seen: ENOTDIR/);
    await rm(paths.dataDir);
    // It answers, and ends as usual.
    expect((await freshLogin('work', deps())).account).toBe('work');
    expect(await ended).toBe('done');
  });
});

describe('the socket', () => {
  it('can be opened by its owner alone', async () => {
    await logIn();
    await freshLogin('work', deps());
    expect((await stat(path.dirname(socketOf(paths)))).mode & 0o777).toBe(0o700);
  });

  it.skipIf(process.platform !== 'linux')('of a home with a long name is in that home all the same', async () => {
    paths = locatePaths({ env: { JACKIN_HOME_DIR: path.join(root, 'a'.repeat(90)) }, home: root });
    await logIn();
    await freshLogin('work', deps());
    expect(Buffer.byteLength(socketOf(paths))).toBeGreaterThan(108);
    expect(await readdir(paths.keeperDir)).toContain('keeper.sock');
    expect(await keeperStatus(paths)).toMatchObject({ pid: process.pid });
  });

  it.each([
    ['no JSON', 'hello\n'],
    ['something it does not know', '{"op":"refresh everything"}\n'],
    ['an account that is a path', '{"op":"fresh","account":"../../etc"}\n', 'is not the name of a login'],
  ])('answers %s with an error, and goes on', async (_what, line, said_ = '') => {
    await logIn();
    run(false);
    await expect.poll(() => keeperStatus(paths)).toBeDefined();
    const socket = net.connect(socketOf(paths));
    cleanUp.push(async () => socket.destroy());
    socket.write(line);
    const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    expect(JSON.parse(answer)).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } });
    expect(answer).not.toContain('.ts:');
    expect(answer).toContain(said_);
    expect(await keeperStatus(paths)).toBeDefined();
  });

  it('ends a conversation that says far too much', async () => {
    await logIn();
    run(false);
    await expect.poll(() => keeperStatus(paths)).toBeDefined();
    const socket = net.connect(socketOf(paths));
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('x'.repeat(1024 * 1024));
    await closed;
    expect(await keeperStatus(paths)).toBeDefined();
  });
});
