/**
 * One owner for a login: the real Kimi Code in containers of the real engine, the
 * real keeper on the host, and a Kimi server whose tokens live for twenty seconds.
 */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import type { RequestEntry } from '../fakes/kimi-server.mjs';
import { makeWorld } from './world.ts';
import type { World } from './world.ts';

const FULL = process.env.JACKIN_TEST_FULL === '1';
const SECONDS = FULL ? 300 : 25;
const TOKEN_LIFE = 20;
const CHAT = '/coding/v1/chat/completions';
const TOKEN = '/api/oauth/token';
const SOON = { timeout: 15_000, interval: 100 };
/**
 * A refresh token that is used twice is taken back from everybody. An access token is
 * good for as long as it says: with a server that ends it at a renewal, a request that
 * falls between that and the hand-out is lost whatever anybody does.
 */
const STRICT = { expiresIn: TOKEN_LIFE, rotation: 'revokes-family', oldTokenLives: true } as const;

interface Credential {
  access_token: string;
  refresh_token: string;
  expires_at: number;
}

interface Status {
  running: boolean;
  pid: number;
  logins: { account: string; state: string; holders: string[] }[];
}

const engine = connectEngine();

let world: World;
let server: Awaited<ReturnType<World['serve']>>;
let serverUrl: string;

beforeEach(async () => {
  world = await makeWorld('keeper');
  await world.config('');
});

afterEach(async () => {
  await world.jackin(['keeper', 'stop', '--force']);
  await world.remove();
});

/** The keeper is a process of the host: it finds the server where the engine's bridge has it. */
const serve = async (options: Parameters<World['serve']>[0]) => {
  server = await world.serve(options);
  const { NetworkSettings } = (await engine.get(`/containers/${server.id}/json`)) as { NetworkSettings: { Networks: Record<string, { IPAddress: string }> } };
  serverUrl = `http://${NetworkSettings.Networks[world.sandbox.network]?.IPAddress}:8080`;
};

const logIn = async () => {
  const env = { KIMI_CODE_OAUTH_HOST: serverUrl, KIMI_CODE_BASE_URL: `${serverUrl}/coding/v1` };
  expect(await world.jackin(['login', 'kimi', '--account', 'work', '--no-browser'], env)).toMatchObject({ code: 0 });
};

const loginDir = () => path.join(world.sandbox.dirs.home, 'logins/kimi/work');

const credentialIn = async (dir: string): Promise<Credential> => {
  const [name = ''] = (await readdir(path.join(dir, 'credentials'))).filter((file) => file.endsWith('.json'));
  return JSON.parse(await readFile(path.join(dir, 'credentials', name), 'utf8')) as Credential;
};

const homeOf = (container: string) => path.join(world.sandbox.dirs.home, 'data', container, 'home/.kimi-code');

/** What was printed tells more than the code. */
const expectSuccess = (code: number, stderr: string) => expect(code === 0 ? '' : stderr).toBe('');

/** Starts an instance that goes on; the name of its container. */
const start = async (...options: string[]): Promise<string> => {
  const before = await world.containers();
  const args = ['load', 'agent-smith', world.sandbox.dirs.project, '--agent', 'kimi', '--network', world.sandbox.network, '--detach', '--no-input', ...options];
  const { code, stderr } = await world.jackin(args);
  expectSuccess(code, stderr);
  return (await world.containers()).find((container) => !before.includes(container)) ?? '';
};

/** One answer of the real Kimi Code in a container that runs. */
const ask = (container: string, words: string) => world.jackin(['hardline', container, '--new', '--agent', 'kimi', '--prompt', words, '--no-input']);

const status = async (): Promise<Status> => {
  const { stdout } = await world.jackin(['keeper', 'status', '--format', 'json']);
  return (JSON.parse(stdout) as { data: Status }).data;
};

const refreshesIn = (requests: RequestEntry[]) => requests.filter(({ path: where, refresh }) => where === TOKEN && refresh !== undefined);

const expectNoTokenTwice = (requests: RequestEntry[]) => {
  const sent = refreshesIn(requests).map(({ refresh }) => refresh);
  expect(new Set(sent).size).toBe(sent.length);
  expect(refreshesIn(requests).filter(({ status: code }) => code !== 200)).toEqual([]);
};

