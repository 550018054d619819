import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseEnv } from '../../../src/cli/env-option.ts';
import { editFile } from '../../../src/config/edit.ts';
import { readConfigFiles } from '../../../src/config/files.ts';
import { locatePaths, workspaceFile } from '../../../src/config/paths.ts';
import { readLock } from '../../../src/roles/lock-file.ts';
import { parseManifest } from '../../../src/roles/manifest.ts';

const NUL = '\\u0000';

const world = async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-nul-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const paths = locatePaths({ env: { JACKIN_CONFIG_DIR: root }, home: root });
  await mkdir(path.join(root, 'workspaces'));
  return { root, paths };
};

const VERSION = 'version = "v1alpha6"\n';
const WORKSPACE = `${VERSION}workdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\n`;
const ROLE = `${VERSION}dockerfile = "Dockerfile"\nagents = ["kimi", "claude"]\n[kimi]\n[claude]\n`;

describe('a NUL character', () => {
  it.each([
    ['the value of a variable', `[env]\nA = "ok"\nB = "a${NUL}b"`, '4:1: env.B: holds a NUL'],
    ['the value of a variable, written long', '[env]\nA = "a\\U00000000b"', '3:1: env.A: holds a NUL'],
    ['a variable of one role', `[roles.x.env]\nA = "${NUL}"`, '3:1: roles.x.env.A: holds a NUL'],
    ['a variable of GitHub', `[github.env]\nA = "${NUL}"`, '3:1: github.env.A: holds a NUL'],
    ['the name of a variable', `[env]\n"A${NUL}" = "x"`, '3:1: env.'],
    ['a reference', `[env]\nA = { op = "op://a${NUL}" }`, '3:7: env.A.op: '],
    ['the account of a reference', `[env]\nA = { op = "op://a", account = "x${NUL}" }`, '3:22: env.A.account: holds a NUL'],
    ['an account', `[kimi]\naccount = "a${NUL}"`, '3:1: kimi.account: '],
    ['a directory', `[kimi]\nsync_source_dir = "/a${NUL}"`, '3:1: kimi.sync_source_dir: '],
    ['the source of a role', `[roles.x]\ngit = "/a${NUL}"`, '3:1: roles.x.git: '],
    ['a mount', `[docker.mounts.m]\nsrc = "/a"\ndst = "/b${NUL}"`, '4:1: docker.mounts.m.dst: '],
  ])('is refused where it stands, in %s', async (_what, text, message) => {
    const { paths } = await world();
    await writeFile(paths.configFile, VERSION + text);
    const refusal = readConfigFiles(paths);
    await expect(refusal).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining(`${paths.configFile}:${message}`) });
    await expect(refusal).rejects.toMatchObject({ message: expect.not.stringContaining('op://a,') });
  });

  it('is told once, together with everything else that is wrong', async () => {
    const { paths } = await world();
    await writeFile(paths.configFile, `${VERSION}[env]\nA = "x${NUL}"\n[kimi]\naccount = "${NUL}"\nunknown = 1\n`);
    await expect(readConfigFiles(paths)).rejects.toMatchObject({ message: expect.stringMatching(/^3 problems/) });
  });

  it('shows no value: it may be a secret', async () => {
    const { paths } = await world();
    await writeFile(paths.configFile, `${VERSION}[env]\nA = "s3cret${NUL}"\n`);
    await expect(readConfigFiles(paths)).rejects.toMatchObject({ message: expect.not.stringContaining('s3cret') });
  });

  it('is refused in a workspace, also in one that still stands in an old config.toml', async () => {
    const { paths } = await world();
    await writeFile(workspaceFile(paths, 'w'), `${WORKSPACE}[env]\nA = "${NUL}"\n`);
    await expect(readConfigFiles(paths, 'w')).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('w.toml:5:1: env.A: holds a NUL') });
    await rm(workspaceFile(paths, 'w'));
    await writeFile(paths.configFile, `[workspaces.w]\nworkdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\n[workspaces.w.env]\nA = "${NUL}"\n`);
    await expect(readConfigFiles(paths, 'w')).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining('config.toml:5:1: env.A: holds a NUL') });
  });

  it.each([
    ['a default', `[env.A]\ndefault = "${NUL}"\n`, /role\.toml:7:1: /],
    ['a question', `[env.A]\ninteractive = true\nprompt = "${NUL}"\n`, /role\.toml:8:1: env\.A\.prompt: holds a NUL/],
    ['a marketplace', `marketplaces = [{ source = "a${NUL}" }]\n`, /role\.toml:6:19: claude\.marketplaces\.0\.source: holds a NUL/],
  ])('is refused in a manifest, in %s', (_what, text, message) => {
    expect(() => parseManifest('/r/jackin.role.toml', ROLE + text)).toThrow(message);
  });

  it.each(['role', 'content', 'construct', 'source'])('is refused in a lock, in its %s', async (key) => {
    const { root } = await world();
    const file = path.join(root, 'jackin.lock');
    const lock: Record<string, string> = { role: '"r"', source: '"/s"', content: '"c"', construct: '"x"', [key]: `"${NUL}"` };
    await writeFile(file, `version = 1\n${Object.entries(lock).map(([name, value]) => `${name} = ${value}\n`).join('')}[agents]\n`);
    await expect(readLock(file)).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringMatching(new RegExp(`jackin\\.lock:\\d:1: ${key}: holds a NUL`)) });
  });

  it('is not saved: the file stays what it was', async () => {
    const { paths } = await world();
    await writeFile(paths.configFile, VERSION);
    const edit = editFile(paths, { kind: 'config' }, () => [{ path: ['env', 'A'], value: 'a\0b' }]);
    await expect(edit).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('env.A: holds a NUL character') });
    expect(await readFile(paths.configFile, 'utf8')).toBe(VERSION);
  });

  it('is refused in --env, without the value', async () => {
    await expect(parseEnv(['A=s3cret\0'])).rejects.toMatchObject({ code: 'usage', message: '--env A: the value holds a NUL character, which no variable can' });
  });
});

