import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createWorkspaceFile, listWorkspaces, readAllWorkspaces, readConfigFiles, validateAll } from '../../../src/config/files.ts';
import { migrateAll } from '../../../src/config/migrate.ts';
import { locatePaths, type Paths } from '../../../src/config/paths.ts';
import { resolveConfig } from '../../../src/config/resolve.ts';
import { JackinError } from '../../../src/shared/errors.ts';

/** Kills the program at its n-th change of the disk: from then on nothing it does has any effect. */
const disk = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:fs/promises')>();
  const step = (file: unknown): void => {
    if (String(file).includes('config.lock')) return;
    disk.left -= 1;
    if (disk.left < 0) throw new Error('killed');
  };
  const stepped = <T extends unknown[], R>(call: (...args: T) => Promise<R>) => async (...args: T): Promise<R> => {
    step(args[0]);
    return call(...args);
  };
  return {
    ...actual,
    mkdir: stepped(actual.mkdir),
    rename: stepped(actual.rename),
    unlink: stepped(actual.unlink),
    chmod: stepped(actual.chmod),
    open: async (file: string, flags: string | number, mode?: number) => {
      if (typeof flags !== 'number' || (flags & 3) === 0) return actual.open(file, flags, mode);
      step(file);
      const handle = await actual.open(file, flags, mode);
      const write = handle.writeFile.bind(handle);
      handle.writeFile = async (text) => {
        if (disk.left <= 0) await write(String(text).slice(0, String(text).length / 2));
        step(file);
        await write(text);
      };
      return handle;
    },
  };
});

afterEach(() => {
  disk.left = Number.POSITIVE_INFINITY;
});

const NOW = new Date('2026-11-21T12:00:00.123Z');
const MOUNTS = 'mounts = [{ src = "/a", dst = "/a" }]\n';
const OLD = {
  'config/config.toml': `# mine\n[kimi]\nauth_forward = "ignore" # why\n\n[workspaces.app]\nworkdir = "/a"\n${MOUNTS}\n[workspaces.app.kimi]\nauth_forward = "api_key"\n\n[workspaces.two]\nworkdir = "/a"\n${MOUNTS}`,
  'config/workspaces/old.toml': `version = "v1alpha4"\nworkdir = "/a"\nop_account = "acme"\n${MOUNTS}\n[env]\nT = "op://v/i/f"\n`,
  'config/workspaces/new.toml': `version = "v1alpha6"\nworkdir = "/a"\n${MOUNTS}`,
};

const place = async (files: Record<string, string> = OLD) => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-migrate-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const paths = locatePaths({ env: { JACKIN_CONFIG_DIR: path.join(root, 'config'), JACKIN_HOME_DIR: path.join(root, 'jackin') }, home: root });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  return { root, paths };
};

/** Every file below a directory with its content. */
const snapshot = async (root: string): Promise<Record<string, string>> => {
  const names = (await readdir(root, { recursive: true })).sort();
  const entries = await Promise.all(names.map(async (name) => ((await stat(path.join(root, name))).isFile() ? [[name, await readFile(path.join(root, name), 'utf8')]] : [])));
  return Object.fromEntries(entries.flat() as [string, string][]);
};

const failureOf = async (work: Promise<unknown>): Promise<JackinError> => {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  );
  if (error instanceof JackinError) return error;
  throw error;
};

const valuesOf = async (paths: Paths): Promise<unknown> => {
  const [{ global }, workspaces] = [await readConfigFiles(paths), await readAllWorkspaces(paths)];
  return JSON.parse(JSON.stringify({ global: global?.value, workspaces: [...workspaces].map(([name, { value }]) => [name, value]) }));
};