/** Milliseconds from the server's answer until the token that a container holds now was in its home. */
const handedOverAfter = async (container: string): Promise<number> => {
  const dir = path.join(homeOf(container), 'credentials');
  const [name = ''] = await readdir(dir);
  const { mtimeMs } = await stat(path.join(dir, name));
  const renewals = refreshesIn(await server.requests()).map(({ time }) => Date.parse(time)).filter((time) => time <= mtimeMs);
  return mtimeMs - Math.max(...renewals);
};

/** Every file below a directory that holds the text. */
const filesWith = async (dir: string, text: string): Promise<string[]> => {
  const found: string[] = [];
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    // What the agent takes away meanwhile holds nothing any more.
    if (entry.isFile() && (await readFile(file, 'latin1').catch(() => '')).includes(text)) found.push(file);
  }
  return found;
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** What the kernel says of a process: resident kilobytes, and clock ticks that it ran. */
const usageOf = async (pid: number) => {
  const memory = await readFile(`/proc/${pid}/status`, 'utf8');
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return { rssKb: Number(/VmRSS:\s+(\d+)/.exec(memory)?.[1]), ticks: Number(fields[11]) + Number(fields[12]) };
};

test('three containers on one login: every prompt is answered, and only the host can renew it', async () => {
  await serve(STRICT);
  await logIn();
  const containers = [await start('--login', 'work'), await start('--login', 'work'), await start('--login', 'work')];
  expect(new Set(containers).size).toBe(3);
  expect((await status()).logins).toMatchObject([{ account: 'work', state: 'live', holders: [...containers].sort() }]);

  const until = Date.now() + SECONDS * 1000;
  let asked = 0;
  while (Date.now() < until) {
    const answers = await Promise.all(containers.map((container) => ask(container, `round ${asked}`)));
    for (const { code, stdout, stderr } of answers) {
      expectSuccess(code, stderr);
      expect(stdout).toContain(`fake kimi heard: round ${asked}`);
    }
    asked += 1;
  }

  const requests = await server.requests();
  expectNoTokenTwice(requests);
  expect(requests.filter(({ path: where, status: code }) => where === CHAT && code !== 200)).toEqual([]);
  expect(refreshesIn(requests).length).toBeGreaterThanOrEqual(Math.floor(SECONDS / TOKEN_LIFE) * 2 - 2);
  // The keeper may be about to write the next one.
  const { refresh_token: refreshToken } = await credentialIn(loginDir());
  expect(refreshToken).not.toBe('');
  expect(await filesWith(path.join(world.sandbox.dirs.home, 'data'), refreshToken)).toEqual([]);
  for (const container of containers) {
    expect(await credentialIn(homeOf(container))).toMatchObject({ refresh_token: '', expires_at: 0 });
    expect(await handedOverAfter(container)).toBeLessThan(1500);
  }

  const { pid } = await status();
  const before = await usageOf(pid);
  for (let period = 0; period < 3; period += 1) {
    await sleep(5000);
    expect((await usageOf(pid)).rssKb).toBeLessThan(60 * 1024);
  }
  // Of 1,500 ticks, renewals among them. Over a shorter time one renewal on a busy machine would decide.
  expect((await usageOf(pid)).ticks - before.ticks).toBeLessThan(75);

  expect(await world.jackin(['eject', '--all'])).toMatchObject({ code: 0 });
  await expect.poll(() => isAlive(pid), SOON).toBe(false);
  expect(await status()).toEqual({ running: false });
});

test('a session of several turns goes on while its token is replaced again and again', async () => {
  await serve(STRICT);
  await logIn();
  const container = await start('--login', 'work');
  const turns = FULL ? 6 : 2;
  const { code, stdout, stderr } = await ask(container, `tool-sleep 12 turns ${turns}`);
  expectSuccess(code, stderr);
  expect(stdout).toContain('fake kimi heard: tool-sleep');
  const chats = (await server.requests()).filter(({ path: where }) => where === CHAT);
  expect(chats.map(({ status: answer }) => answer)).toEqual(Array.from({ length: turns + 1 }, () => 200));
  expect(new Set(chats.map(({ token }) => token)).size).toBe(turns + 1);
});

