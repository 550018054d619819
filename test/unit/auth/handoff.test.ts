import * as fsPromises from 'node:fs/promises';
import { chmod, lstat, mkdir, readdir, readFile, readlink, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HandoffChange, linkHandoffNames, placeStandIn, provisionHandoff } from '../../../src/auth/handoff.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { makeFaulty, noFault } from '../../fixtures/kimi/faulty-fs.ts';
import { contentOf, makeTemporaryDir, modesOf } from '../../fixtures/kimi/tree.ts';

let instance: string;
let dir: string;

beforeEach(async () => {
  instance = await makeTemporaryDir();
  dir = path.join(instance, 'handoff');
});

afterEach(async () => {
  process.umask(0o022);
  await rm(instance, { recursive: true });
});

/** What a failure of the disk is called. */
const codeOf = (kind: string, error: unknown): string | undefined =>
  error === undefined ? undefined : kind === 'ENOSPC' ? 'disk.full' : 'failed';

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

const replace = (name: string, files: Record<string, string>): HandoffChange => ({
  name,
  action: 'replace',
  files: Object.entries(files).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) })),
});

/** A login in which every file says which version it is from. */
const version = (id: string): HandoffChange =>
  replace('kimi-code', { 'config.toml': id, 'credentials/kimi-code.json': id, 'credentials/a/b/deep.json': id, device_id: id });

const current = async (): Promise<Record<string, string>> => contentOf(await realpath(path.join(dir, 'current')));

const versionOf = (content: Record<string, string>): string => {
  const ids = new Set(Object.values(content));
  expect(Object.keys(content)).toHaveLength(4);
  expect(ids.size, 'all files are of one version').toBe(1);
  return [...ids][0] ?? '';
};

describe('what the container sees', () => {
  test('is the set that was handed over, byte for byte', async () => {
    const result = await provisionHandoff(dir, [version('one')], ME);
    expect(result).toEqual({ generation: 'gen-1', changed: true });
    expect(await readlink(path.join(dir, 'current'))).toBe('gen-1');
    expect(await current()).toEqual({
      'kimi-code/config.toml': 'one',
      'kimi-code/credentials/a/b/deep.json': 'one',
      'kimi-code/credentials/kimi-code.json': 'one',
      'kimi-code/device_id': 'one',
    });
  });

  test('changes as a whole, and the set before it is kept', async () => {
    for (const id of ['one', 'two', 'three', 'four']) await provisionHandoff(dir, [version(id)], ME);
    expect(await readdir(dir)).toEqual(['current', 'gen-3', 'gen-4']);
    expect(versionOf(await current())).toBe('four');
  });

  test('stays the same directory when nothing changed', async () => {
    await provisionHandoff(dir, [version('one')], ME);
    const before = await lstat(path.join(dir, 'gen-1'), { bigint: true });
    expect(await provisionHandoff(dir, [version('one')], ME)).toEqual({ generation: 'gen-1', changed: false });
    expect((await lstat(path.join(dir, 'gen-1'), { bigint: true })).mtimeNs).toBe(before.mtimeNs);
  });

  test('loses a file that is gone from a login that is still there', async () => {
    await provisionHandoff(dir, [replace('kimi-code', { 'config.toml': 'c', 'credentials/old.json': 'o' })], ME);
    await provisionHandoff(dir, [replace('kimi-code', { 'config.toml': 'c' })], ME);
    expect(await current()).toEqual({ 'kimi-code/config.toml': 'c' });
  });

  test('keeps a login that the host no longer has, and any that is not spoken of', async () => {
    await provisionHandoff(dir, [version('one'), replace('codex', { 'auth.json': 'x' })], ME);
    await provisionHandoff(dir, [{ name: 'kimi-code', action: 'keep' }, replace('claude', { a: 'y' })], ME);
    expect(Object.keys(await current())).toEqual([
      'claude/a',
      'codex/auth.json',
      'kimi-code/config.toml',
      'kimi-code/credentials/a/b/deep.json',
      'kimi-code/credentials/kimi-code.json',
      'kimi-code/device_id',
    ]);
  });

  test('loses a login that is to be removed', async () => {
    await provisionHandoff(dir, [version('one'), replace('codex', { 'auth.json': 'x' })], ME);
    await provisionHandoff(dir, [{ name: 'kimi-code', action: 'remove' }], ME);
    expect(await current()).toEqual({ 'codex/auth.json': 'x' });
  });

  test('is there and empty when there is nothing to hand over', async () => {
    await provisionHandoff(dir, [{ name: 'kimi-code', action: 'keep' }], ME);
    expect(await current()).toEqual({});
  });

  test('comes back when its directory was deleted by hand', async () => {
    await provisionHandoff(dir, [version('one')], ME);
    await rm(path.join(dir, 'gen-1'), { recursive: true });
    await provisionHandoff(dir, [version('one')], ME);
    expect(versionOf(await current())).toBe('one');
  });
});

