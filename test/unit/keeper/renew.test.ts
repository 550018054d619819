import * as fsPromises from 'node:fs/promises';
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseToken, printToken } from '../../../src/agents/kimi-token.ts';
import { SendError } from '../../../src/auth/kimi-requests.ts';
import { readLoginNote } from '../../../src/keeper/login-note.ts';
import { createRenew, type Renewal } from '../../../src/keeper/renew.ts';
import { makeFaulty, noFault } from '../../fixtures/kimi/faulty-fs.ts';
import { tombstone } from '../../fixtures/kimi/login.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../fixtures/kimi/tree.ts';
import { LIFE, type LoginWorld, makeLoginWorld, pass } from './world.ts';

let root: string;
let at: LoginWorld;

beforeEach(async () => {
  root = await makeTemporaryDir();
  at = await makeLoginWorld(root, { rotation: 'revokes-family' });
});

afterEach(async () => {
  process.umask(0o022);
  await rm(root, { recursive: true });
});

const ALWAYS = (): boolean => true;

const renew = (world: Partial<LoginWorld['world']> = {}): Promise<Renewal> => createRenew({ ...at.world, ...world })('work', ALWAYS);

const again = async (root_: string, options: Parameters<typeof makeLoginWorld>[1]): Promise<void> => {
  await rm(root_, { recursive: true });
  await mkdir(root_);
  at = await makeLoginWorld(root_, options);
};

describe('a renewal', () => {
  it('brings a new pair, which is on the disk as Kimi itself would have written it', async () => {
    process.umask(0o077);
    pass(at.clock, 460);
    expect(await renew()).toMatchObject({ kind: 'good' });
    const text = await readFile(at.file, 'utf8');
    expect(Object.keys(JSON.parse(text) as object)).toEqual(['access_token', 'refresh_token', 'expires_at', 'scope', 'token_type', 'expires_in']);
    expect(parseToken(text)).toMatchObject({ expiresAt: at.clock.wall / 1000 + LIFE, expiresIn: LIFE });
    expect(await at.works()).toBe(true);
    expect(await readdir(path.dirname(at.file))).toEqual(['kimi-code.json']);
    expect((await stat(at.file)).mode & 0o777).toBe(0o600);
    expect(at.sent).toEqual([at.first.refreshToken]);
  });

  it('counts the life of a token from before it was asked for', async () => {
    at.kimi.schedule({ do: 'delay', seconds: 20 });
    const asked = at.clock.wall / 1000;
    await renew();
    expect((await at.login()).token?.expiresAt).toBe(asked + LIFE);
  });

  it('is left out when somebody else has seen to it meanwhile', async () => {
    expect(await createRenew(at.world)('work', () => false)).toMatchObject({ kind: 'good' });
    expect(at.sent).toEqual([]);
  });

  it('is told with the identity of the login, and of no other', async () => {
    let seen: Readonly<Record<string, string>> = {};
    await renew({ send: (request, signal) => ((seen = request.headers), at.world.send(request, signal)) });
    expect(seen['X-Msh-Device-Id']).toBe('device-of-work');
  });

  it('waits for a kimi that holds the lock of the directory, and takes over that of a dead one', async () => {
    const lock = path.join(at.dir, 'oauth/kimi-code.lock');
    await mkdir(lock, { recursive: true });
    const begun = Date.now();
    setTimeout(() => void rm(lock, { recursive: true }), 700);
    expect(await renew()).toMatchObject({ kind: 'good' });
    expect(Date.now() - begun).toBeGreaterThan(650);
    await mkdir(lock);
    const long = new Date(Date.now() - 6000);
    await fsPromises.utimes(lock, long, long);
    expect(await renew()).toMatchObject({ kind: 'good' });
    expect(await readdir(path.join(at.dir, 'oauth'))).toEqual(['kimi-code']);
  });

  it('happens once for two who want it at the same moment', async () => {
    const due = (login: { token?: { expiresAt: number } | undefined }): boolean => (login.token?.expiresAt ?? 0) - at.clock.wall / 1000 < 450;
    pass(at.clock, 500);
    const both = await Promise.all([createRenew(at.world)('work', due), createRenew(at.world)('work', due)]);
    expect(both.map(({ kind }) => kind)).toEqual(['good', 'good']);
    expect(at.sent).toHaveLength(1);
  });

  it('leaves no secret in what it notes', async () => {
    at.kimi.schedule({ do: 'reset' });
    await renew();
    const notes = JSON.stringify(await contentOf(at.paths.keeperDir));
    expect(notes).toContain(String.raw`\"sent\":{`);
    expect(notes).not.toContain(at.first.refreshToken);
    expect(notes).not.toContain(at.first.accessToken);
    expect(await modesOf(at.paths.keeperDir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });
});

describe('a refresh token that the server does not take', () => {
  beforeEach(async () => {
    await writeFile(at.file, printToken({ ...at.first, refreshToken: 'fake-revoked' }));
  });

  it('ends the login, in words, and is never sent again: not by the next keeper either', async () => {
    const before = await readFile(at.file, 'utf8');
    const one = createRenew(at.world);
    for (const go of [one, one, createRenew(at.world)]) {
      expect(await go('work', ALWAYS)).toMatchObject({ kind: 'ended', why: expect.stringMatching(/^The login kimi:work has ended: the server does not take its refresh token: .*unknown refresh token/) });
    }
    expect(at.sent).toEqual(['fake-revoked']);
    // A login is never overwritten with nothing.
    expect(await readFile(at.file, 'utf8')).toBe(before);
  });

  it('is not sent again when it cannot be written down that it was refused', async () => {
    const fs = { ...fsPromises, rename: (from: string, to: string) => (to.includes('notes') && at.sent.length > 0 ? Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) : fsPromises.rename(from, to)) };
    const go = createRenew({ ...at.world, fs: fs as typeof fsPromises });
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'ended' });
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'ended' });
    expect(at.sent).toHaveLength(1);
  });

  it('counts for nothing when there is a newer one by then', async () => {
    const send: LoginWorld['world']['send'] = async (request, signal) => {
      const answer = await at.world.send(request, signal);
      await writeFile(at.file, printToken(at.first));
      return answer;
    };
    expect(await renew({ send })).toMatchObject({ kind: 'good', login: { token: at.first } });
    expect((await readLoginNote(at.paths, 'work')).ended).toBeNull();
  });

  it('is forgotten when a person has logged in again', async () => {
    await renew();
    await writeFile(at.file, printToken(at.first));
    expect(await renew()).toMatchObject({ kind: 'good' });
    expect(await at.works()).toBe(true);
  });
});

