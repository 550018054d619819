import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaseOf, parseToken, printToken } from '../../../../src/agents/kimi-token.ts';
import { provisionHandoff } from '../../../../src/auth/handoff.ts';
import { createLeaseFollower } from '../../../../src/capsule/home/follow-lease.ts';
import { prepareHome } from '../../../../src/capsule/home/prepare.ts';
import type { HomeRoots } from '../../../../src/capsule/home/roots.ts';
import type { AgentSetup, LoginOutcome } from '../../../../src/capsule/protocol.ts';
import { credential, KIMI_CODE_CONFIG, kimiCliFiles, kimiCodeFiles, minutes, NOW, tombstone } from '../../../fixtures/kimi/login.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../../fixtures/kimi/tree.ts';

let root: string;
let roots: HomeRoots;
let said: string[];
const followers: (() => Promise<void>)[] = [];

beforeEach(async () => {
  root = await makeTemporaryDir();
  said = [];
  roots = { home: path.join(root, 'home'), handoff: path.join(root, 'handoff'), state: path.join(root, 'state'), defaultHome: path.join(root, 'default-home') };
  await mkdir(roots.home);
});

afterEach(async () => {
  for (const stop of followers.splice(0)) await stop();
  await rm(root, { recursive: true });
});

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const LEASED: AgentSetup = { slug: 'kimi', mode: 'sync', leased: true };
const FILE = 'credentials/kimi-code.json';

const lease = (serial: number, expiresAt = minutes(15)): string => printToken(leaseOf(parseToken(credential({ serial, expiresAt }))!));

const handOver = (text: string, config = KIMI_CODE_CONFIG) =>
  provisionHandoff(
    roots.handoff,
    [{ name: 'kimi-code', action: 'replace', files: Object.entries(kimiCodeFiles(text, config)).map(([file, content]) => ({ path: file, bytes: Buffer.from(content) })) }, { name: 'kimi', action: 'remove' }],
    ME,
  );

const prepare = async (setup: AgentSetup = LEASED): Promise<LoginOutcome> => (await prepareHome({ workdir: '/srv/app', agents: [setup] }, roots, NOW)).logins[0]!;

const inHome = (file: string): string => path.join(roots.home, '.kimi-code', file);
const read = (file = FILE): Promise<string> => readFile(inHome(file), 'utf8');
const backups = async (): Promise<string[]> => {
  const names = await readdir(inHome('.jackin/backups')).catch(() => [] as string[]);
  return Promise.all(names.map(async (name) => JSON.stringify(await contentOf(inHome(`.jackin/backups/${name}`)))));
};

/** A capsule that follows, until the test ends. */
const follow = async (setup: AgentSetup = LEASED): Promise<(setup: AgentSetup) => Promise<void>> => {
  const tell = createLeaseFollower(roots, (line) => said.push(line));
  followers.push(() => tell({ agents: [{ slug: 'kimi', mode: 'ignore' }] }));
  await tell({ agents: [setup] });
  return (next) => tell({ agents: [next] });
};

describe('a start with a lease', () => {
  test('takes it, with the settings that go with it', async () => {
    await handOver(lease(1));
    expect(await prepare()).toEqual({ slug: 'kimi', outcome: 'lease', why: 'It has access only; the keeper on the host renews the login.' });
    expect([await read(), await read('config.toml')]).toEqual([lease(1), KIMI_CODE_CONFIG]);
    expect(await modesOf(inHome('credentials'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });

  test('takes one whose token says that it is over: the clock of a server may be wrong', async () => {
    await handOver(lease(1, minutes(-600)));
    await prepare();
    expect(await read()).toBe(lease(1, minutes(-600)));
  });

  test('leaves no copy of another login beside it that could renew itself', async () => {
    await handOver(credential({ serial: 7 }));
    await prepare({ slug: 'kimi', mode: 'sync' });
    const renewed = credential({ serial: 8, expiresAt: minutes(800) });
    await writeFile(inHome(FILE), renewed);
    await handOver(lease(1));
    expect(await prepare()).toMatchObject({ outcome: 'lease' });
    expect(await read()).toBe(lease(1));
    // What was renewed inside is nowhere else: it is not thrown away.
    expect((await backups()).join('')).toContain('refresh-secret-8');
  });

  test('leaves none under another name either, although it was renewed inside', async () => {
    const other = 'credentials/kimi-code-env-0e4f99c69cc27850.json';
    const files = Object.entries({ ...kimiCodeFiles(), [other]: credential({ serial: 4 }) }).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) }));
    await provisionHandoff(roots.handoff, [{ name: 'kimi-code', action: 'replace', files }], ME);
    await prepare({ slug: 'kimi', mode: 'sync' });
    await writeFile(inHome(other), credential({ serial: 6 }));
    await handOver(lease(1));
    await prepare();
    expect(await readdir(inHome('credentials'))).toEqual(['kimi-code.json']);
    expect((await backups()).join('')).toContain('refresh-secret-6');
  });

  test('takes away the credential of kimi-cli that an earlier launch had placed', async () => {
    const files = Object.entries(kimiCliFiles()).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) }));
    await provisionHandoff(roots.handoff, [{ name: 'kimi', action: 'replace', files }], ME);
    await prepare({ slug: 'kimi', mode: 'sync' });
    await handOver(lease(1));
    await prepare();
    expect(JSON.stringify(await contentOf(roots.home))).not.toContain('refresh-secret');
  });

  test('leaves settings alone that were changed in the container', async () => {
    await handOver(lease(1));
    await prepare();
    await writeFile(inHome('config.toml'), `${KIMI_CODE_CONFIG}# mine\n`);
    await handOver(lease(2));
    await prepare();
    expect([await read(), await read('config.toml')]).toEqual([lease(2), `${KIMI_CODE_CONFIG}# mine\n`]);
    await handOver(lease(2), `${KIMI_CODE_CONFIG}# the host’s\n`);
    await prepare();
    expect(await read('config.toml')).toBe(`${KIMI_CODE_CONFIG}# mine\n`);
  });

  test('goes as every forwarded login when the mode is left', async () => {
    await handOver(lease(1));
    await prepare();
    await provisionHandoff(roots.handoff, [{ name: 'kimi-code', action: 'remove' }], ME);
    expect(await prepare({ slug: 'kimi', mode: 'ignore' })).toMatchObject({ outcome: 'removed' });
    expect(JSON.stringify(await contentOf(roots.home))).not.toContain('access-secret');
  });

  test('gives way to a copy when the login is a copy again', async () => {
    await handOver(lease(1));
    await prepare();
    await handOver(credential({ serial: 5 }));
    expect(await prepare({ slug: 'kimi', mode: 'sync' })).toMatchObject({ outcome: 'handoff' });
    expect(await read()).toBe(credential({ serial: 5 }));
  });

  test('does not take a copy for one, which an earlier launch has left in its place', async () => {
    await handOver(credential({ serial: 3 }));
    expect(await prepare()).toMatchObject({ outcome: 'none' });
    expect(JSON.stringify(await contentOf(roots.home))).not.toContain('refresh-secret');
  });

  test('without one says that it comes', async () => {
    expect(await prepare()).toMatchObject({ outcome: 'none', why: expect.stringContaining('the keeper brings one') });
  });
});

