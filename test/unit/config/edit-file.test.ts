import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Edit, editFile, type EditTarget, removeWorkspaceFile } from '../../../src/config/edit.ts';
import { createWorkspaceFile, listWorkspaces, readConfigFiles } from '../../../src/config/files.ts';
import { locatePaths, type Paths } from '../../../src/config/paths.ts';
import { JackinError } from '../../../src/shared/errors.ts';

/** Breaks the file system where a test says so: each call that changes something is counted. */
const disk = vi.hoisted(() => ({ fail: (_call: string, _file: string): Error | undefined => undefined }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:fs/promises')>();
  const guarded = <T extends unknown[], R>(name: string, call: (...args: T) => Promise<R>) => async (...args: T): Promise<R> => {
    const error = disk.fail(name, String(args[0]));
    if (error !== undefined) throw error;
    return call(...args);
  };
  return {
    ...actual,
    mkdir: guarded('mkdir', actual.mkdir),
    rename: guarded('rename', actual.rename),
    open: async (file: string, flags: string | number, mode?: number) => {
      const isWrite = typeof flags === 'number' && (flags & 3) !== 0;
      const error = isWrite ? disk.fail('open', file) : undefined;
      if (error !== undefined) throw error;
      const handle = await actual.open(file, flags, mode);
      if (!isWrite) return handle;
      handle.writeFile = guarded('write', handle.writeFile.bind(handle));
      handle.sync = guarded('sync', handle.sync.bind(handle));
      return handle;
    },
  };
});

afterEach(() => {
  disk.fail = () => undefined;
});

const CONFIG = '# mine\nversion = "v1alpha6"\n\n[kimi]\nauth_forward = "sync" # why\n';
const WORKSPACE = 'version = "v1alpha6"\nworkdir = "/a"\n\n[[mounts]]\nsrc = "/a"\ndst = "/a"\nreadonly = false\nisolation = "shared"\n';
const MODE: Edit = { path: ['kimi', 'auth_forward'], value: 'ignore' };

const place = async (files: Record<string, string | Buffer> = {}) => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-edit-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const paths = locatePaths({ env: { JACKIN_CONFIG_DIR: path.join(root, 'config'), JACKIN_HOME_DIR: path.join(root, 'jackin') }, home: root });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  const read = (name: string) => readFile(path.join(root, name), 'utf8');
  return { root, paths, read };
};

const setMode = (paths: Paths, target: EditTarget = { kind: 'config' }) => editFile(paths, target, () => [MODE]);

const failureOf = async (work: Promise<unknown>): Promise<JackinError> => {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  );
  if (error instanceof JackinError) return error;
  throw error;
};

const errno = (code: string) => Object.assign(new Error(`${code}: injected`), { code });

