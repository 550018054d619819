import { chmod, chown, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inspect } from 'node:util';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { inspectGithub, readGithub } from '../../../src/auth/github-source.ts';
import { installFake, installScript } from '../../fakes/install.ts';
import { fingerprintOf, makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

const HOSTS = 'github.com:\n    oauth_token: gho_fake-file\n    user: octocat\n    git_protocol: https\n';
const KEYRING = 'github.com:\n    users:\n        octocat:\n    git_protocol: https\n    user: octocat\n';
const isRoot = process.getuid?.() === 0;

let root: string;
let bin: string;
let home: string;
let config: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  bin = path.join(root, 'bin');
  home = path.join(root, 'home');
  config = path.join(home, '.config/gh');
  await mkdir(config, { recursive: true });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

const options = (env: Record<string, string> = {}) => ({ home, env: { PATH: bin, HOME: home, ...env }, uid: process.getuid?.() ?? 0 });

const writeHosts = (text: string, dir = config) => writeFile(path.join(dir, 'hosts.yml'), text);

const read = async (env: Record<string, string> = {}, timeoutMs?: number) => {
  const { login, ...rest } = await readGithub(options(env), new AbortController().signal, timeoutMs);
  return { token: login?.token.reveal(), user: login?.user, ...rest };
};

describe('the login that is handed over', () => {
  it('is the one that gh tells of, under the name in hosts.yml', async () => {
    await installFake(bin, 'gh');
    await writeHosts(KEYRING);
    expect(await read({ FAKE_GH_KEYRING: 'gho_fake-keyring' })).toEqual({ token: 'gho_fake-keyring', user: 'octocat', from: 'gh', why: 'gh gave its token for octocat.' });
  });

  it('is of `git` when nobody tells whose it is', async () => {
    await installFake(bin, 'gh');
    expect(await read({ FAKE_GH_KEYRING: 'gho_fake-keyring' })).toMatchObject({ token: 'gho_fake-keyring', user: 'git', from: 'gh' });
  });

  it('is asked for github.com, and never by way of the arguments', async () => {
    await installFake(bin, 'gh');
    await writeHosts(HOSTS);
    const log = path.join(root, 'log');
    await read({ FAKE_GH_LOG: log });
    expect(await readFile(log, 'utf8')).toBe('auth token --hostname github.com\n');
  });

  it('is not the token of the shell, which gh would prefer', async () => {
    await installFake(bin, 'gh');
    await writeHosts(HOSTS);
    const shell = { GH_TOKEN: 'ghp_fake-shell', GITHUB_TOKEN: 'ghp_fake-shell', GH_ENTERPRISE_TOKEN: 'ghp_fake-shell' };
    expect(await read(shell)).toMatchObject({ token: 'gho_fake-file', from: 'gh' });
    await writeHosts('{}\n');
    expect(await read(shell)).toMatchObject({ token: undefined, from: null });
  });

  it.each([
    ['is absent', undefined, 'gh is not installed'],
    ['fails', 'fail', 'gh failed: failed to read configuration'],
    ['prints nothing', 'nothing', 'gh printed nothing'],
    ['prints something else', 'garbage', 'gh printed something that is no token'],
    ['hangs', 'hang', 'gh did not answer within 0.5 seconds'],
  ])('is the one in hosts.yml when gh %s', async (_what, how, why) => {
    if (how !== undefined) await installFake(bin, 'gh');
    await writeHosts(HOSTS);
    const found = await read({ FAKE_GH: how ?? '' }, how === 'hang' ? 500 : undefined);
    expect(found).toEqual({ token: 'gho_fake-file', user: 'octocat', from: 'hosts.yml', why: `The token of octocat is from hosts.yml: ${why}.` });
    await rm(path.join(config, 'hosts.yml'));
    expect(await read({ FAKE_GH: how ?? '' }, how === 'hang' ? 500 : undefined)).toMatchObject({ token: undefined, from: null, why: `${why}. There is no ${config}/hosts.yml.` });
  });

  it.each([
    ['malformed', 'github.com: [', /hosts\.yml is not of the form that gh writes\.$/],
    ['logged out', '{}', /hosts\.yml holds no login for github\.com\.$/],
    ['without a token', KEYRING, /hosts\.yml holds no token for github\.com\.$/],
    ['huge', `#${'x'.repeat(1024 * 1024)}\n${HOSTS}`, /hosts\.yml is larger than 1 MiB\.$/],
  ])('is none when there is no gh and hosts.yml is %s', async (_what, text, why) => {
    await writeHosts(text);
    const found = await read();
    expect(found.token).toBeUndefined();
    expect(found.why).toMatch(why);
  });

  it('never comes from a file that hosts.yml links to', async () => {
    await writeHosts(HOSTS, root);
    await symlink(path.join(root, 'hosts.yml'), path.join(config, 'hosts.yml'));
    expect(await read()).toMatchObject({ token: undefined, why: expect.stringContaining('is a link') });
  });

  it.runIf(isRoot)('never comes from somebody else’s file or directory', async () => {
    await writeHosts(HOSTS);
    await chown(path.join(config, 'hosts.yml'), 4242, 4242);
    expect(await read()).toMatchObject({ token: undefined, why: expect.stringContaining('belongs to another user') });
    await chown(config, 4343, 4343);
    const { login, why } = await readGithub({ ...options(), uid: 4242 }, new AbortController().signal);
    expect([login, why]).toEqual([undefined, expect.stringContaining('belongs to another user')]);
  });

  it.skipIf(isRoot)('is none, and no error, when the file cannot be read', async () => {
    await writeHosts(HOSTS);
    await chmod(path.join(config, 'hosts.yml'), 0);
    expect(await read()).toMatchObject({ token: undefined, why: expect.stringContaining('cannot be read') });
  });

  it('is looked for where gh keeps it', async () => {
    await writeHosts(HOSTS.replace('octocat', 'usual'));
    for (const dir of ['xdg/gh', 'gh-dir']) await mkdir(path.join(root, dir), { recursive: true });
    await writeHosts(HOSTS.replace('octocat', 'xdg'), path.join(root, 'xdg/gh'));
    await writeHosts(HOSTS.replace('octocat', 'named'), path.join(root, 'gh-dir'));
    const xdg = { XDG_CONFIG_HOME: path.join(root, 'xdg') };
    expect([await read(), await read(xdg), await read({ ...xdg, GH_CONFIG_DIR: path.join(root, 'gh-dir') })].map(({ user }) => user)).toEqual(['usual', 'xdg', 'named']);
  });
});

describe('reading the login', () => {
  it('changes nothing on the host, though gh converts what an older gh has written', async () => {
    await installFake(bin, 'gh');
    await writeHosts(HOSTS);
    const before = await fingerprintOf(home);
    expect(await read()).toMatchObject({ token: 'gho_fake-file', from: 'gh' });
    expect(await fingerprintOf(home)).toEqual(before);
    // The same gh, let at the directory itself.
    await execa(path.join(bin, 'gh'), ['auth', 'token', '--hostname', 'github.com'], { env: options().env });
    expect(await fingerprintOf(home)).not.toEqual(before);
  });

  it('leaves nothing in the directory for temporary files, and no secret there meanwhile', async () => {
    await installScript(bin, 'gh', `ls -ld "$GH_CONFIG_DIR" >&2; cat "$GH_CONFIG_DIR"/config.yml; cd "$GH_CONFIG_DIR"; for f in *; do echo "$f$(readlink "$f" | sed 's/^/ -> /')"; done >"${root}/names"; exit 1`);
    await writeHosts(HOSTS);
    const temporary = path.join(root, 'tmp');
    await mkdir(temporary);
    vi.stubEnv('TMPDIR', temporary);
    const { why } = await read({ PATH: `${bin}:/usr/bin:/bin` });
    expect(why).toContain('gh failed: drwx------');
    expect(await readFile(path.join(root, 'names'), 'utf8')).toBe('config.yml\nhosts.yml -> LINK\n'.replace('LINK', path.join(config, 'hosts.yml')));
    expect(await readdir(temporary)).toEqual([]);
    vi.stubEnv('TMPDIR', path.join(root, 'gone'));
    expect(await read()).toMatchObject({ token: 'gho_fake-file', from: 'hosts.yml', why: expect.stringContaining('gh could not be asked: ENOENT') });
  });

  it('does not wait for what gh has left running', async () => {
    await installScript(bin, 'gh', 'sleep 30 & echo gho_fake-quick');
    const started = performance.now();
    expect(await read({ PATH: `${bin}:/usr/bin:/bin` })).toMatchObject({ token: 'gho_fake-quick' });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('ends at once when it is interrupted', async () => {
    await installFake(bin, 'gh');
    const controller = new AbortController();
    const reading = readGithub(options({ FAKE_GH: 'hang' }), controller.signal);
    setTimeout(() => controller.abort(), 300);
    await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('shows the token to nobody', async () => {
    await installFake(bin, 'gh');
    await writeHosts('github.com:\n    oauth_token: gho_fakeSecret\n');
    const found = await readGithub(options(), new AbortController().signal);
    expect(`${JSON.stringify(found)}${inspect(found, { depth: 9 })}`).not.toContain('fakeSecret');
    const leaky = await readGithub(options({ FAKE_GH: 'leak' }), new AbortController().signal);
    expect(leaky.why).toContain('gh failed: cannot use [secret]');
    expect(JSON.stringify(await inspectGithub(options()))).not.toContain('fakeSecret');
  });
});

describe('what is known of the login before a launch', () => {
  it.each([
    ['a token in the file', HOSTS, true, 'live', /^gh is logged in to github\.com as octocat\.$/],
    ['a token in the file and no gh', HOSTS, false, 'live', /as octocat\.$/],
    ['a token in the password store', KEYRING, true, 'unknown', /as octocat, with a token that is not in hosts\.yml\. gh is asked/],
    ['a token in the password store and no gh', KEYRING, false, 'absent', /There is no gh on this machine/],
    ['no login', '{}', true, 'absent', /holds no login for github\.com/],
    ['no file', undefined, true, 'absent', /^There is no .*hosts\.yml\.$/],
    ['a file that only gh may understand', 'github.com: &a\n    user: x\n', true, 'unknown', /not of the form.*gh is asked/],
    ['a file that nobody understands', 'github.com: [', false, 'dead', /not of the form.*There is no gh/],
  ])('is told of %s, without running gh', async (_what, text, gh, state, why) => {
    await mkdir(bin);
    if (gh) await installScript(bin, 'gh', `: > "${root}/ran"`);
    if (text !== undefined) await writeHosts(text);
    const facts = await inspectGithub(options());
    expect(facts).toMatchObject({ dir: config, hasGh: gh, state, why: expect.stringMatching(why) });
    expect(facts.user).toBe(text === HOSTS || text === KEYRING ? 'octocat' : undefined);
    expect(await readdir(root)).not.toContain('ran');
  });

  it('takes nothing for gh that cannot be run', async () => {
    await mkdir(path.join(bin, 'gh'), { recursive: true });
    expect(await inspectGithub(options())).toMatchObject({ hasGh: false });
    await writeFile(path.join(root, 'gh'), '');
    expect(await inspectGithub(options({ PATH: `${bin}::${root}` }))).toMatchObject({ hasGh: false });
  });
});

const realGh = await execa('gh', ['--version'], { reject: false });

describe.runIf(realGh.exitCode === 0)('the real gh', () => {
  const real = { PATH: process.env['PATH'] ?? '', DBUS_SESSION_BUS_ADDRESS: 'disabled:' };

  test('tells of the login in a directory of its own, and writes nothing there', async () => {
    await writeHosts(HOSTS);
    const before = await fingerprintOf(home);
    expect(await read({ ...real, GH_TOKEN: 'ghp_fake-shell' })).toMatchObject({ token: 'gho_fake-file', user: 'octocat', from: 'gh' });
    expect(await fingerprintOf(home)).toEqual(before);
  });

  test('has none when it is logged out', async () => {
    expect(await read({ ...real, GITHUB_TOKEN: 'ghp_fake-shell' })).toMatchObject({ token: undefined, why: expect.stringContaining('gh failed: no oauth token') });
  });
});
