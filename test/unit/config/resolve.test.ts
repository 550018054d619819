import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import type { ConfigFiles } from '../../../src/config/files.ts';
import { resolveConfig } from '../../../src/config/resolve.ts';
import { ConfigSchema, WorkspaceSchema } from '../../../src/config/schema.ts';

const load = (file: string, text: string) => {
  const document = parseDocument(file, text);
  if (isProblem(document)) throw new Error(document.message);
  return document;
};

const filesOf = (global: string | undefined, workspace: string | undefined): ConfigFiles => ({
  global: global === undefined ? undefined : (() => {
    const document = load('/c/config.toml', global);
    return { document, value: ConfigSchema.parse(document.value) };
  })(),
  workspace: workspace === undefined ? undefined : (() => {
    const document = load('/c/workspaces/app.toml', `workdir = "/app"\nmounts = [{ src = "~/app", dst = "/app" }]\n${workspace}`);
    return { document, value: WorkspaceSchema.parse(document.value) };
  })(),
});

const resolve = (files: ConfigFiles, role = 'smith') =>
  resolveConfig(files, {
    role,
    workspace: files.workspace === undefined ? null : 'app',
    directory: files.workspace === undefined ? '/cwd' : null,
    mounts: [],
    home: '/home/op',
  });

describe('auth mode', () => {
  it('is sync when nobody says anything', () => {
    expect(resolve(filesOf(undefined, undefined)).auth.kimi.mode).toMatchObject({ value: 'sync', origin: { layer: 'default' } });
  });

  it('is decided by the nearest layer, with file and line', () => {
    const global = '[kimi]\nauth_forward = "api_key"\n';
    const workspace = '[kimi]\nauth_forward = "ignore"\n';
    const both = '[kimi]\nauth_forward = "ignore"\n[roles.smith.kimi]\nauth_forward = "sync"\n';
    expect(resolve(filesOf(global, undefined)).auth.kimi.mode).toMatchObject({ value: 'api_key', origin: { layer: 'global', file: '/c/config.toml', line: 2 } });
    expect(resolve(filesOf(global, workspace)).auth.kimi.mode).toMatchObject({ value: 'ignore', origin: { layer: 'workspace', line: 4 } });
    expect(resolve(filesOf(global, both)).auth.kimi.mode).toMatchObject({ value: 'sync', origin: { layer: 'workspace × role', line: 6 } });
    expect(resolve(filesOf(global, both), 'other').auth.kimi.mode).toMatchObject({ value: 'ignore', origin: { layer: 'workspace' } });
  });

  it('resolves the source directory on its own, with ~ expanded', () => {
    const files = filesOf('[kimi]\nsync_source_dir = "~/logins/kimi"\n', '[kimi]\nauth_forward = "sync"\n');
    expect(resolve(files).auth.kimi.sourceDir).toMatchObject({ value: '/home/op/logins/kimi', origin: { layer: 'global' } });
  });

  it('takes the nearer one of a login of jackin’s own and a source directory', () => {
    const own = '[kimi]\nlogin = "work"\n';
    const dir = '[kimi]\nsync_source_dir = "/srv/kimi"\n';
    expect(resolve(filesOf(own, undefined)).auth.kimi).toMatchObject({ login: { value: 'work', origin: { layer: 'global', line: 2 } }, sourceDir: undefined });
    expect(resolve(filesOf(own, dir)).auth.kimi).toMatchObject({ login: undefined, sourceDir: { value: '/srv/kimi', origin: { layer: 'workspace' } } });
    expect(resolve(filesOf(dir, own)).auth.kimi).toMatchObject({ login: { value: 'work', origin: { layer: 'workspace' } }, sourceDir: undefined });
    expect(resolve(filesOf(own, `${dir}[roles.smith.kimi]\nlogin = "home"\n`)).auth.kimi).toMatchObject({ login: { value: 'home', origin: { layer: 'workspace × role' } }, sourceDir: undefined });
  });

  it('keeps every layer that was asked, so that the answer can be explained', () => {
    const { trace } = resolve(filesOf('[kimi]\nauth_forward = "api_key"\n', '[kimi]\nauth_forward = "ignore"\n')).auth.kimi.mode;
    expect(trace.map(({ origin, value }) => [origin.layer, value])).toEqual([
      ['workspace × role', undefined],
      ['workspace', 'ignore'],
      ['global', 'api_key'],
    ]);
  });

  const mode = fc.constantFrom(undefined, 'sync', 'api_key', 'ignore');
  const block = (header: string, value: string | undefined) => (value === undefined ? '' : `[${header}]\nauth_forward = "${value}"\n`);

  it('is the nearest layer for every combination, whatever else the files say', () => {
    fc.assert(
      fc.property(mode, mode, mode, fc.boolean(), (global, workspace, role, noise) => {
        const extra = noise ? '[roles.other.kimi]\nauth_forward = "ignore"\n[env]\nX = "1"\n' : '';
        const files = filesOf(
          block('kimi', global) + (noise ? '[env]\nY = "1"\n' : ''),
          block('kimi', workspace) + block('roles.smith.kimi', role) + extra,
        );
        expect(resolve(files).auth.kimi.mode.value).toBe(role ?? workspace ?? global ?? 'sync');
      }),
      { numRuns: 200 },
    );
  });
});

describe('environment', () => {
  it('lets later layers win, and tells literals, host references and op references apart', () => {
    const files = filesOf(
      '[env]\nA = "global"\nB = "$HOST_B"\nC = "op://v/i/f"\nD = "$not a name"\n[roles.smith.env]\nA = "role"\n',
      '[env]\nA = "${HOST_A}"\n[roles.smith.env]\nE = { op = "op://v/i/g", account = "acme" }\n',
    );
    expect(resolve(files).env.map(({ name, source, origin }) => [name, source, origin.layer])).toEqual([
      ['A', { kind: 'host', name: 'HOST_A' }, 'workspace'],
      ['B', { kind: 'host', name: 'HOST_B' }, 'global'],
      ['C', { kind: 'op', reference: 'op://v/i/f' }, 'global'],
      ['D', { kind: 'literal', value: '$not a name' }, 'global'],
      ['E', { kind: 'op', reference: 'op://v/i/g', account: 'acme' }, 'workspace × role'],
    ]);
  });
});

describe('mounts', () => {
  it('are the workspace’s, ~ expanded, then those of the command line', () => {
    const files = filesOf(undefined, '');
    const resolved = resolveConfig(files, { role: 'r', workspace: 'app', directory: null, mounts: [{ source: '/x', target: '/y', readonly: true }], home: '/home/op' });
    expect(resolved.mounts.map(({ source, target, readonly, origin }) => [source, target, readonly, origin.layer])).toEqual([
      ['/home/op/app', '/app', false, 'workspace'],
      ['/x', '/y', true, 'command line'],
    ]);
  });

  it('are the directory itself when nothing is saved', () => {
    expect(resolve(filesOf(undefined, undefined)).mounts).toMatchObject([{ source: '/cwd', target: '/cwd', readonly: false }]);
  });
});
