import * as fsPromises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KIMI_REGIONS } from '../../../src/agents/kimi-hosts.ts';
import { configWith, USUAL_MODEL } from '../../../src/agents/kimi-models.ts';
import { readOwnLogin } from '../../../src/auth/own-login.ts';
import { createOwnLogin, type NewLogin, removeOwnLogin, replaceGrant, withLoginsLock } from '../../../src/auth/write-own-login.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { makeFaulty, noFault } from '../../fixtures/kimi/faulty-fs.ts';

let root: string;
let umask: number;

beforeEach(async () => {
  umask = process.umask(0);
  root = await fsPromises.mkdtemp(path.join(tmpdir(), 'jackin-logins-'));
  await fsPromises.mkdir(path.join(root, 'kimi'), { mode: 0o700 });
});
afterEach(async () => {
  process.umask(umask);
  await fsPromises.rm(root, { recursive: true });
});

const make = (name: string, region: keyof typeof KIMI_REGIONS): NewLogin => ({
  ...KIMI_REGIONS[region],
  deviceId: 'fake-device',
  token: { accessToken: `fake-access-${name}`, refreshToken: `fake-refresh-${name}`, expiresAt: 1, expiresIn: 900, scope: '', tokenType: 'Bearer' },
  config: configWith({}, KIMI_REGIONS[region], [USUAL_MODEL]),
});

const old = make('old', 'mainland-cn');

/** What a reader finds: the server and the token for it. */
const found = async (): Promise<string> => {
  try {
    const { oauthHost, token, deviceId, config } = await readOwnLogin(root, 'work', process.getuid!());
    expect(deviceId).toBe('fake-device');
    expect(config['default_model']).toBe('kimi-code/kimi-for-coding');
    return `${token?.accessToken} of ${oauthHost}`;
  } catch (error) {
    if (error instanceof JackinError && error.code === 'not-found') return 'nothing';
    throw error;
  }
};

const OLD = 'fake-access-old of https://auth.kimi.com';

/** Runs `work` with each call of the file system failing once, until none is left to fail. */
const withEachFault = async (kind: string, work: (fs: typeof fsPromises) => Promise<unknown>, check: () => Promise<void>): Promise<void> => {
  for (let failAt = 1; ; failAt += 1) {
    const outcome = await work(makeFaulty(fsPromises, { ...noFault(), failAt, kind })).then(
      () => 'done',
      () => 'failed',
    );
    await check();
    if (outcome === 'done') return;
    expect(failAt).toBeLessThan(60);
  }
};

const KINDS = ['ENOSPC', 'EIO', 'crash'];

test.each(KINDS)('a new login is whole or not there after %s at any step, and its leftovers are swept', async (kind) => {
  await withEachFault(
    kind,
    (fs) => createOwnLogin(root, 'work', old, fs),
    async () => {
      expect(['nothing', OLD]).toContain(await found());
      await withLoginsLock(root, async () => undefined);
      expect((await fsPromises.readdir(path.join(root, 'kimi'))).filter((name) => name !== 'work')).toEqual([]);
      if ((await found()) !== 'nothing') await removeOwnLogin(root, 'work');
    },
  );
});

test.each(KINDS.flatMap((kind) => [[kind, 'mainland-cn'], [kind, 'global']] as const))('a new grant is the old or the new login after %s at any step (%s)', async (kind, region) => {
  const next = make('new', region);
  const seen = new Set<string>();
  await createOwnLogin(root, 'work', old);
  await withEachFault(
    kind,
    (fs) => replaceGrant(path.join(root, 'kimi', 'work'), next, fs),
    async () => {
      const now = await found();
      expect([OLD, `fake-access-new of ${KIMI_REGIONS[region].oauthHost}`]).toContain(now);
      seen.add(now);
      await fsPromises.rm(path.join(root, 'kimi', 'work'), { recursive: true });
      await createOwnLogin(root, 'work', old);
    },
  );
  expect(seen.size).toBe(2);
});

test('all of it is private, whatever the umask', async () => {
  await createOwnLogin(root, 'work', old);
  await replaceGrant(path.join(root, 'kimi', 'work'), make('new', 'global'));
  const modes = (await fsPromises.readdir(root, { recursive: true, withFileTypes: true })).map(async (entry) => {
    const { mode } = await fsPromises.lstat(path.join(entry.parentPath, entry.name));
    return [entry.name, (mode & 0o777).toString(8)];
  });
  expect(Object.fromEntries(await Promise.all(modes))).toEqual({
    kimi: '700', work: '700', credentials: '700', oauth: '700', 'config.toml': '600', device_id: '600', 'kimi-code-env-0e4f99c69cc27850.json': '600',
  });
});

test('two commands never make logins at the same time', async () => {
  const order: string[] = [];
  const slow = withLoginsLock(root, async () => {
    order.push('first begins');
    await new Promise((resolve) => setTimeout(resolve, 100));
    order.push('first ends');
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  await Promise.all([slow, withLoginsLock(root, async () => void order.push('second'))]);
  expect(order).toEqual(['first begins', 'first ends', 'second']);
});
