/**
 * Every agent but Kimi, which has a file of its own: the real program from the npm
 * registry, in a container that the product built, against a fake server that
 * believes nothing. What the host has of a login must arrive there, and nowhere else.
 */
import { randomBytes } from 'node:crypto';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fingerprint } from '../fakes/kimi-server.mjs';
import { findSecrets } from './find-secrets.ts';
import { openTerminal } from './terminal.ts';
import { CREDENTIAL_PLACES, isInFilesystem, makeWorld, treeHash, watchCommandLines } from './world.ts';
import type { World } from './world.ts';

const NOWHERE = /^$/;
const SLOWLY = { timeout: 60_000, interval: 100 };

let world: World;

beforeEach(async () => {
  world = await makeWorld('agents');
  // As for most people: the container's user is not root, and owns nothing of the image.
  if (process.getuid?.() === 0) await chown(world.sandbox.dirs.project, 1234, 1234);
});

afterEach(async () => {
  await world.remove();
});

const secret = (name: string): string => `fake-${name}-${randomBytes(12).toString('hex')}`;

const jwt = (payload: object): string =>
  [{ alg: 'none' }, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.').concat('.', randomBytes(16).toString('base64url'));

interface Case {
  agent: 'claude' | 'codex' | 'amp' | 'opencode';
  /** Below the home of the operator. */
  file: string;
  /** A login with its secrets; the first is the one that the server must see. */
  login: () => { text: string; secrets: [string, ...string[]] };
  keyVariable: string;
  /** Leads the program to the fake server. */
  env: Record<string, string>;
  /** What its screen shows when it waits for the first words of a person. */
  ready: RegExp;
  /** The same, as arguments of the agent, by mode. */
  args?: Record<'sync' | 'api_key', string[]>;
}

const HOUR = 3_600_000;
const URL_OF = (agent: string): string => `http://${agent}.demo:8080`;

const CASES: Case[] = [
  {
    agent: 'claude',
    file: '.claude/.credentials.json',
    login: () => {
      const [accessToken, refreshToken] = [secret('access'), secret('refresh')];
      const claudeAiOauth = { accessToken, refreshToken, expiresAt: Date.now() + HOUR, scopes: ['user:inference', 'user:profile'], subscriptionType: 'max' };
      return { text: JSON.stringify({ claudeAiOauth }), secrets: [accessToken, refreshToken] };
    },
    ready: /bypass permissions on/,
    keyVariable: 'ANTHROPIC_API_KEY',
    env: { ANTHROPIC_BASE_URL: URL_OF('claude'), CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', CLAUDE_CODE_MAX_RETRIES: '1' },
  },
  {
    agent: 'codex',
    file: '.codex/auth.json',
    login: () => {
      const account = { 'https://api.openai.com/auth': { chatgpt_account_id: 'fake-account', chatgpt_plan_type: 'pro' } };
      const exp = Math.floor((Date.now() + HOUR) / 1000);
      const [access_token, refresh_token, id_token] = [jwt({ exp, ...account }), secret('refresh'), jwt({ exp, email: 'op@example.test', ...account })];
      const text = JSON.stringify({ OPENAI_API_KEY: null, tokens: { id_token, access_token, refresh_token, account_id: 'fake-account' }, last_refresh: new Date().toISOString() });
      return { text, secrets: [access_token, refresh_token] };
    },
    ready: /Ask Codex to do anything/,
    keyVariable: 'OPENAI_API_KEY',
    env: {},
    args: {
      sync: [
        '-c', 'analytics.enabled=false',
        '-c', 'model_provider="fake"',
        '-c', `model_providers.fake={name="Fake",base_url="${URL_OF('codex')}/backend-api/codex",wire_api="responses",requires_openai_auth=true}`,
        '-c', `chatgpt_base_url="${URL_OF('codex')}/backend-api"`,
      ],
      api_key: ['-c', 'analytics.enabled=false', '-c', `model_providers.jackin.base_url="${URL_OF('codex')}/v1"`],
    },
  },
  {
    agent: 'amp',
    file: '.local/share/amp/secrets.json',
    login: () => {
      const key = secret('key');
      return { text: JSON.stringify({ [`apiKey@${URL_OF('amp')}`]: key }), secrets: [key] };
    },
    ready: /╰─/,
    keyVariable: 'AMP_API_KEY',
    env: { AMP_URL: URL_OF('amp') },
  },
  {
    agent: 'opencode',
    file: '.local/share/opencode/auth.json',
    login: () => {
      const key = secret('key');
      return { text: JSON.stringify({ opencode: { type: 'api', key } }), secrets: [key] };
    },
    ready: /Ask anything/,
    keyVariable: 'OPENCODE_API_KEY',
    env: {
      OPENCODE_CONFIG_CONTENT: JSON.stringify({
        // A prompt goes to the one, a session in a terminal to the other.
        provider: Object.fromEntries(['opencode', 'opencode-go'].map((name) => [name, { options: { baseURL: `${URL_OF('opencode')}/zen/v1` } }])),
      }),
      OPENCODE_DISABLE_MODELS_FETCH: '1',
    },
  },
];

/** What an agent asks of its vendor besides goes to the fake server as well, which is no proxy and refuses. */
const nowhereElse = (agent: string): Record<string, string> => ({ HTTPS_PROXY: URL_OF(agent), NO_PROXY: `${agent}.demo` });

const configWith = (agent: string, env: Record<string, string>, more = ''): string =>
  `${more}\n[env]\n${Object.entries({ ...env, ...nowhereElse(agent) }).map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join('\n')}\n`;

const prompt = (agent: string, words: string, args: string[] = [], env?: Record<string, string>) =>
  world.jackin(
    ['load', 'agent-smith', world.sandbox.dirs.project, '--agent', agent, '--network', world.sandbox.network, '--prompt', words, '--no-input', '--', ...args],
    env,
  );

/** What a launch left anywhere but in the credential places of its state. */
const leaks = async (secrets: string[], exempt: RegExp) => {
  const [container = ''] = await world.containers();
  expect(container).not.toBe('');
  expect(await isInFilesystem(container, secrets)).toBe(false);
  return findSecrets(await world.traces(), secrets, exempt);
};

describe.each(CASES)('$agent', ({ agent, file, login, ready, keyVariable, env, args }) => {
  test('takes the login of the host to the server, and leaves no trace of it', async () => {
    const { text, secrets } = login();
    const place = path.join(world.sandbox.dirs.userHome, file);
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    await writeFile(place, text, { mode: 0o600 });
    await world.config(configWith(agent, env));
    const server = await world.serveAgent(agent, { apiKeys: [secrets[0]] });
    const before = await treeHash(path.dirname(place));
    const stopWatching = watchCommandLines();

    const { code, stdout, stderr } = await prompt(agent, '-one two', args?.sync);

    const commandLines = await stopWatching();
    expect(stdout + stderr).toContain(`fake ${agent} heard: `);
    expect(stdout).toContain('-one two');
    expect(code).toBe(0);
    const requests = await server.requests();
    expect(requests.filter(({ token }) => token !== undefined).map(({ token }) => token)).toContain(fingerprint(secrets[0]));
    expect(requests.filter(({ token }) => token !== undefined && token !== fingerprint(secrets[0]))).toEqual([]);
    expect(await treeHash(path.dirname(place))).toBe(before);
    expect(await leaks(secrets, CREDENTIAL_PLACES)).toEqual([]);
    expect((await leaks(secrets, NOWHERE)).length).toBeGreaterThan(0);
    expect(findSecrets(commandLines, secrets, NOWHERE)).toEqual([]);
    for (const one of secrets) expect(stdout + stderr).not.toContain(one);
  });

  test('works with a key alone, which is in no file', async () => {
    const key = secret('key');
    await world.config(configWith(agent, { ...env, [keyVariable]: `$${keyVariable}` }, `[${agent}]\nauth_forward = "api_key"`));
    const server = await world.serveAgent(agent, { apiKeys: [key] });
    const stopWatching = watchCommandLines();

    const { code, stdout, stderr } = await prompt(agent, 'with a key', args?.api_key, { [keyVariable]: key });

    const commandLines = await stopWatching();
    expect(stdout + stderr).toContain(`fake ${agent} heard: `);
    expect(code).toBe(0);
    expect((await server.requests()).map(({ token }) => token)).toContain(fingerprint(key));
    expect(await leaks([key], NOWHERE)).toEqual([]);
    expect(findSecrets(commandLines, [key], NOWHERE)).toEqual([]);
    expect(stdout + stderr).not.toContain(key);
  });

  // Claude alone refuses to; the others are asked in the long run.
  test.runIf(process.getuid?.() === 0 && (agent === 'claude' || process.env.JACKIN_TEST_FULL === '1'))('runs as root too, where operator and workdir are root: it is told that it is in a sandbox', async () => {
    await chown(world.sandbox.dirs.project, 0, 0);
    const key = secret('key');
    await world.config(configWith(agent, { ...env, [keyVariable]: `$${keyVariable}` }, `[${agent}]\nauth_forward = "api_key"`));
    await world.serveAgent(agent, { apiKeys: [key] });
    const { code, stdout, stderr } = await prompt(agent, 'as root', args?.api_key, { [keyVariable]: key });
    expect(stderr).toContain('user       0:0: operator and workdir belong to root: uid 0 without any capability');
    expect(stdout + stderr).toContain(`fake ${agent} heard: `);
    expect(code).toBe(0);
  });

  test('asks nothing at its first start in a repository, and answers a person', async () => {
    const key = secret('key');
    await world.config(configWith(agent, { ...env, [keyVariable]: `$${keyVariable}` }, `[${agent}]\nauth_forward = "api_key"`));
    await world.serveAgent(agent, { apiKeys: [key] });
    const { cli, dirs, env: host, network } = world.sandbox;
    await execa('git', ['init', '--quiet', dirs.project]);
    const argv = ['load', 'agent-smith', dirs.project, '--agent', agent, '--network', network, '--', ...(args?.api_key ?? [])];
    const terminal = openTerminal(process.execPath, [cli, ...argv], { cwd: dirs.project, env: { ...host, [keyVariable]: key } });
    try {
      await expect.poll(() => terminal.screen(), SLOWLY).toMatch(ready);
      // Some take what comes at once for a paste, others are not listening yet.
      await setTimeout(1500);
      terminal.type('can you see me');
      await expect.poll(() => terminal.screen(), SLOWLY).toContain('can you see me');
      await setTimeout(500);
      terminal.type('\r');
      await expect.poll(() => terminal.screen(), SLOWLY).toContain(`fake ${agent} heard: `);
      expect(await leaks([key], NOWHERE)).toEqual([]);
    } finally {
      terminal.close();
    }
  });
});

const claude = CASES[0]!;

test('Claude works with the long-lived token of mode oauth_token', async () => {
  const token = secret('token');
  const name = 'CLAUDE_CODE_OAUTH_TOKEN';
  await world.config(configWith('claude', { ...claude.env, [name]: `$${name}` }, '[claude]\nauth_forward = "oauth_token"'));
  const server = await world.serveAgent('claude', { apiKeys: [token] });
  const { code, stdout } = await prompt('claude', 'with a token', [], { [name]: token });
  expect(stdout).toContain('fake claude heard: with a token');
  expect(code).toBe(0);
  expect(await server.requests()).toContainEqual(expect.objectContaining({ token: fingerprint(token), header: 'authorization' }));
  expect(await leaks([token], NOWHERE)).toEqual([]);
});

test('a role that keeps the agents elsewhere has them logged in there, and the login is in the durable place alone', async () => {
  const role = path.join(world.sandbox.dirs.temp, 'elsewhere');
  await mkdir(role);
  await writeFile(path.join(role, 'jackin.role.toml'), 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["claude", "amp"]\n[claude]\n[amp]\n');
  await writeFile(path.join(role, 'Dockerfile'), 'FROM projectjackin/construct:trixie\nENV CLAUDE_CONFIG_DIR=/opt/claude XDG_DATA_HOME=/opt/data\n');
  for (const { agent, file, login, env } of CASES.filter((one) => one.agent === 'claude' || one.agent === 'amp')) {
    const { text, secrets } = login();
    const place = path.join(world.sandbox.dirs.userHome, file);
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 });
    await writeFile(place, text, { mode: 0o600 });
    await world.config(configWith(agent, env));
    const server = await world.serveAgent(agent, { apiKeys: [secrets[0]] });
    const { project } = world.sandbox.dirs;
    const { code, stdout } = await world.jackin(['load', role, project, '--agent', agent, '--network', world.sandbox.network, '--prompt', 'hello', '--no-input']);
    expect(stdout).toContain(`fake ${agent} heard: `);
    expect(code).toBe(0);
    expect((await server.requests()).map(({ token }) => token)).toContain(fingerprint(secrets[0]));
    expect(await leaks(secrets, CREDENTIAL_PLACES)).toEqual([]);
    expect(await world.jackin(['eject', '--all', '--purge'])).toMatchObject({ code: 0 });
  }
});
