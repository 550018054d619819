import { execFileSync } from 'node:child_process';
import * as fsPromises from 'node:fs/promises';
import { mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseToken, printToken } from '../../../src/agents/kimi-token.ts';
import { withHandoffLock } from '../../../src/keeper/hand-out.ts';
import { writeLease } from '../../../src/keeper/holders.ts';
import { createKeeper, type Keeper, type KeeperOptions } from '../../../src/keeper/keeper.ts';
import { tombstone, writeFiles } from '../../fixtures/kimi/login.ts';
import { makeTemporaryDir, modesOf } from '../../fixtures/kimi/tree.ts';
import { LIFE, type LoginWorld, makeLoginWorld, pass } from './world.ts';

let root: string;
let at: LoginWorld;
let running: Set<string> | undefined;
let said: string[];

beforeEach(async () => {
  root = await makeTemporaryDir();
  at = await makeLoginWorld(root, { rotation: 'revokes-family' });
  running = new Set();
  said = [];
});

afterEach(() => rm(root, { recursive: true }));

const make = (options: Partial<KeeperOptions> = {}): Keeper =>
  createKeeper({ ...at.world, paths: at.paths, elapsed: () => at.clock.elapsed, random: () => 0, running: () => running, pid: 1, log: (line) => said.push(line), ...options });

const stateOf = (container: string): string => path.join(at.paths.dataDir, container);

/** An instance that runs and holds the login. */
const hold = async (container: string, account = 'work'): Promise<void> => {
  await mkdir(path.join(stateOf(container), 'handoff'), { recursive: true, mode: 0o700 });
  await writeLease(stateOf(container), account);
  running?.add(container);
};

const handed = async (container: string): Promise<Record<string, string>> => {
  const set = path.join(stateOf(container), 'handoff', 'current', 'kimi-code');
  const read = (file: string): Promise<string> => readFile(path.join(set, file), 'utf8');
  return { config: await read('config.toml'), device: await read('device_id'), credential: await read('credentials/kimi-code.json') };
};

const accessOf = (text: string | undefined): string | undefined => parseToken(text ?? '')?.accessToken;