describe('rights', () => {
  const UMASKS = process.getuid?.() === 0 ? [0o000, 0o022, 0o077, 0o777] : [0o000, 0o022, 0o077];

  test.each(UMASKS)('are 0600 and 0700 under umask %o', async (umask) => {
    process.umask(umask);
    await provisionHandoff(dir, [version('one')], ME);
    expect(await modesOf(dir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });

  test('are taken back where somebody has given them away', async () => {
    await provisionHandoff(dir, [version('one')], ME);
    await chmod(path.join(dir, 'gen-1/kimi-code/credentials'), 0o755);
    await chmod(path.join(dir, 'gen-1/kimi-code/credentials/kimi-code.json'), 0o644);
    await chmod(dir, 0o777);
    await provisionHandoff(dir, [version('one')], ME);
    expect(await modesOf(dir)).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
  });

  test.skipIf(process.getuid?.() !== 0)('belong to the user of the container', async () => {
    await provisionHandoff(dir, [version('one')], { uid: 1234, gid: 2345 });
    for (const file of ['', 'gen-1', 'gen-1/kimi-code/credentials', 'gen-1/kimi-code/credentials/kimi-code.json', 'current']) {
      expect(await lstat(path.join(dir, file))).toMatchObject({ uid: 1234, gid: 2345 });
    }
  });
});

/** Every generation that is there is a whole set of one version. */
const expectWholeSets = async (): Promise<void> => {
  for (const name of await readdir(dir)) {
    if (name.startsWith('gen-')) versionOf(await contentOf(path.join(dir, name)));
  }
};

describe('a set is old or new, never mixed', () => {
  test.each(['crash', 'ENOSPC', 'EIO'])('after %s at any step, and the next run puts all right', { timeout: 60_000 }, async (kind) => {
    for (let failAt = 1; ; failAt += 1) {
      await rm(dir, { recursive: true, force: true });
      await provisionHandoff(dir, [version('one')], ME);
      const fault = { ...noFault(), failAt, kind };
      const outcome = await provisionHandoff(dir, [version('two')], ME, makeFaulty(fsPromises, fault)).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(['one', 'two']).toContain(versionOf(await current()));
      expect(outcome instanceof JackinError ? outcome.code : undefined).toBe(codeOf(kind, outcome));
      // A full disk needs the space back at once: no half of a set stays.
      if (kind === 'ENOSPC') await expectWholeSets();
      await provisionHandoff(dir, [version('two')], ME);
      expect(versionOf(await current())).toBe('two');
      expect(await readdir(dir)).toEqual(['current', expect.stringMatching(/^gen-\d+$/), expect.stringMatching(/^gen-\d+$/)]);
      if (fault.step < failAt) break;
      expect(failAt).toBeLessThan(200);
    }
  });

  test('after a crash at any step of the very first one', { timeout: 60_000 }, async () => {
    for (let failAt = 1; ; failAt += 1) {
      await rm(dir, { recursive: true, force: true });
      const fault = { ...noFault(), failAt };
      await provisionHandoff(dir, [version('one')], ME, makeFaulty(fsPromises, fault)).catch(() => undefined);
      const names: string[] = await readdir(dir).catch(() => []);
      expect(names.includes('current') ? versionOf(await current()) : 'one').toBe('one');
      await provisionHandoff(dir, [version('one')], ME);
      expect(versionOf(await current())).toBe('one');
      if (fault.step < failAt) break;
    }
  });

  test('for a reader that resolves the link once, during 200 exchanges', { timeout: 60_000 }, async () => {
    await provisionHandoff(dir, [version('start')], ME);
    const flipping = new AbortController();
    const seen = new Set<string>();
    const reader = (async () => {
      while (!flipping.signal.aborted) {
        const set = await realpath(path.join(dir, 'current'));
        const texts = await Promise.all(
          ['config.toml', 'credentials/kimi-code.json', 'credentials/a/b/deep.json', 'device_id'].map((file) =>
            readFile(path.join(set, 'kimi-code', file), 'utf8'),
          ),
        );
        expect(new Set(texts).size).toBe(1);
        seen.add(texts[0] ?? '');
      }
    })();
    // Without waiting for the disk, so that exchanges follow each other closely.
    const fs = makeFaulty(fsPromises, noFault());
    for (let flip = 0; flip < 200; flip += 1) await provisionHandoff(dir, [version(`flip ${flip}`)], ME, fs);
    flipping.abort();
    await reader;
    expect(seen.size).toBeGreaterThan(20);
  });
});

describe('what is not ours', () => {
  test('a link in the place of the directory is refused', async () => {
    await mkdir(path.join(instance, 'elsewhere'));
    await symlink('elsewhere', dir);
    await expect(provisionHandoff(dir, [version('one')], ME)).rejects.toMatchObject({ code: 'conflict' });
    expect(await readdir(path.join(instance, 'elsewhere'))).toEqual([]);
  });

  test('a link `current` that leads elsewhere is refused', async () => {
    await mkdir(dir);
    await symlink('../elsewhere', path.join(dir, 'current'));
    await expect(provisionHandoff(dir, [version('one')], ME)).rejects.toMatchObject({ code: 'conflict' });
  });

  test.each(['../x', 'a/../../x', '/x', 'a//b', '.', ''])('a file called %j never leaves the directory', async (file) => {
    await expect(provisionHandoff(dir, [replace('kimi-code', { [file]: 'x' })], ME)).rejects.toThrow('may not leave');
    expect(await readdir(instance)).toEqual(['handoff']);
  });
});

describe('the names beside the handoff', () => {
  test('are links that follow the current set', async () => {
    await provisionHandoff(dir, [version('one')], ME);
    await linkHandoffNames(instance, ['kimi-code', 'kimi']);
    await linkHandoffNames(instance, ['kimi-code', 'kimi']);
    expect(await readlink(path.join(instance, 'kimi-code'))).toBe('handoff/current/kimi-code');
    await provisionHandoff(dir, [version('two')], ME);
    expect(await readFile(path.join(instance, 'kimi-code/config.toml'), 'utf8')).toBe('two');
  });

  test('replace a link that leads elsewhere, but nothing else', async () => {
    await symlink('elsewhere', path.join(instance, 'kimi'));
    await linkHandoffNames(instance, ['kimi']);
    expect(await readlink(path.join(instance, 'kimi'))).toBe('handoff/current/kimi');
    await writeFile(path.join(instance, 'codex'), 'mine');
    await expect(linkHandoffNames(instance, ['codex'])).rejects.toMatchObject({ code: 'conflict' });
    expect(await readFile(path.join(instance, 'codex'), 'utf8')).toBe('mine');
  });
});

describe('a stand-in for what is not handed over', () => {
  const standIn = (): Promise<void> => placeStandIn(instance, 'claude', 'account.json');
  const account = path.join('claude', 'account.json');

  test('is an empty object beside the handoff, and nothing of it is below', async () => {
    await provisionHandoff(dir, [{ name: 'claude', action: 'remove' }], ME);
    for (const umask of [0o022, 0o000, 0o077]) {
      process.umask(umask);
      await standIn();
    }
    expect(await readFile(path.join(instance, account), 'utf8')).toBe('{}\n');
    expect(await modesOf(path.join(instance, 'claude'))).toEqual({ files: new Set(['600']), directories: new Set(['700']) });
    expect(Object.keys(await contentOf(dir))).toEqual(['current']);
    expect(await current()).toEqual({});
  });

  test('makes way for the link and comes back, as often as the mode is switched', async () => {
    for (const id of ['one', 'two']) {
      await provisionHandoff(dir, [replace('claude', { 'account.json': id })], ME);
      await linkHandoffNames(instance, ['claude']);
      expect(await readlink(path.join(instance, 'claude'))).toBe('handoff/current/claude');
      expect(await readFile(path.join(instance, account), 'utf8')).toBe(id);

      await provisionHandoff(dir, [{ name: 'claude', action: 'remove' }], ME);
      await standIn();
      expect((await lstat(path.join(instance, 'claude'))).isDirectory()).toBe(true);
      expect(await readFile(path.join(instance, account), 'utf8')).toBe('{}\n');
      expect(await current(), 'nothing was written through the link').toEqual({});
    }
  });

  test('that a crash left half made is made whole, or makes way', async () => {
    await mkdir(path.join(instance, 'claude'));
    await linkHandoffNames(instance, ['claude']);
    expect(await readlink(path.join(instance, 'claude'))).toBe('handoff/current/claude');
    await rm(path.join(instance, 'claude'));
    await mkdir(path.join(instance, 'claude'));
    await standIn();
    expect(await readFile(path.join(instance, account), 'utf8')).toBe('{}\n');
  });

  test('is never a reason to remove what somebody has put there', async () => {
    await standIn();
    await writeFile(path.join(instance, 'claude/mine.json'), '{"mine":true}');
    await expect(linkHandoffNames(instance, ['claude'])).rejects.toMatchObject({ code: 'conflict' });
    expect(await readdir(path.join(instance, 'claude'))).toEqual(['account.json', 'mine.json']);
  });

  test('replaces a link that leads elsewhere, and what that leads to stays', async () => {
    await mkdir(path.join(instance, 'elsewhere'));
    await writeFile(path.join(instance, 'elsewhere/account.json'), 'mine');
    await symlink('elsewhere', path.join(instance, 'claude'));
    await standIn();
    expect(await readFile(path.join(instance, 'elsewhere/account.json'), 'utf8')).toBe('mine');
    expect(await readFile(path.join(instance, account), 'utf8')).toBe('{}\n');
    await rm(path.join(instance, account));
    await symlink('../elsewhere/account.json', path.join(instance, account));
    await standIn();
    expect(await readFile(path.join(instance, 'elsewhere/account.json'), 'utf8')).toBe('mine');
  });

  test('takes the place of no file', async () => {
    await writeFile(path.join(instance, 'claude'), 'mine');
    await expect(standIn()).rejects.toMatchObject({ code: 'conflict' });
    expect(await readFile(path.join(instance, 'claude'), 'utf8')).toBe('mine');
  });
});