describe('reading older files', () => {
  it('gives what they would become, and writes nothing', async () => {
    const { root, paths } = await place();
    const before = await snapshot(root);
    expect(await listWorkspaces(paths)).toEqual(['app', 'new', 'old', 'two']);
    const { global, workspace } = await readConfigFiles(paths, 'old');
    expect(global).toMatchObject({ from: 'legacy', value: { version: 'v1alpha6', kimi: { auth_forward: 'ignore' } } });
    expect(workspace).toMatchObject({ from: 'v1alpha4', value: { env: { T: { op: 'op://v/i/f', account: 'acme' } } } });
    expect((await readConfigFiles(paths, 'new')).workspace).not.toHaveProperty('from');
    expect(await validateAll(paths)).toEqual([paths.configFile, ...['new', 'old'].map((name) => path.join(paths.workspacesDir, `${name}.toml`))]);
    expect(await migrateAll(paths, { dryRun: true, now: NOW })).toHaveLength(4);
    expect(await snapshot(root)).toEqual(before);
  });

  it('tells places in the text as it is', async () => {
    const { paths } = await place();
    const files = await readConfigFiles(paths, 'app');
    const { mode } = resolveConfig(files, { role: 'r', workspace: 'app', directory: null, mounts: [], home: '/h' }).auth.kimi;
    expect(mode).toMatchObject({ value: 'api_key', origin: { file: paths.configFile, line: 10 } });
    expect(mode.trace.at(-1)).toMatchObject({ value: 'ignore', origin: { file: paths.configFile, line: 3 } });
    await writeFile(paths.configFile, '# one\n[workspaces.app]\nworkdir = "/a"\nworkdr = 1\n');
    expect((await failureOf(readConfigFiles(paths, 'app'))).message).toContain(`${paths.configFile}:4:1: unknown key "workdr"`);
  });

  it('does not take a name twice', async () => {
    const { paths } = await place();
    expect(await failureOf(createWorkspaceFile(paths, 'app', MOUNTS))).toMatchObject({ code: 'conflict', message: expect.stringContaining(paths.configFile) });
    await writeFile(path.join(paths.workspacesDir, 'app.toml'), OLD['config/workspaces/new.toml']);
    expect((await failureOf(readConfigFiles(paths, 'app'))).message).toMatch(/config\.toml:5:\d+: workspace "app" stands here and in .*app\.toml: remove one of them/);
  });
});