describe('while sessions run', () => {
  test('each newer lease is taken: its credential, and nothing else', async () => {
    await handOver(lease(1));
    await prepare();
    await follow();
    for (const serial of [2, 3]) {
      await handOver(lease(serial), `${KIMI_CODE_CONFIG}# version ${serial}\n`);
      await expect.poll(() => read()).toBe(lease(serial));
    }
    expect(await read('config.toml')).toBe(KIMI_CODE_CONFIG);
    expect(await readdir(inHome('credentials'))).toEqual(['kimi-code.json']);
    expect(await backups()).toEqual([]);
    // The next start finds that nothing is to be done.
    const before = await contentOf(roots.state);
    await handOver(lease(3));
    await prepare();
    expect((await contentOf(roots.state))['auth/kimi.json']).toBe(before['auth/kimi.json']);
  });

  test.each([['nothing', ''], ['garbage', '\0\0\0'], ['another form', '{"token": "mine"}'], ['a tombstone', tombstone()]])('%s in the credential file is healed by the next one', async (_what, text) => {
    await handOver(lease(1));
    await prepare();
    await follow();
    await writeFile(inHome(FILE), text);
    await handOver(lease(2));
    await expect.poll(() => read()).toBe(lease(2));
    expect(await backups()).toEqual([]);
  });

  test('a directory, a link out, or nothing at all in its place is healed, and nothing outside is touched', async () => {
    await handOver(lease(1));
    await prepare();
    await follow();
    const canary = path.join(root, 'canary.json');
    await writeFile(canary, 'canary');
    const break_ = [
      () => mkdir(inHome(FILE)),
      () => symlink(canary, inHome(FILE)),
      () => rm(inHome('credentials'), { recursive: true }),
      async () => {
        await rm(inHome('credentials'), { recursive: true });
        await symlink(root, inHome('credentials'));
      },
    ];
    for (const [index, how] of break_.entries()) {
      await rm(inHome(FILE), { force: true });
      await how();
      await handOver(lease(index + 2));
      await expect.poll(() => read().catch(() => '')).toBe(lease(index + 2));
    }
    expect(await readFile(canary, 'utf8')).toBe('canary');
    expect(await readdir(root)).not.toContain('kimi-code.json');
  });

  test('a lease that came before it began to follow is taken at once', async () => {
    await handOver(lease(1));
    await prepare();
    await handOver(lease(2));
    await follow();
    expect(await read()).toBe(lease(2));
  });

  test('nothing is followed any more when the login is no lease', async () => {
    await handOver(lease(1));
    await prepare();
    const tell = await follow();
    await tell({ slug: 'kimi', mode: 'sync' });
    await handOver(lease(2));
    await tell({ slug: 'kimi', mode: 'sync' });
    expect(await read()).toBe(lease(1));
  });

  test('a session of another agent changes nothing', async () => {
    await handOver(lease(1));
    await prepare();
    const tell = await follow();
    await tell({ slug: 'claude', mode: 'sync' });
    await handOver(lease(2));
    await expect.poll(() => read()).toBe(lease(2));
  });

  test('what cannot be written is told once, and tried again', async () => {
    await handOver(lease(1));
    await prepare();
    await follow();
    const record = path.join(roots.state, 'auth');
    await rm(record, { recursive: true });
    await writeFile(record, 'in the way');
    await handOver(lease(2));
    await expect.poll(() => said).toHaveLength(1);
    await rm(record);
    await expect.poll(() => read(), { timeout: 6000 }).toBe(lease(2));
    expect(said).toHaveLength(1);
    expect(said[0]).not.toMatch(/secret/);
  });
});