describe('editing a file', () => {
  it('changes what was asked for, keeps the mode, and leaves nothing beside it', async () => {
    const { root, paths, read } = await place({ 'config/config.toml': CONFIG });
    await chmod(paths.configFile, 0o640);
    expect(await setMode(paths)).toEqual({ file: paths.configFile, changed: true });
    expect(await read('config/config.toml')).toBe(CONFIG.replace('"sync"', '"ignore"'));
    expect((await stat(paths.configFile)).mode & 0o777).toBe(0o640);
    expect(await readdir(path.join(root, 'config'))).toEqual(['config.toml']);
  });

  it('shows the value as it is, and writes nothing when nothing changes', async () => {
    const { paths } = await place({ 'config/config.toml': CONFIG });
    const before = await stat(paths.configFile);
    const seen: unknown[] = [];
    const result = await editFile(paths, { kind: 'config' }, (current) => {
      seen.push(structuredClone(current));
      (current.kimi as Record<string, unknown>).auth_forward = 'changed in place, which counts for nothing';
      return [{ path: ['kimi', 'auth_forward'], value: 'sync' }];
    });
    expect(seen).toEqual([{ version: 'v1alpha6', kimi: { auth_forward: 'sync' } }]);
    expect(result.changed).toBe(false);
    expect((await stat(paths.configFile)).ino).toBe(before.ino);
  });

  it('makes a new file with a line for editors and the version first', async () => {
    const { paths, read } = await place();
    await setMode(paths);
    expect(await read('config/config.toml')).toBe('#:schema ./schemas/config.schema.json\nversion = "v1alpha6"\n\n[kimi]\nauth_forward = "ignore"\n');
    const name = 'w';
    await editFile(paths, { kind: 'workspace', name, create: true }, () => [
      { path: ['workdir'], value: '/a' },
      { path: ['mounts', 0], value: { src: '/a', dst: '/a' } },
    ]);
    expect(await read('config/workspaces/w.toml')).toMatch(/^#:schema \.\.\/schemas\/workspace\.schema\.json\nversion = "v1alpha6"\nworkdir = "\/a"\n\n\[\[mounts\]\]\n/);
    expect((await stat(path.join(paths.workspacesDir, 'w.toml'))).mode & 0o777 & ~0o022).toBe(0o644);
  });

  it('names the workspace that there is not', async () => {
    const { paths } = await place({ 'config/workspaces/app.toml': WORKSPACE });
    expect(await failureOf(setMode(paths, { kind: 'workspace', name: 'ap' }))).toMatchObject({ code: 'not-found', hint: expect.stringContaining('did you mean "app"?') });
    expect(await failureOf(setMode(paths, { kind: 'workspace', name: '../x', create: true }))).toMatchObject({ code: 'usage' });
  });

  it('refuses what could not be read again, and leaves the file', async () => {
    const { paths, read } = await place({ 'config/config.toml': CONFIG });
    const error = await failureOf(editFile(paths, { kind: 'config' }, () => [{ path: ['env', 'JACKIN_ROLE'], value: 'x' }]));
    expect(error).toMatchObject({ code: 'usage', message: expect.stringMatching(/cannot be saved in .*config\.toml:\n {2}env\.JACKIN_ROLE: JACKIN_ROLE is reserved/) });
    expect(await read('config/config.toml')).toBe(CONFIG);
  });

  it('refuses a file that is invalid already, with its places, before anything is asked', async () => {
    const { paths } = await place({ 'config/config.toml': 'version = "v1alpha6"\nkimmi = 1\n' });
    const error = await failureOf(editFile(paths, { kind: 'config' }, () => { throw new Error('was asked'); }));
    expect(error).toMatchObject({ code: 'config.invalid', message: expect.stringContaining('config.toml:2:1: unknown key "kimmi"') });
  });

  it.each([
    ['is not UTF-8 text', (file: string) => writeFile(file, Buffer.from([0xff, 0xfe]))],
    ['is a directory', (file: string) => mkdir(file)],
    ['is not a regular file', (file: string) => Promise.resolve(spawnSync('mkfifo', [file]))],
  ])('refuses one that %s', async (message, make) => {
    const { paths } = await place({ 'config/x': '' });
    await make(paths.configFile);
    expect(await failureOf(setMode(paths))).toMatchObject({ code: 'config.invalid', message: expect.stringContaining(message) });
  });

  it('migrates an older file with the edit, and keeps the text before', async () => {
    const old = 'version = "v1alpha3" # mine\n[kimi]\nauth_forward = "sync"\n';
    const { root, paths, read } = await place({ 'config/config.toml': old });
    expect((await editFile(paths, { kind: 'config' }, () => [])).changed).toBe(false);
    expect(await read('config/config.toml')).toBe(old);
    await setMode(paths);
    expect(await read('config/config.toml')).toBe('version = "v1alpha6" # mine\n[kimi]\nauth_forward = "ignore"\n');
    const [backup] = await readdir(path.join(root, 'jackin/backups'));
    expect(backup).toMatch(/^config\.\d{8}T\d{6}Z\.toml$/);
    expect(await read(`jackin/backups/${backup}`)).toBe(old);
  });

  it('of a workspace that stands in an old config.toml splits it first', async () => {
    const { paths, read } = await place({ 'config/config.toml': '[workspaces.app]\nworkdir = "/a" # here\nmounts = [{ src = "/a", dst = "/a" }]\n\n[kimi]\n' });
    await editFile(paths, { kind: 'workspace', name: 'app' }, () => [{ path: ['default_agent'], value: 'kimi' }]);
    expect(await read('config/config.toml')).toBe('version = "v1alpha6"\n\n[kimi]\n');
    expect(await read('config/workspaces/app.toml')).toContain('workdir = "/a" # here\nmounts = [{ src = "/a", dst = "/a" }]\ndefault_agent = "kimi"\n');
  });
});

describe('a linked file', () => {
  it('stays a link, and what it leads to is replaced', async () => {
    const { root, paths } = await place({ 'dotfiles/jackin.toml': CONFIG, 'config/x': '', 'elsewhere/x': '' });
    await symlink('../dotfiles/jackin.toml', path.join(root, 'config/next'));
    await symlink('next', paths.configFile);
    await setMode(paths);
    expect(await readlink(paths.configFile)).toBe('next');
    expect((await lstat(path.join(root, 'dotfiles/jackin.toml'))).isFile()).toBe(true);
    expect(await readFile(path.join(root, 'dotfiles/jackin.toml'), 'utf8')).toContain('"ignore"');
    expect(await readdir(path.join(root, 'dotfiles'))).toEqual(['jackin.toml']);
  });

  it('whose target is not there yet makes the target; one in a circle is refused', async () => {
    const { root, paths } = await place({ 'dotfiles/x': '', 'config/x': '' });
    await symlink('../dotfiles/new.toml', paths.configFile);
    await setMode(paths);
    expect(await readFile(path.join(root, 'dotfiles/new.toml'), 'utf8')).toContain('"ignore"');
    await rm(paths.configFile);
    await symlink('config.toml', paths.configFile);
    expect((await failureOf(setMode(paths))).message).toMatch(/ELOOP|circle/);
  });
});

describe('a disk that fails', () => {
  it.each([
    ['ENOSPC', 'disk.full', /there is no space left on its disk/],
    ['EDQUOT', 'disk.full', /there is no space left on its disk/],
    ['EROFS', 'failed', /its file system is read-only/],
    ['EACCES', 'failed', /this user may not write in/],
    ['EIO', 'failed', /EIO/],
  ])('with %s at any step leaves the file as it was', async (code, expected, message) => {
    const { root, paths, read } = await place({ 'config/config.toml': CONFIG, 'config/workspaces/w.toml': WORKSPACE });
    const failAt = async (step: number) => {
      let calls = 0;
      // The lock is not what is tested here.
      disk.fail = (_, file) => (file.includes('config.lock') || calls++ !== step ? undefined : errno(code));
      const failed = await setMode(paths).then(() => undefined, (error: unknown) => error);
      disk.fail = () => undefined;
      return failed;
    };
    let steps = 0;
    for (let failed = await failAt(0); failed !== undefined; failed = await failAt(steps)) {
      steps += 1;
      expect(failed).toMatchObject({ code: expected, message: expect.stringMatching(message), hint: expect.stringContaining('nothing was changed') });
      expect(await read('config/config.toml')).toBe(CONFIG);
      expect((await readdir(path.join(root, 'config'))).sort()).toEqual(['config.toml', 'workspaces']);
    }
    expect(steps).toBeGreaterThan(3);
  });

  it('is told for a new workspace too, and none appears', async () => {
    const { paths } = await place();
    disk.fail = (call, file) => (call === 'write' && !file.includes('lock') ? errno('ENOSPC') : undefined);
    expect(await failureOf(createWorkspaceFile(paths, 'w', WORKSPACE))).toMatchObject({ code: 'disk.full' });
    disk.fail = () => undefined;
    expect(await listWorkspaces(paths)).toEqual([]);
    expect(await readdir(paths.workspacesDir)).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('is really full, or really read-only', async () => {
    const { root, paths, read } = await place({ 'config/x': '' });
    const dir = path.join(root, 'config');
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', dir]);
    if (mounted.status !== 0) return;
    onTestFinished(() => void spawnSync('umount', [dir]));
    await writeFile(paths.configFile, CONFIG);
    await writeFile(path.join(dir, 'filler'), 'x'.repeat(64 * 1024)).catch(() => undefined);
    expect(await failureOf(setMode(paths))).toMatchObject({ code: 'disk.full' });
    expect(await read('config/config.toml')).toBe(CONFIG);
    spawnSync('mount', ['-o', 'remount,ro', dir]);
    expect((await failureOf(setMode(paths))).message).toMatch(/read-only/);
    expect(await read('config/config.toml')).toBe(CONFIG);
  });

  it.skipIf(process.getuid?.() === 0)('is a folder that this user may not write in', async () => {
    const { root, paths, read } = await place({ 'config/config.toml': CONFIG });
    await chmod(path.join(root, 'config'), 0o555);
    expect((await failureOf(setMode(paths))).message).toMatch(/EACCES|may not write/);
    await chmod(path.join(root, 'config'), 0o755);
    expect(await read('config/config.toml')).toBe(CONFIG);
  });
});

describe('writers at the same time', () => {
  const entries = Array.from({ length: 20 }, (_, n) => `N${n}`);

  it('lose no update within one process', async () => {
    const { paths } = await place({ 'config/config.toml': CONFIG });
    await Promise.all(entries.map((name) => editFile(paths, { kind: 'config' }, () => [{ path: ['env', name], value: name }])));
    const { global } = await readConfigFiles(paths);
    expect(Object.keys(global!.value.env!).sort()).toEqual([...entries].sort());
  });

  /** Runs one writer for each entry, as a process that takes so long while it holds the lock; what each said at its end. */
  const writers = async (root: string, paths: Paths, milliseconds: number) => {
    const source = path.resolve(import.meta.dirname, '../../../src/config');
    const program = `import { editFile } from './edit.ts';
import { locatePaths } from './paths.ts';
const slowly = () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${milliseconds});
  return [{ path: ['env', process.argv[2]], value: process.argv[2] }];
};
await editFile(locatePaths({ env: process.env, home: '/nowhere' }), { kind: 'config' }, slowly);
`;
    const outfile = path.join(root, 'writer.mjs');
    await build({ stdin: { contents: program, resolveDir: source, loader: 'ts' }, outfile, bundle: true, platform: 'node', format: 'esm' });
    const env = { ...process.env, JACKIN_CONFIG_DIR: path.dirname(paths.configFile), JACKIN_HOME_DIR: paths.jackinHome };
    const write = async (name: string) => (await once(spawn(process.execPath, [outfile, name], { env, stdio: 'inherit' }), 'close'))[0] as number;
    return await Promise.all(entries.map(write));
  };

  // Twenty of them need longer than the ten seconds after which a waiter once gave up.
  it.each([['at once', 0], ['in a row, each of which is slow', 700]])('lose no update when each is a process of its own: %s', async (_how, milliseconds) => {
    const { root, paths } = await place({ 'config/config.toml': CONFIG });
    expect(await writers(root, paths, milliseconds)).toEqual(entries.map(() => 0));
    const { global } = await readConfigFiles(paths);
    expect(Object.keys(global!.value.env!).sort()).toEqual([...entries].sort());
    expect(await readdir(path.dirname(paths.configFile))).toEqual(['config.toml']);
  }, 120_000);

  it('take over what a dead one left: its lock and its half-written file', async () => {
    const { root, paths } = await place({
      'config/config.toml': CONFIG,
      'config/config.lock': JSON.stringify({ pid: 999_999_999, started: '1', boot: 'another' }),
      'config/.config.toml.0123456789ab.tmp': 'half',
      'config/.other.toml.0123456789ab.tmp': 'not ours to remove',
    });
    await setMode(paths);
    expect((await readdir(path.join(root, 'config'))).sort()).toEqual(['.other.toml.0123456789ab.tmp', 'config.toml']);
  });
});

describe('removing a workspace', () => {
  it('removes its file, or the link that stands for it', async () => {
    const { root, paths } = await place({ 'config/workspaces/a.toml': WORKSPACE, 'dotfiles/b.toml': WORKSPACE });
    await symlink('../../dotfiles/b.toml', path.join(paths.workspacesDir, 'b.toml'));
    expect(await removeWorkspaceFile(paths, 'a')).toBe(path.join(paths.workspacesDir, 'a.toml'));
    await removeWorkspaceFile(paths, 'b');
    expect(await readdir(paths.workspacesDir)).toEqual([]);
    expect(await readdir(path.join(root, 'dotfiles'))).toEqual(['b.toml']);
    expect(await failureOf(removeWorkspaceFile(paths, 'a'))).toMatchObject({ code: 'not-found' });
  });

  it('takes it out of an old config.toml, of which the text before is kept', async () => {
    const { root, paths, read } = await place({ 'config/config.toml': '[workspaces.app]\nworkdir = "/a"\nmounts = [{ src = "/a", dst = "/a" }]\n[kimi]\n' });
    await removeWorkspaceFile(paths, 'app');
    expect(await listWorkspaces(paths)).toEqual([]);
    expect(await read('config/config.toml')).toBe('version = "v1alpha6"\n\n[kimi]\n');
    expect(await readdir(path.join(root, 'jackin/backups'))).toHaveLength(1);
  });
});