describe('migrating', () => {
  it('writes every file that needs it, and keeps each text before, private, away from the configuration', async () => {
    const { root, paths } = await place();
    await chmod(paths.configFile, 0o600);
    const values = await valuesOf(paths);
    const done = await migrateAll(paths, { dryRun: false, now: NOW });
    const backups = path.join(root, 'jackin/backups');
    expect(done.map(({ file, from, to, backup }) => [path.relative(root, file), from, to, backup && path.relative(backups, backup)])).toEqual([
      ['config/workspaces/app.toml', 'legacy', 'v1alpha6', null],
      ['config/workspaces/two.toml', 'legacy', 'v1alpha6', null],
      ['config/config.toml', 'legacy', 'v1alpha6', 'config.20261121T120000Z.toml'],
      ['config/workspaces/old.toml', 'v1alpha4', 'v1alpha6', 'old.20261121T120000Z.toml'],
    ]);
    const after = await snapshot(root);
    for (const { file, before, after: text } of done) {
      expect(after[path.relative(root, file)]).toBe(text);
      expect(before).toBe((OLD as Record<string, string>)[path.relative(root, file)] ?? '');
    }
    expect(after['jackin/backups/config.20261121T120000Z.toml']).toBe(OLD['config/config.toml']);
    expect((await stat(backups)).mode & 0o777).toBe(0o700);
    expect((await stat(path.join(backups, 'old.20261121T120000Z.toml'))).mode & 0o777).toBe(0o600);
    expect((await stat(paths.configFile)).mode & 0o777).toBe(0o600);
    expect(Object.keys(after).filter((name) => name.startsWith('config/')).sort()).toEqual(
      ['config/config.toml', ...['app', 'new', 'old', 'two'].map((name) => `config/workspaces/${name}.toml`)],
    );
    expect(await valuesOf(paths)).toEqual(values);
    expect(await migrateAll(paths, { dryRun: false, now: NOW })).toEqual([]);
    expect(await snapshot(root)).toEqual(after);
  });

  it('shows in a dry run exactly what it would write', async () => {
    const { paths } = await place();
    const shown = await migrateAll(paths, { dryRun: true, now: NOW });
    const done = await migrateAll(paths, { dryRun: false, now: NOW });
    expect(shown).toEqual(done.map((one) => ({ ...one, backup: null })));
  });

  it('has nothing to do, and makes nothing, where there is no configuration', async () => {
    const { root, paths } = await place({});
    expect(await migrateAll(paths, { dryRun: false, now: NOW })).toEqual([]);
    expect(await readdir(root)).toEqual([]);
  });

  it('follows a link, and keeps two backups of one second apart', async () => {
    const { root, paths } = await place({ 'dotfiles/config.toml': '[kimi]\n', 'config/workspaces/config.toml': `workdir = "/a"\n${MOUNTS}` });
    await symlink('../dotfiles/config.toml', paths.configFile);
    await migrateAll(paths, { dryRun: false, now: NOW });
    expect(await readFile(path.join(root, 'dotfiles/config.toml'), 'utf8')).toBe('version = "v1alpha6"\n\n[kimi]\n');
    const after = await snapshot(path.join(root, 'jackin/backups'));
    expect(Object.values(after).sort()).toEqual(['[kimi]\n', `workdir = "/a"\n${MOUNTS}`]);
  });

  it('refuses a newer version and everything else that is in the way, all at once, with nothing written', async () => {
    const { root, paths } = await place({ ...OLD, 'config/workspaces/bad.toml': 'version = "v9"\n', 'config/workspaces/worse.toml': 'version = "v1alpha2"\nop_account = 1\n' });
    const before = await snapshot(root);
    for (const dryRun of [true, false]) {
      const { code, message } = await failureOf(migrateAll(paths, { dryRun, now: NOW }));
      expect(code).toBe('config.invalid');
      expect(message).toMatch(/bad\.toml:1:1: version: version "v9" is not one[\s\S]*worse\.toml:2:1: op_account: expected a text/);
    }
    expect(await snapshot(root)).toEqual(before);
  });

  it('refuses to replace a workspace by one of the same name, and names both', async () => {
    const { root, paths } = await place({ ...OLD, 'config/workspaces/two.toml': OLD['config/workspaces/new.toml'].replace('mounts', '# mine\nmounts') });
    const before = await snapshot(root);
    const { code, message } = await failureOf(migrateAll(paths, { dryRun: false, now: NOW }));
    expect(code).toBe('conflict');
    expect(message).toBe(`workspace "two" stands in ${paths.configFile} and in ${path.join(paths.workspacesDir, 'two.toml')}`);
    expect(await snapshot(root)).toEqual(before);
  });

  it('that is killed at any step loses nothing, and is finished by the next run', async () => {
    const whole = await place();
    const values = await valuesOf(whole.paths);
    await migrateAll(whole.paths, { dryRun: false, now: NOW });
    const wanted = await snapshot(path.join(whole.root, 'config'));
    let steps = 0;
    for (; ; steps += 1) {
      const { root, paths } = await place();
      disk.left = steps;
      const outcome = await migrateAll(paths, { dryRun: false, now: NOW }).then(() => 'done', (error: Error) => error.message);
      disk.left = Number.POSITIVE_INFINITY;
      if (outcome === 'done') break;
      // At every moment the configuration says the same.
      expect(await valuesOf(paths), `after step ${steps}`).toEqual(values);
      expect(await migrateAll(paths, { dryRun: false, now: NOW })).not.toEqual([]);
      expect(await snapshot(path.join(root, 'config')), `after step ${steps}`).toEqual(wanted);
      expect(Object.values(await snapshot(path.join(root, 'jackin/backups')))).toContain(OLD['config/config.toml']);
    }
    expect(steps).toBeGreaterThan(15);
  }, 60_000);
});

describe('migrating some of the files', () => {
  it('is not stopped by what is wrong with another one', async () => {
    const { paths } = await place({ ...OLD, 'config/workspaces/bad.toml': 'version = "v9"\n' });
    const file = path.join(paths.workspacesDir, 'old.toml');
    expect((await migrateAll(paths, { dryRun: false, now: NOW, only: [file] })).map((one) => one.file)).toEqual([file]);
    expect((await readConfigFiles(paths)).global).toMatchObject({ from: 'legacy' });
  });
});