test('copies of one login log each other out', async () => {
  await serve(STRICT);
  await logIn();
  await world.config(`[kimi]\nsync_source_dir = "${loginDir()}"\n`);
  const containers = [await start(), await start()];
  const codes: number[] = [];
  for (const round of [1, 2]) for (const container of containers) codes.push((await ask(container, `round ${round}`)).code);
  expect(codes).toContain(1);
  const refused = refreshesIn(await server.requests()).filter(({ status: code }) => code === 400);
  expect(refused.length).toBeGreaterThan(0);
});

test('a keeper that is killed is replaced while a session is attached, and what a container writes into its own file is healed', async () => {
  await serve(STRICT);
  await logIn();
  const container = await start('--login', 'work');
  const { pid: first } = await status();
  const long = ask(container, 'tool-sleep 12 turns 2');
  await expect.poll(async () => (await server.requests()).some(({ path: where }) => where === CHAT), SOON).toBe(true);
  process.kill(first, 'SIGKILL');
  const { code, stderr } = await long;
  expectSuccess(code, stderr);
  const { pid: second, running } = await status();
  expect(running).toBe(true);
  expect(second).not.toBe(first);
  expectNoTokenTwice(await server.requests());

  const before = await credentialIn(loginDir());
  const [name = ''] = await readdir(path.join(homeOf(container), 'credentials'));
  await writeFile(path.join(homeOf(container), 'credentials', name), 'garbage');
  await expect.poll(() => credentialIn(homeOf(container)).then(({ access_token }) => access_token, () => ''), SOON).not.toBe('');
  expect((await credentialIn(loginDir())).refresh_token).not.toBe('');
  expect(before.refresh_token).not.toBe('');
  expect(await ask(container, 'healed')).toMatchObject({ code: 0 });
  expect(await world.jackin(['eject', '--all'])).toMatchObject({ code: 0 });
  await expect.poll(() => isAlive(second), SOON).toBe(false);
});

test('a kimi on the login’s own directory takes part: both renew it, and no token is used twice', async () => {
  await serve(STRICT);
  await logIn();
  const container = await start('--login', 'work');
  const prewarmed = await world.jackin(['prewarm', 'agent-smith', '--agent', 'kimi', '--format', 'json']);
  const { data } = JSON.parse(prewarmed.stdout) as { data: { roles: { image: { tag: string }; agents: { kimi: { name: string } } }[]; volumes: { runtime: { name: string } } } };
  const [role] = data.roles;
  const [key = '', value] = world.sandbox.label.split('=');
  const peer = await engine.run(`${world.sandbox.id}-peer`, {
    Image: role!.image.tag,
    User: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    Entrypoint: ['sleep', '600'],
    Env: ['KIMI_CODE_HOME=/login', 'HOME=/tmp', 'KIMI_DISABLE_TELEMETRY=1', 'KIMI_CODE_NO_AUTO_UPDATE=1'],
    Labels: { [key]: value },
    HostConfig: {
      Binds: [`${loginDir()}:/login`, `${role!.agents.kimi.name}:/kimi:ro`, `${data.volumes.runtime.name}:/jackin/runtime:ro`],
      NetworkMode: world.sandbox.network,
    },
  });
  const main = '/kimi/node_modules/@moonshot-ai/kimi-code/dist/main.mjs';
  const until = Date.now() + (FULL ? 90_000 : 15_000);
  let rounds = 0;
  while (Date.now() < until) {
    const [own, leased] = await Promise.all([engine.exec(peer, ['/jackin/runtime/bin/node', main, '-p', `own ${rounds}`]), ask(container, `leased ${rounds}`)]);
    expect(own).toMatchObject({ code: 0, stdout: expect.stringContaining(`fake kimi heard: own ${rounds}`) as string });
    expect(leased).toMatchObject({ code: 0 });
    rounds += 1;
  }
  expectNoTokenTwice(await server.requests());
});
