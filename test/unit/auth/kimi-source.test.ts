import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readKimi } from '../../../src/auth/kimi-source.ts';
import type { LoginSet, SourceOptions } from '../../../src/auth/source.ts';
import {
  credential,
  jwt,
  KEY_CONFIG,
  KIMI_CODE_CONFIG,
  kimiCliFiles,
  kimiCodeFiles,
  minutes,
  NOW,
  tombstone,
  writeFiles,
} from '../../fixtures/kimi/login.ts';
import { fingerprintOf, makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let home: string;

beforeEach(async () => {
  home = await makeTemporaryDir();
});

afterEach(async () => {
  await rm(home, { recursive: true });
});

const UID = process.getuid?.() ?? 0;

const read = (options: Partial<SourceOptions> = {}): Promise<LoginSet> => readKimi({ home, env: {}, uid: UID, now: NOW, ...options });

const put = (dir: string, files: Record<string, string | Buffer>): Promise<void> => writeFiles(path.join(home, dir), files);

const handedOver = ({ set }: LoginSet): Record<string, string> =>
  Object.fromEntries((set?.files ?? []).map(({ path: file, bytes }) => [file, bytes.toString()]));

describe('a Kimi Code login', () => {
  test('is told in full, without a secret', async () => {
    await put('.kimi-code', kimiCodeFiles());
    const { facts } = await read();
    expect(facts).toEqual({
      agent: 'kimi',
      dir: path.join(home, '.kimi-code'),
      from: 'default',
      generation: 'kimi-code',
      state: 'live',
      refreshable: true,
      account: 'op@example.test',
      expiresAt: '2026-11-21T12:15:00.000Z',
      files: [
        { path: 'config.toml', size: KIMI_CODE_CONFIG.length },
        { path: 'credentials/kimi-code.json', size: credential().length, state: 'live' },
        { path: 'device_id', size: 36 },
      ],
      skipped: [],
      aliases: [{ alias: 'kimi-code/kimi-for-coding', model: 'kimi-for-coding' }],
      defaultModel: 'kimi-code/kimi-for-coding',
      why: 'credentials/kimi-code.json is live.',
    });
    expect(JSON.stringify(facts)).not.toMatch(/secret|signature/);
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
  });

  test('is handed over byte for byte, and nothing else of the directory is', async () => {
    const binary = Buffer.from([0xff, 0xfe, 0x00, 0x0a]);
    await put('.kimi-code', {
      ...kimiCodeFiles(),
      'credentials/extra.bin': binary,
      'credentials/mcp/server.json': '{"access_token":"mcp-secret"}',
      'credentials/kimi-code.lock': '',
      'credentials/kimi-code.json.tmp.77.0a1b2c3d': '{',
      'mcp.json': '{}',
      'server.token': 'secret',
      'sessions/s/history.jsonl': 'talk',
      'oauth/kimi-code': '',
      'plugins/p/config.json': '{}',
    });
    const login = await read();
    expect(login.set?.name).toBe('kimi-code');
    expect(handedOver(login)).toEqual({ ...kimiCodeFiles(), 'credentials/extra.bin': binary.toString() });
    expect(login.set?.files.find(({ path: file }) => file.endsWith('.bin'))?.bytes).toEqual(binary);
    expect(login.facts.skipped).toEqual([]);
  });

  test('that has expired can still be refreshed', async () => {
    await put('.kimi-code', kimiCodeFiles(credential({ expiresAt: minutes(-60) })));
    expect(await read()).toMatchObject({ facts: { state: 'expired-refreshable', refreshable: true }, set: { name: 'kimi-code' } });
  });

  test('that never ends has no end that could be printed', async () => {
    await put('.kimi-code', kimiCodeFiles(credential({ expiresAt: 1e300 })));
    const { facts } = await read();
    expect(facts.state).toBe('live');
    expect(facts).not.toHaveProperty('expiresAt');
  });

  test('may be a key in the configuration', async () => {
    await put('.kimi-code', { 'config.toml': KEY_CONFIG });
    const login = await read();
    expect(login.facts).toMatchObject({ state: 'live', refreshable: false });
    expect(JSON.stringify(login.facts)).not.toContain('sk-inline-secret');
    expect(handedOver(login)).toEqual({ 'config.toml': KEY_CONFIG });
  });
});

describe('a dead login', () => {
  test.each([
    ['a tombstone', tombstone()],
    ['a tombstone that claims to live for years', tombstone({ expires_at: minutes(1e6) })],
    ['an empty file', ''],
    ['a file cut off', credential().slice(0, 100)],
    ['one that is over and cannot be refreshed', credential({ expiresAt: minutes(-5), refresh: '' })],
  ])('is never handed over: %s', async (_what, text) => {
    await put('.kimi-code', kimiCodeFiles(text));
    const login = await read();
    expect(login.set).toBeUndefined();
    expect(login.facts).toMatchObject({ state: 'dead', skipped: [{ path: 'credentials/kimi-code.json' }] });
  });

  test('beside the one in use is left out and named', async () => {
    await put('.kimi-code', { ...kimiCodeFiles(), 'credentials/kimi-code-env-0e4f99c69cc27850.json': tombstone() });
    const login = await read();
    expect(handedOver(login)).toEqual(kimiCodeFiles());
    expect(login.facts).toMatchObject({
      state: 'live',
      skipped: [{ path: 'credentials/kimi-code-env-0e4f99c69cc27850.json', why: expect.stringContaining('not handed over') as string }],
    });
  });

  test('of Kimi Code gives way to a live one of kimi-cli, and only to that', async () => {
    await put('.kimi-code', kimiCodeFiles(tombstone()));
    expect((await read()).facts.state).toBe('dead');
    await put('.kimi', kimiCliFiles());
    expect(await read()).toMatchObject({ facts: { state: 'live', generation: 'kimi' }, set: { name: 'kimi' } });
  });

  test('is also one whose configuration cannot be read; the reason quotes none of it', async () => {
    await put('.kimi-code', kimiCodeFiles(credential(), 'api_key = "sk-secret\n'));
    const login = await read();
    expect(login).toMatchObject({ set: undefined, facts: { state: 'dead', why: expect.stringContaining('line 1') as string } });
    expect(JSON.stringify(login.facts)).not.toContain('sk-secret');
  });
});

describe('where the login is looked for', () => {
  test('Kimi Code’s home comes before kimi-cli’s', async () => {
    await put('.kimi', kimiCliFiles());
    expect((await read()).facts).toMatchObject({ dir: path.join(home, '.kimi'), generation: 'kimi' });
    await put('.kimi-code', { 'config.toml': KIMI_CODE_CONFIG });
    expect((await read()).facts, 'migrated, but not logged in').toMatchObject({ generation: 'kimi' });
    await put('.kimi-code', kimiCodeFiles());
    expect((await read()).facts).toMatchObject({ dir: path.join(home, '.kimi-code'), generation: 'kimi-code' });
  });

  test('the variables of both products move their homes', async () => {
    await put('code', kimiCodeFiles());
    await put('cli', kimiCliFiles());
    expect((await read({ env: { KIMI_CODE_HOME: path.join(home, 'code') } })).facts.dir).toBe(path.join(home, 'code'));
    expect((await read({ env: { KIMI_SHARE_DIR: path.join(home, 'cli') } })).facts.dir).toBe(path.join(home, 'cli'));
    expect((await read({ env: { KIMI_CODE_HOME: '', KIMI_SHARE_DIR: '' } })).facts.state).toBe('absent');
  });

  test('a directory that is named is used alone, of either product', async () => {
    await put('.kimi-code', kimiCodeFiles());
    await put('a', kimiCliFiles());
    await put('b', kimiCodeFiles(credential({ account: 'b@example.test' })));
    expect((await read({ sourceDir: path.join(home, 'a') })).facts).toMatchObject({ from: 'sync_source_dir', generation: 'kimi' });
    expect((await read({ sourceDir: path.join(home, 'b') })).facts).toMatchObject({ generation: 'kimi-code', account: 'b@example.test' });
  });

  test.each([
    ['missing', /does not exist: a directory with config\.toml, credentials\/ and device_id is expected/],
    ['a-file', /is not a directory/],
    ['a-file/below', /does not exist/],
    ['empty', /holds nothing of Kimi: config\.toml, credentials\/ and device_id are expected/],
  ])('a directory that is named but %s is no login', async (name, why) => {
    await put('.kimi-code', kimiCodeFiles());
    await writeFile(path.join(home, 'a-file'), '');
    await mkdir(path.join(home, 'empty'));
    const login = await read({ sourceDir: path.join(home, name) });
    expect(login).toMatchObject({ set: undefined, facts: { state: 'absent', generation: null, why: expect.stringMatching(why) as string } });
  });

  test('without any login both places are named; with half of one, what is missing', async () => {
    expect((await read()).facts.why).toBe(`There is no Kimi login in ${home}/.kimi-code or ${home}/.kimi.`);
    await put('.kimi-code', { 'config.toml': KIMI_CODE_CONFIG });
    expect((await read()).facts).toMatchObject({ state: 'absent', why: 'credentials/kimi-code.json is missing.' });
  });
});

describe('links', () => {
  test('the directory itself may be one', async () => {
    await put('dotfiles/kimi', kimiCodeFiles());
    await symlink('dotfiles/kimi', path.join(home, '.kimi-code'));
    expect((await read()).facts).toMatchObject({ state: 'live', dir: path.join(home, 'dotfiles/kimi') });
  });

  test('inside they are skipped, named, and the reason when the login is incomplete', async () => {
    await put('outside', kimiCodeFiles(credential({ serial: 666 })));
    await put('.kimi-code', { 'config.toml': KIMI_CODE_CONFIG });
    await symlink('../outside/credentials', path.join(home, '.kimi-code/credentials'));
    const login = await read();
    expect(login.set).toBeUndefined();
    expect(login.facts.state).toBe('absent');
    expect(login.facts.why).toContain('credentials is a link');
  });

  test('inside a complete login they change nothing', async () => {
    await put('.kimi-code', kimiCodeFiles());
    await symlink('/etc/passwd', path.join(home, '.kimi-code/credentials/passwd.json'));
    await symlink('nowhere', path.join(home, '.kimi-code/credentials/nowhere.json'));
    const login = await read();
    expect(handedOver(login)).toEqual(kimiCodeFiles());
    expect(login.facts.skipped.map(({ path: file }) => file)).toEqual(['credentials/nowhere.json', 'credentials/passwd.json']);
  });
});

test('nothing on the host is written, made or touched', async () => {
  await put('.kimi-code', { ...kimiCodeFiles(), 'credentials/other.json': tombstone(), 'credentials/mcp/x.json': '{}' });
  await put('.kimi', kimiCliFiles(credential({ expiresAt: minutes(-1) })));
  await symlink('nowhere', path.join(home, '.kimi-code/credentials/link.json'));
  await chmod(path.join(home, '.kimi-code/config.toml'), 0o666);
  const before = await fingerprintOf(home);
  await read();
  await read({ sourceDir: path.join(home, '.kimi') });
  expect(await fingerprintOf(home)).toEqual(before);
});

describe('owners', () => {
  test.skipIf(UID !== 0)('someone else’s login is not read', async () => {
    await put('.kimi-code', kimiCodeFiles());
    await expect(read({ uid: 1234 })).rejects.toMatchObject({ code: 'auth.missing', exitCode: 4 });
  });

  test.skipIf(UID !== 0)('root may use anyone’s login, but not one of several owners', async () => {
    await put('.kimi-code', kimiCodeFiles());
    for (const file of ['', 'config.toml', 'device_id', 'credentials']) await chown(path.join(home, '.kimi-code', file), 1234, 1234);
    const login = await read({ uid: 0 });
    expect(login.facts).toMatchObject({ state: 'absent', skipped: [{ path: 'credentials/kimi-code.json', why: 'belongs to another user' }] });
    await chown(path.join(home, '.kimi-code/credentials/kimi-code.json'), 1234, 1234);
    expect((await read({ uid: 0 })).facts.state).toBe('live');
  });

  test.skipIf(UID === 0)('a login that may not be read is an error', async () => {
    await put('.kimi-code', kimiCodeFiles());
    await chmod(path.join(home, '.kimi-code/credentials/kimi-code.json'), 0);
    await expect(read()).rejects.toMatchObject({ code: 'auth.missing', message: expect.stringContaining('cannot be read') as string });
  });
});

test('a form that jackin does not know is passed on as it is', async () => {
  const strange = JSON.stringify({ version: 9, tokens: { a: jwt({}) } });
  await put('.kimi-code', kimiCodeFiles(strange));
  const login = await read();
  expect(login.facts.state).toBe('unknown');
  expect(handedOver(login)['credentials/kimi-code.json']).toBe(strange);
});