describe('a file without a token', () => {
  it.each([['a tombstone', tombstone()], ['a half', '{"access_token": "fake'], ['nothing', '']])('holds %s: that is said, nothing is sent and nothing written', async (_what, text) => {
    await writeFile(at.file, text);
    expect(await renew()).toMatchObject({ kind: 'ended', why: expect.stringContaining('holds no token') });
    expect(at.sent).toEqual([]);
    expect(await readFile(at.file, 'utf8')).toBe(text);
  });

  it('is gone: the same', async () => {
    await rm(at.file);
    expect(await renew()).toMatchObject({ kind: 'ended' });
    await rm(path.dirname(at.file), { recursive: true });
    expect(await renew()).toMatchObject({ kind: 'ended', why: expect.stringContaining('holds no token') });
    await rm(at.dir, { recursive: true });
    await expect(renew()).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('kimi:work') });
  });

  it('behind a link is not followed', async () => {
    const elsewhere = path.join(root, 'elsewhere.json');
    await writeFile(elsewhere, printToken(at.first));
    await rm(at.file);
    await symlink(elsewhere, at.file);
    expect(await renew()).toMatchObject({ kind: 'ended' });
    expect(at.sent).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('of somebody else is not read', async () => {
    await fsPromises.chown(at.dir, 4321, 4321);
    await expect(renew({ uid: 1234 })).rejects.toMatchObject({ code: 'auth.missing' });
  });
});

describe('a server that does not answer as it should', () => {
  it.each([
    [{ do: 'status', status: 429, retryAfter: 40 }, 'HTTP 429'],
    [{ do: 'status', status: 500 }, 'HTTP 500'],
    [{ do: 'status', status: 503 }, 'HTTP 503'],
    [{ do: 'reset' }, 'the connection ended'],
    [{ do: 'delay', seconds: 31 }, 'no answer in time'],
  ] as const)('%j is no end: the same token works later', async (fault, said) => {
    // Who answers late has acted.
    if (fault.do === 'delay') await again(root, { rotation: 'grace' });
    at.kimi.schedule(fault);
    const failed = await renew();
    expect(failed).toMatchObject({ kind: 'failed', why: expect.stringContaining(said) });
    expect(failed).toMatchObject('retryAfter' in fault ? { afterMs: 40_000 } : {});
    expect(parseToken(await readFile(at.file, 'utf8'))).toEqual(at.first);
    expect(await readdir(path.dirname(at.file))).toEqual(['kimi-code.json']);
    expect(await renew()).toMatchObject({ kind: 'good' });
    expect(await at.works()).toBe(true);
  });

  it.each(['reset after', 'cut', 'junk'] as const)('%s: the login is reported as lost after one more try, and that is the last', async (fault) => {
    at.kimi.schedule({ do: fault });
    const go = createRenew(at.world);
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'failed' });
    const ended = await go('work', ALWAYS);
    expect(ended).toMatchObject({ kind: 'ended', why: expect.stringMatching(/an answer of the server never arrived.*nobody has the new token/) });
    for (let more = 0; more < 3; more += 1) expect(await createRenew(at.world)('work', ALWAYS)).toMatchObject({ kind: 'ended' });
    expect(at.sent).toEqual([at.first.refreshToken, at.first.refreshToken]);
  });

  it.each(['reset after', 'cut', 'junk'] as const)('%s costs nothing where the server gives the same pair again', async (fault) => {
    await again(root, { rotation: 'grace' });
    at.kimi.schedule({ do: fault });
    expect(await renew()).toMatchObject({ kind: 'failed' });
    expect(await renew()).toMatchObject({ kind: 'good' });
    expect(await at.works()).toBe(true);
  });

  it('that was never reached has used nothing up: no later refusal is taken for a lost answer', async () => {
    await writeFile(at.file, printToken({ ...at.first, refreshToken: 'fake-revoked' }));
    expect(await renew({ send: () => Promise.reject(new SendError('connection refused', false)) })).toMatchObject({ kind: 'failed' });
    expect((await readLoginNote(at.paths, 'work')).sent).toBeNull();
    expect(await renew()).toMatchObject({ kind: 'ended', why: expect.stringContaining('does not take its refresh token') });
  });
});

