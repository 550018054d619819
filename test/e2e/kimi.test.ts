/**
 * The real CLI, the real engine, the real Kimi Code in a container that the
 * product built, and a fake Kimi server that believes nothing.
 */
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fingerprint } from '../fakes/kimi-server.mjs';
import { findSecrets } from './find-secrets.ts';
import {
  CREDENTIAL_PLACES,
  KIMI_BASE,
  isInFilesystem,
  leftoversOf,
  makeWorld,
  treeHash,
  watchCommandLines,
  writeLogin,
} from './world.ts';
import type { Login, World } from './world.ts';

const NOWHERE = /^$/;
const CHAT = '/coding/v1/chat/completions';
const TOKEN = '/api/oauth/token';

let world: World;

beforeEach(async () => {
  world = await makeWorld('kimi');
});

afterEach(async () => {
  await world.remove();
});

const secretsOf = (login: Login) => [login.accessToken, login.refreshToken];
const inUserHome = (name: string) => path.join(world.sandbox.dirs.userHome, name);

/** The one credential file that the agent's home of the only instance holds. */
const credentialInside = async () => {
  const [state = ''] = await world.stateDirs();
  const dir = path.join(state, 'home/.kimi-code/credentials');
  const [file = ''] = (await readdir(dir)).filter((name) => name.endsWith('.json'));
  return JSON.parse(await readFile(path.join(dir, file), 'utf8')) as { access_token: string; refresh_token: string };
};

/** What a launch left anywhere but in the credential places of its state. */
const leaks = async (secrets: string[], exempt: RegExp) => {
  const [container = ''] = await world.containers();
  expect(container).not.toBe('');
  expect(await isInFilesystem(container, secrets)).toBe(false);
  // The scan does look into files: every Debian system has this line.
  expect(await isInFilesystem(container, ['root:x:0:0'])).toBe(true);
  return findSecrets(await world.traces(), secrets, exempt);
};

describe('sync', () => {
  test("takes the host's fresh login to the server, leaves no trace of it, and nothing when it is ejected and purged", async () => {
    const home = inUserHome('.kimi-code');
    const login = await writeLogin(home);
    await mkdir(path.join(home, 'credentials/mcp'));
    await writeFile(path.join(home, 'credentials/mcp/other.json'), '{"access_token":"an-mcp-token"}');
    await mkdir(path.join(home, 'sessions'));
    await writeFile(path.join(home, 'sessions/old.jsonl'), 'an-old-session');
    await world.config('');
    const server = await world.serve({ logins: [login] });
    const before = await treeHash(home);
    const stopWatching = watchCommandLines();

    const { code, stdout, stderr } = await world.prompt('one two three');

    const commandLines = await stopWatching();
    expect(stdout.trim()).toBe('• fake kimi heard: one two three');
    expect(code).toBe(0);
    expect(stderr).toContain(home);
    expect(await server.requests()).toMatchObject([
      { path: CHAT, status: 200, token: fingerprint(login.accessToken), device: fingerprint(login.deviceId) },
    ]);
    expect(await treeHash(home)).toBe(before);
    expect(await leaks(secretsOf(login), CREDENTIAL_PLACES)).toEqual([]);
    expect(await leaks(['an-mcp-token', 'an-old-session'], NOWHERE)).toEqual([]);
    // The scan finds what is where it may be.
    expect((await leaks(secretsOf(login), NOWHERE)).length).toBeGreaterThan(0);
    expect(findSecrets(commandLines, secretsOf(login), NOWHERE)).toEqual([]);
    for (const secret of secretsOf(login)) expect(stdout + stderr).not.toContain(secret);

    expect(await world.jackin(['purge', 'agent-smith'])).toMatchObject({ code: 8 });
    expect(await world.jackin(['eject', 'agent-smith'])).toMatchObject({ code: 0 });
    expect(await world.stateDirs()).toHaveLength(1);
    expect(await world.jackin(['purge', 'agent-smith'])).toMatchObject({ code: 0 });
    expect(await leftoversOf(world)).toEqual({ containers: [], networks: [], volumes: [], data: [] });
  });

  test('an expired token is refreshed inside, and the new one stays inside', async () => {
    const home = inUserHome('.kimi-code');
    const login = await writeLogin(home, { age: 1000 });
    await world.config('');
    const server = await world.serve({ logins: [login] });
    const before = await treeHash(home);

    const { code, stdout, stderr } = await world.prompt('again');

    expect(stdout).toContain('fake kimi heard: again');
    expect(code).toBe(0);
    const [refresh, chat, ...more] = await server.requests();
    expect(refresh).toMatchObject({ path: TOKEN, status: 200, refresh: fingerprint(login.refreshToken) });
    expect(chat).toMatchObject({ path: CHAT, status: 200, token: refresh?.issued?.token });
    expect(more).toEqual([]);

    expect(await treeHash(home)).toBe(before);
    const inside = await credentialInside();
    expect(fingerprint(inside.access_token)).toBe(refresh?.issued?.token);
    expect(fingerprint(inside.refresh_token)).toBe(refresh?.issued?.refresh);
    const secrets = [inside.access_token, inside.refresh_token, ...secretsOf(login)];
    expect(await leaks(secrets, CREDENTIAL_PLACES)).toEqual([]);
    for (const secret of secrets) expect(stdout + stderr).not.toContain(secret);
  });

  test('a token that the server has ended early is refreshed inside as well', async () => {
    const login = await writeLogin(inUserHome('.kimi-code'));
    await world.config('');
    const server = await world.serve({ logins: [{ ...login, accessToken: 'ended' }] });
    expect(await world.prompt('hello')).toMatchObject({ code: 0 });
    const requests = await server.requests();
    expect(requests.map(({ path: where, status }) => [where, status])).toEqual([[CHAT, 401], [TOKEN, 200], [CHAT, 200]]);
  });

  test('a host that has only ~/.kimi gets an agent that is logged in', async () => {
    const home = inUserHome('.kimi');
    const login = await writeLogin(home, { generation: 'kimi' });
    await world.config('');
    const server = await world.serve({ logins: [login] });
    const before = await treeHash(home);

    const { code, stdout } = await world.prompt('from the older one');

    expect(stdout).toContain('fake kimi heard: from the older one');
    expect(code).toBe(0);
    expect(await server.requests()).toMatchObject([
      { path: CHAT, status: 200, token: fingerprint(login.accessToken), device: fingerprint(login.deviceId) },
    ]);
    expect(await treeHash(home)).toBe(before);
    expect(await leaks(secretsOf(login), CREDENTIAL_PLACES)).toEqual([]);
  });

  test('sync_source_dir names the login, and the one in the home directory is not looked at', async () => {
    const other = await writeLogin(inUserHome('.kimi-code'));
    const named = path.join(world.sandbox.dirs.temp, 'a login of mine');
    const login = await writeLogin(named);
    await world.config(`[kimi]\nsync_source_dir = "${named}"\n`);
    const server = await world.serve({ logins: [login, other] });
    const before = [await treeHash(named), await treeHash(inUserHome('.kimi-code'))];

    expect(await world.prompt('hello')).toMatchObject({ code: 0 });

    expect(await server.requests()).toMatchObject([{ path: CHAT, token: fingerprint(login.accessToken) }]);
    expect([await treeHash(named), await treeHash(inUserHome('.kimi-code'))]).toEqual(before);
    expect(await leaks(secretsOf(other), NOWHERE)).toEqual([]);
  });

  test('what is handed over is 0600 in 0700, whatever the umask', async () => {
    const login = await writeLogin(inUserHome('.kimi-code'));
    await world.config('');
    await world.serve({ logins: [login] });
    const umask = process.umask(0);
    try {
      expect(await world.prompt('hello')).toMatchObject({ code: 0 });
    } finally {
      process.umask(umask);
    }
    const [state = ''] = await world.stateDirs();
    const entries = await readdir(path.join(state, 'handoff'), { recursive: true, withFileTypes: true });
    const modes = new Set<string>();
    for (const entry of entries.filter((one) => !one.isSymbolicLink())) {
      const { mode } = await stat(path.join(entry.parentPath, entry.name));
      modes.add(`${entry.isDirectory() ? 'directory' : 'file'} ${(mode & 0o777).toString(8)}`);
    }
    expect([...modes].sort()).toEqual(['directory 700', 'file 600']);
  });

  test('a host without a login goes on, says so, and gives the exit code of Kimi', async () => {
    await world.config('');
    const server = await world.serve({});
    const { code, stderr } = await world.prompt('hello');
    expect(code).toBe(1);
    expect(stderr).toContain('kimi login');
    expect(await server.requests()).toEqual([]);
  });
});