describe('whoever holds a login', () => {
  it('is handed its configuration, its device id and a token that cannot be renewed', async () => {
    await hold('jk-one');
    await make().step();
    const { config, device, credential } = await handed('jk-one');
    expect(config).toBe(await readFile(path.join(at.dir, 'config.toml'), 'utf8'));
    expect(device).toBe('device-of-work');
    expect(JSON.parse(credential ?? '')).toEqual({ access_token: at.first.accessToken, refresh_token: '', expires_at: 0, scope: 'kimi-code', token_type: 'Bearer', expires_in: 0 });
    expect(await modesOf(path.join(stateOf('jk-one'), 'handoff'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
    expect(at.sent).toEqual([]);
  });

  it('gets the new token when half of its life is over, and everybody the same one', async () => {
    await hold('jk-one');
    await hold('jk-two');
    const keeper = make();
    expect(await keeper.step()).toBeLessThanOrEqual(30_000);
    pass(at.clock, 449);
    expect(await keeper.step()).toBe(1000);
    expect(at.sent).toHaveLength(0);
    pass(at.clock, 1);
    await keeper.step();
    expect(at.sent).toEqual([at.first.refreshToken]);
    const login = await at.login();
    expect(login.token?.accessToken).not.toBe(at.first.accessToken);
    for (const container of ['jk-one', 'jk-two']) expect(accessOf((await handed(container)).credential)).toBe(login.token?.accessToken);
    expect(await readlink(path.join(stateOf('jk-one'), 'handoff/current'))).toBe('gen-2');
    expect(await at.works()).toBe(true);
  });

  it('is told of, even when no date can be made of the end of its token', async () => {
    await hold('jk-one');
    const { dir, slot, token } = await at.login();
    await writeFile(path.join(dir, `credentials/${slot}.json`), printToken({ ...token!, expiresAt: 1e15, expiresIn: 1e15 }));
    expect((await make().status()).logins).toMatchObject([{ state: 'live', expires_at: null, next_refresh_at: null }]);
  });

  it('never sees a token before its pair is on the disk', async () => {
    await hold('jk-one');
    const seen: (string | undefined)[] = [];
    const keeper = make({ handOut: async (_container, login) => void seen.push(login.token?.accessToken, accessOf(await readFile(at.file, 'utf8'))) });
    pass(at.clock, 500);
    await keeper.step();
    expect(seen).toHaveLength(2);
    expect(seen[0]).toBe(seen[1]);
    expect(seen[0]).not.toBe(at.first.accessToken);
  });

  it('is told by the engine: one that stopped is handed nothing, and nothing is renewed for it', async () => {
    await hold('jk-one');
    const keeper = make();
    await keeper.step();
    running?.delete('jk-one');
    pass(at.clock, 5000);
    await keeper.step();
    expect(at.sent).toEqual([]);
    expect(await keeper.held()).toEqual([]);
    expect((await keeper.status()).logins).toEqual([]);
  });

  it('counts while the engine cannot be asked', async () => {
    await hold('jk-one');
    running = undefined;
    pass(at.clock, 460);
    await make().step();
    expect(at.sent).toHaveLength(1);
  });

  it('counts before its container is there, until that is taken back', async () => {
    const keeper = make();
    const release = keeper.expect('work', 'jk-coming');
    expect(await keeper.held()).toEqual(['work']);
    pass(at.clock, 460);
    await keeper.step();
    expect(at.sent).toHaveLength(1);
    expect(await readdir(at.paths.dataDir)).toEqual([]);
    release();
    expect(await keeper.held()).toEqual([]);
  });

  it('goes on when another keeper takes over, with whatever the first one left undone', async () => {
    await hold('jk-one');
    await make().step();
    pass(at.clock, 460);
    // Killed after the pair was written, before it was handed to anybody.
    void make({ handOut: () => new Promise(() => undefined) }).step();
    await expect.poll(() => at.sent.length).toBe(1);
    await expect.poll(async () => (await at.login()).token?.accessToken === at.first.accessToken).toBe(false);
    await make().step();
    expect(accessOf((await handed('jk-one')).credential)).toBe((await at.login()).token?.accessToken);
    expect(at.sent).toHaveLength(1);
  });

  it('is handed a token that somebody else has brought: a kimi that shares the directory, or a new login', async () => {
    await hold('jk-one');
    const keeper = make();
    await keeper.step();
    const other = { ...at.first, accessToken: 'fake-from-elsewhere' };
    await writeFile(`${at.file}.new`, printToken(other));
    await rename(`${at.file}.new`, at.file);
    await keeper.step();
    expect(accessOf((await handed('jk-one')).credential)).toBe('fake-from-elsewhere');
  });

  it('keeps what it has when the login is dead, and hears of it', async () => {
    await hold('jk-one');
    const keeper = make();
    await keeper.step();
    await writeFile(at.file, tombstone());
    await keeper.step();
    expect(accessOf((await handed('jk-one')).credential)).toBe(at.first.accessToken);
    expect((await keeper.status()).logins).toMatchObject([{ account: 'work', state: 'ended', why: expect.stringContaining('holds no token'), next_refresh_at: null }]);
    await rm(at.dir, { recursive: true });
    await keeper.step();
    expect(accessOf((await handed('jk-one')).credential)).toBe(at.first.accessToken);
    expect((await keeper.status()).logins).toMatchObject([{ state: 'none', expires_at: null }]);
  });

  it('gets nothing more once a launch has taken it back, not even what was under way by then', async () => {
    for (const [container, account] of [['jk-none', undefined], ['jk-other', 'other']] as const) {
      await hold(container);
      await make().step();
      pass(at.clock, 460);
      const send: KeeperOptions['send'] = async (request, signal) => {
        await withHandoffLock(stateOf(container), async () => {
          await rm(path.join(stateOf(container), 'handoff'), { recursive: true });
          await mkdir(path.join(stateOf(container), 'handoff'), { mode: 0o700 });
          await writeLease(stateOf(container), account);
        });
        return at.world.send(request, signal);
      };
      await make({ send }).step();
      expect(await readdir(path.join(stateOf(container), 'handoff'))).toEqual([]);
    }
    expect(at.sent).toHaveLength(2);
  });

  it('costs the others nothing when its own state is broken', async () => {
    await hold('jk-broken');
    await rm(path.join(stateOf('jk-broken'), 'handoff'), { recursive: true });
    await hold('jk-one');
    const keeper = make();
    expect(await keeper.step()).toBe(2000);
    expect(accessOf((await handed('jk-one')).credential)).toBe(at.first.accessToken);
    expect((await keeper.status()).logins).toMatchObject([{ state: 'trouble', why: expect.stringContaining('jk-broken') }]);
    await keeper.step();
    expect(said).toHaveLength(1);
    await mkdir(path.join(stateOf('jk-broken'), 'handoff'), { mode: 0o700 });
    await keeper.step();
    expect((await keeper.status()).logins).toMatchObject([{ state: 'live', why: null }]);
  });

  it('that cannot be handed anything is told of once each, and tried less and less often', async () => {
    for (const container of ['jk-a', 'jk-b']) {
      await hold(container);
      await rm(path.join(stateOf(container), 'handoff'), { recursive: true });
    }
    const keeper = make();
    const waits: number[] = [];
    for (let more = 0; more < 6; more += 1) waits.push(await keeper.step());
    expect(waits).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(said).toHaveLength(2);
  });

  it('is what the state of an instance says, and no more, whatever stands in its place', { timeout: 5000 }, async () => {
    await hold('jk-one');
    for (const [container, make_] of [['jk-loop', `ln -s lease.json lease.json`], ['jk-pipe', 'mkfifo lease.json'], ['jk-link', `ln -s ${stateOf('jk-one')}/.jackin/lease.json lease.json`]] as const) {
      await mkdir(path.join(stateOf(container), '.jackin'), { recursive: true });
      execFileSync('sh', ['-c', make_], { cwd: path.join(stateOf(container), '.jackin') });
      running?.add(container);
    }
    const keeper = make();
    await keeper.step();
    expect((await keeper.status()).logins).toMatchObject([{ holders: ['jk-one'], state: 'live' }]);
  });

  it('of one login has nothing to do with another', async () => {
    await writeFiles(path.join(at.paths.loginsDir, 'kimi/other'), { 'config.toml': '= broken' });
    await hold('jk-one');
    await hold('jk-two', 'other');
    await make().step();
    expect(accessOf((await handed('jk-one')).credential)).toBe(at.first.accessToken);
    expect(said).toEqual([expect.stringContaining('logins/kimi/other/config.toml cannot be read')]);
  });
});

describe('what goes wrong', () => {
  it('is tried again after longer and longer pauses, or when the server says', async () => {
    await hold('jk-one');
    const keeper = make();
    pass(at.clock, 460);
    at.kimi.schedule({ do: 'status', status: 503 }, { do: 'status', status: 429, retryAfter: 60 }, { do: 'status', status: 500 });
    expect(await keeper.step()).toBe(1000);
    expect(await keeper.step()).toBe(1000);
    expect(at.sent).toHaveLength(1);
    pass(at.clock, 1);
    expect(await keeper.step()).toBe(30_000);
    pass(at.clock, 59);
    await keeper.step();
    expect(at.sent).toHaveLength(2);
    pass(at.clock, 1);
    expect(await keeper.step()).toBe(4000);
    expect((await keeper.status()).logins).toMatchObject([{ state: 'trouble', why: expect.stringContaining('HTTP 500') }]);
    pass(at.clock, 4);
    await keeper.step();
    expect((await keeper.status()).logins).toMatchObject([{ state: 'live', why: null, refreshed_at: new Date(at.clock.wall).toISOString() }]);
    expect(said.at(-1)).toBe('The login kimi:work works again.');
    expect(await at.works()).toBe(true);
  });

  it('ends when a person logs in again', async () => {
    await hold('jk-one');
    await writeFile(at.file, printToken({ ...at.first, refreshToken: 'fake-revoked', expiresAt: 1 }));
    const keeper = make();
    await keeper.step();
    for (let more = 0; more < 5; more += 1) {
      pass(at.clock, 40);
      await keeper.step();
    }
    expect(at.sent).toEqual(['fake-revoked']);
    expect((await keeper.status()).logins).toMatchObject([{ state: 'ended' }]);
    await writeFile(at.file, printToken(at.first));
    await keeper.step();
    expect((await keeper.status()).logins).toMatchObject([{ state: 'live' }]);
    expect(accessOf((await handed('jk-one')).credential)).toBe(at.first.accessToken);
  });

  it('says what a person must do, to who wants a token', async () => {
    const keeper = make();
    await keeper.ensureFresh('work');
    expect(at.sent).toEqual([]);
    await expect(keeper.ensureFresh('nobody')).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('jackin login kimi --account nobody') });
    pass(at.clock, 460);
    at.kimi.schedule({ do: 'reset' }, { do: 'reset' });
    // There is life left in it: whoever wants it gets it.
    await keeper.ensureFresh('work');
    pass(at.clock, 400);
    await expect(keeper.ensureFresh('work')).rejects.toMatchObject({ code: 'failed', message: expect.stringContaining('could not be renewed') });
    await writeFile(at.file, printToken({ ...at.first, refreshToken: 'fake-revoked' }));
    await expect(keeper.ensureFresh('work')).rejects.toMatchObject({ code: 'auth.dead', hint: expect.stringContaining('jackin login kimi --account work') });
  });

  it('keeps a pair that the disk will not take, although nobody holds the login: it is the only one', async () => {
    let broken = true;
    const sick = (from: string, to: string) => (broken && to === at.file ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : fsPromises.rename(from, to));
    const keeper = make({ fs: { ...fsPromises, rename: sick } as typeof fsPromises });
    pass(at.clock, 860);
    await expect(keeper.ensureFresh('work')).rejects.toMatchObject({ message: expect.stringContaining('kept in memory') });
    for (let more = 0; more < 3; more += 1) {
      await keeper.step();
      expect(await keeper.held()).toEqual(['work']);
      pass(at.clock, 30);
    }
    broken = false;
    pass(at.clock, 300);
    await keeper.step();
    expect(at.sent).toHaveLength(1);
    expect((await at.login()).token?.refreshToken).not.toBe(at.first.refreshToken);
    await keeper.step();
    expect(await keeper.held()).toEqual([]);
  });

  it('does not keep the pair of a login that was removed', async () => {
    const sick = (from: string, to: string) => (to === at.file ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : fsPromises.rename(from, to));
    const keeper = make({ fs: { ...fsPromises, rename: sick } as typeof fsPromises });
    pass(at.clock, 860);
    await expect(keeper.ensureFresh('work')).rejects.toMatchObject({ code: 'failed' });
    await rm(at.dir, { recursive: true });
    await keeper.step();
    expect(await keeper.held()).toEqual([]);
  });

  it('of a server whose tokens live for a moment does not become a stream of requests', async () => {
    at = await makeLoginWorld(path.join(root, 'brief'), { expiresIn: 0.001 });
    await hold('jk-one');
    const keeper = make();
    pass(at.clock, 460);
    const begun = at.clock.elapsed;
    while (at.clock.elapsed - begun < 10_000) pass(at.clock, (await keeper.step()) / 1000);
    expect(at.sent.length).toBeGreaterThan(5);
    expect(at.sent.length).toBeLessThan(13);
  });

  it('is asked of the server once, however many want it', async () => {
    await hold('jk-one');
    const keeper = make();
    pass(at.clock, 460);
    await Promise.all([keeper.step(), keeper.ensureFresh('work'), keeper.ensureFresh('work'), keeper.step()]);
    expect(at.sent).toHaveLength(1);
  });
});

describe('clocks', () => {
  it('that jump ahead, as after a night, cost one renewal', async () => {
    await hold('jk-one');
    const keeper = make();
    await keeper.step();
    at.clock.wall += 8 * 3_600_000;
    await keeper.step();
    await keeper.step();
    expect(at.sent).toHaveLength(1);
    expect(await at.works()).toBe(true);
  });

  it('that were set back before the first look leave a token of unknown age: it is renewed, however often it was looked at', async () => {
    at.clock.wall -= 5 * 3_600_000;
    const keeper = make();
    await keeper.ensureFresh('work');
    expect(at.sent).toHaveLength(1);
    await keeper.ensureFresh('work');
    expect(at.sent).toHaveLength(1);
  });

  it('that are set back do not keep a token for ever', async () => {
    await hold('jk-one');
    const keeper = make();
    await keeper.step();
    at.clock.wall -= 5 * 3_600_000;
    await keeper.step();
    expect(at.sent).toHaveLength(0);
    for (let seconds = 0; seconds < LIFE; seconds += 30) {
      pass(at.clock, 30);
      await keeper.step();
    }
    expect(at.sent).toHaveLength(2);
  });
});