describe('a disk', () => {
  it('that is full keeps the server from being asked: a pair that cannot be written is a login lost', async () => {
    const fault = { ...noFault(), kind: 'ENOSPC' };
    for (let failAt = 1; ; failAt += 1) {
      Object.assign(fault, { step: 0, failAt });
      const go = createRenew({ ...at.world, fs: makeFaulty(fsPromises, fault) });
      const renewed = await go('work', ALWAYS);
      if (fault.step < failAt) break;
      expect(renewed.kind === 'failed' ? renewed.why : 'the disk is full').toContain('the disk is full');
      expect(failAt).toBeLessThan(100);
      // Whatever happened, the next one works on: nothing was lost.
      expect(await go('work', ALWAYS), `after a full disk at step ${failAt}`).toMatchObject({ kind: 'good' });
      expect(await at.works()).toBe(true);
      expect(await readdir(path.dirname(at.file))).toEqual(['kimi-code.json']);
    }
  });

  it('that will not take the new pair does not cost it: it is written as soon as it can be, and nothing is asked again', async () => {
    let broken = true;
    const fs = { ...fsPromises, rename: (from: string, to: string) => (broken && to === at.file ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : fsPromises.rename(from, to)) };
    const go = createRenew({ ...at.world, fs: fs as typeof fsPromises });
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'failed', why: expect.stringContaining('kept in memory') });
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'failed' });
    expect(parseToken(await readFile(at.file, 'utf8'))).toEqual(at.first);
    broken = false;
    expect(await go('work', ALWAYS)).toMatchObject({ kind: 'good' });
    expect(await at.works()).toBe(true);
    expect(at.sent).toHaveLength(1);
  });

  it('that lets a new pair be written and not be put in place does not cost it when the keeper is killed then', async () => {
    const fs = { ...fsPromises, rename: (from: string, to: string) => (to === at.file ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : fsPromises.rename(from, to)) };
    expect(await renew({ fs: fs as typeof fsPromises })).toMatchObject({ kind: 'failed' });
    expect(await createRenew(at.world)('work', () => false)).toMatchObject({ kind: 'good' });
    expect(await at.works()).toBe(true);
    expect(at.sent).toHaveLength(1);
    expect((await at.login()).token?.refreshToken).not.toBe(at.first.refreshToken);
    expect(await readdir(path.dirname(at.file))).toEqual(['kimi-code.json']);
  });

  it('that may only be read keeps the server from being asked, too', async () => {
    const fs = { ...fsPromises, open: (file: string, flags: number, mode: number) => (file.includes('.tmp') ? Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' })) : fsPromises.open(file, flags, mode)) };
    expect(await renew({ fs: fs as typeof fsPromises })).toMatchObject({ kind: 'failed' });
    expect(at.sent).toEqual([]);
  });
});

describe('a keeper that is killed at any step', () => {
  it.each(['grace', 'single-use'] as const)('leaves a login that the next one goes on with (%s)', { timeout: 60_000 }, async (rotation) => {
    const lost: number[] = [];
    let steps = 0;
    for (let failAt = 1; ; failAt += 1) {
      await again(root, { rotation });
      const fault = { ...noFault(), failAt };
      await renew({ fs: makeFaulty(fsPromises, fault) });
      if (fault.step < failAt) break;
      steps = failAt;
      const next = await renew();
      expect(['good', 'ended']).toContain(next.kind);
      expect(next.kind === 'ended' || (await at.works())).toBe(true);
      if (next.kind === 'ended') lost.push(failAt);
      const times = at.sent.filter((token) => token === at.first.refreshToken).length;
      expect(times, 'how often one token was sent').toBeLessThanOrEqual(2);
      expect(await readdir(path.dirname(at.file))).toEqual(['kimi-code.json']);
      expect(failAt).toBeLessThan(100);
    }
    expect(steps).toBeGreaterThan(8);
    // Between the answer and its last byte on the disk there is one step, and no program can do without it.
    expect(lost.length).toBe(rotation === 'grace' ? 0 : 1);
  });
});

describe('the directory', () => {
  it('is made private again', async () => {
    await chmod(path.join(at.dir, 'credentials'), 0o755);
    await renew();
    expect((await stat(path.join(at.dir, 'credentials'))).mode & 0o777).toBe(0o700);
  });
});