describe('api_key', () => {
  const key = 'sk-canary/+=0123456789-canary';
  const config = [
    '[kimi]',
    'auth_forward = "api_key"',
    '',
    '[env]',
    'KIMI_API_KEY = "$KIMI_API_KEY"',
    `KIMI_BASE_URL = "${KIMI_BASE}"`,
    'KIMI_DISABLE_TELEMETRY = "1"',
    '',
  ].join('\n');

  test('reaches the agent and nothing else', async () => {
    const login = await writeLogin(inUserHome('.kimi-code'));
    await world.config(config);
    const server = await world.serve({ logins: [login], apiKeys: [key] });
    const stopWatching = watchCommandLines();

    const { code, stdout, stderr } = await world.prompt('with a key', { KIMI_API_KEY: key });

    const commandLines = await stopWatching();
    expect(stdout).toContain('fake kimi heard: with a key');
    expect(code).toBe(0);
    const requests = await server.requests();
    expect(requests).toMatchObject([{ path: CHAT, status: 200, token: fingerprint(key) }]);
    // The key is in no file at all, and the login of the host stayed there.
    expect(await leaks([key, ...secretsOf(login)], NOWHERE)).toEqual([]);
    expect(findSecrets(commandLines, [key], NOWHERE)).toEqual([]);
    expect(stdout + stderr).not.toContain(key);
  });

  test('without the key stops with 4 before anything is made, and says where it looked', async () => {
    await world.config(config);
    const { code, stdout, stderr } = await world.prompt('hello', { KIMI_API_KEY: undefined });
    expect(code).toBe(4);
    expect(stdout).toBe('');
    expect(stderr).toContain('KIMI_API_KEY');
    expect(stderr).toContain('config.toml');
    expect(await leftoversOf(world)).toEqual({ containers: [], networks: [], volumes: [], data: [] });
  });
});

test('ignore hands over nothing: no file, no request', async () => {
  const login = await writeLogin(inUserHome('.kimi-code'));
  await world.config('[kimi]\nauth_forward = "ignore"\n');
  const server = await world.serve({ logins: [login] });

  expect(await world.prompt('hello')).toMatchObject({ code: 1, stdout: '' });

  expect(await server.requests()).toEqual([]);
  expect(await leaks([...secretsOf(login), login.deviceId], NOWHERE)).toEqual([]);
});