describe('other control characters', () => {
  it('are legal in the value of a variable: it may have several lines', async () => {
    const { paths } = await world();
    await writeFile(paths.configFile, `${VERSION}[env]\nA = "a\\n\\tb\\u001b"\n`);
    expect((await readConfigFiles(paths)).global?.value.env).toEqual({ A: 'a\n\tb\u001b' });
  });

  it.each([
    ['an account', '[kimi]\naccount = "a\\nb"', '3:1: kimi.account: expected one line without control characters'],
    ['an address', '[roles.x]\ngit = "https://a\\u001bb"', '3:1: roles.x.git: expected an address without control characters'],
    ['a reference', '[env]\nA = { op = "op://a\\nb" }', '3:7: env.A.op: expected a reference without control characters'],
  ])('are refused where they cannot work, in %s', async (_what, text, message) => {
    const { paths } = await world();
    await writeFile(paths.configFile, VERSION + text);
    await expect(readConfigFiles(paths)).rejects.toMatchObject({ code: 'config.invalid', message: expect.stringContaining(`${paths.configFile}:${message}`) });
  });

  it('are refused in the name of a model, which becomes an argument', () => {
    expect(() => parseManifest('/r/jackin.role.toml', ROLE.replace('[kimi]', '[kimi]\nmodel = "a\\u001bb"'))).toThrow(/role\.toml:5:1: kimi\.model: expected a model name without control characters/);
  });

  it('do not show a secret that stands in an old config.toml under an unknown key', async () => {
    const { paths } = await world();
    await writeFile(paths.configFile, '[workspaces.w]\nworkdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\nAPI_KEY = "s3cret"\n');
    const refusal = readConfigFiles(paths, 'w');
    await expect(refusal).rejects.toMatchObject({ message: expect.stringContaining('unknown key "API_KEY"') });
    await expect(refusal).rejects.toMatchObject({ message: expect.not.stringContaining('s3cret') });
  });
});
