import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { printToken } from '../../src/agents/kimi-token.ts';
import { readOwnLogin } from '../../src/auth/own-login.ts';
import type { Paths } from '../../src/config/paths.ts';
import { runKeeper } from '../../src/keeper/run-keeper.ts';
import { findSecrets } from '../e2e/find-secrets.ts';
import { type FakeCapsule, fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { writeKimiLogin } from '../fakes/kimi-login.mjs';
import { createKimiServer } from '../fakes/kimi-server.mjs';
import { contentOf } from '../fixtures/kimi/tree.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

/** Launches on a login of jackin's own: who gets what of it, and what happens when it cannot be had. */

const installation = useInstallation();

let sandbox: Sandbox;
let engine: FakeEngine;
let capsule: FakeCapsule;
let keepers: number;
const cleanUp: (() => Promise<unknown>)[] = [];

const UID = process.getuid!();

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  keepers = 0;
});

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** A keeper in this process, that sees the containers of the fake engine. */
const startKeeper = async (paths: Paths): Promise<void> => {
  const stop = new AbortController();
  keepers += 1;
  const ended = runKeeper({
    paths,
    env: {},
    uid: UID,
    untilIdle: true,
    log: () => undefined,
    signal: stop.signal,
    watchRunning: async (tell, signal) => {
      while (!signal.aborted) {
        tell(new Set(engine.containers().flatMap(({ info: { name, running } }) => (running ? [name] : []))));
        await sleep(50, undefined, { signal }).catch(() => undefined);
      }
    },
  });
  cleanUp.push(async () => (stop.abort(), ended));
};

const jackin = (argv: string[], more: { startKeeper?: (paths: Paths) => Promise<void> } = {}): Promise<Run> => {
  const { env, deps } = installation();
  return sandbox.run(argv, { ...(env && { env }), engine, deps: { ...deps, startKeeper, ...more } });
};

const load = (...argv: string[]): Promise<Run> => jackin(['load', 'agent-smith', '--agent', 'kimi', '--detach', ...argv]);

const freePort = async (): Promise<number> => {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as net.AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

const loginsDir = () => path.join(sandbox.jackinHome, 'logins');

/** A login of jackin's own, with `left` seconds of access, at a server that listens and knows it unless told otherwise. */
const logIn = async (account = 'work', left = 800, refresh?: string) => {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const dir = path.join(loginsDir(), 'kimi', account);
  await mkdir(path.dirname(dir), { recursive: true });
  const login = await writeKimiLogin(dir, { host: base, base: `${base}/coding/v1` });
  const server = createKimiServer({ logins: [login] });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  cleanUp.push(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
  const { slot, token } = await readOwnLogin(loginsDir(), account, UID);
  await writeFile(path.join(dir, `credentials/${slot}.json`), printToken({ ...token!, refreshToken: refresh ?? token!.refreshToken, expiresAt: Math.floor(Date.now() / 1000) + left }));
  return { ...login, slot };
};

const dataDir = () => path.join(sandbox.jackinHome, 'data');
const states = async (): Promise<string[]> => (await readdir(dataDir()).catch(() => [] as string[])).sort();

const expectNothingMade = async (): Promise<void> => {
  expect(engine.containers()).toEqual([]);
  expect(await states()).toEqual([]);
};

describe('a launch on a login of jackin’s own', () => {
  it('hands over access and nothing to renew it with, and says so', async () => {
    const { accessToken, refreshToken, slot } = await logIn();
    const { code, stdout, stderr } = await load('--login', 'kimi:work');
    expect(stderr).toContain('the keeper renews it, the container gets access only');
    expect(code).toBe(0);
    const [name = ''] = await states();
    const files = await contentOf(path.join(dataDir(), name));
    expect(JSON.parse(files[`handoff/gen-1/kimi-code/credentials/${slot}.json`] ?? '')).toMatchObject({ access_token: accessToken, refresh_token: '', expires_at: 0 });
    expect(JSON.parse(files['.jackin/lease.json'] ?? '')).toEqual({ agent: 'kimi', login: 'work' });
    expect(findSecrets(new Map(Object.entries(files)), [refreshToken], /^$/)).toEqual([]);
    expect(findSecrets(new Map(Object.entries(files)), [accessToken], /^handoff\//)).toEqual([]);
    for (const secret of [accessToken, refreshToken]) expect(stdout + stderr + JSON.stringify(engine.containers()) + JSON.stringify(capsule.launches)).not.toContain(secret);
    expect(capsule.launches[0]?.setup.agents.find(({ slug }) => slug === 'kimi')).toEqual({ slug: 'kimi', mode: 'sync', leased: true });
    expect(stderr).not.toContain('whichever refreshes second');
  });

  it('has a fresh token, renewed by the keeper', async () => {
    const { accessToken, slot } = await logIn('work', 20);
    expect((await load('--login', 'work')).code).toBe(0);
    const [name = ''] = await states();
    const lease = JSON.parse(await readFile(path.join(dataDir(), name, `handoff/current/kimi-code/credentials/${slot}.json`), 'utf8')) as { access_token: string };
    expect(lease.access_token).not.toBe(accessToken);
    expect(lease.access_token).toBe((await readOwnLogin(loginsDir(), 'work', UID)).token?.accessToken);
  });

  it('shares one keeper with every other, each with its own login', async () => {
    await logIn();
    await logIn('home');
    expect((await load('--login', 'work')).code).toBe(0);
    expect((await load('--login', 'home')).code).toBe(0);
    expect((await load('--login', 'work')).code).toBe(0);
    const { data } = JSON.parse((await jackin(['keeper', 'status', '--format', 'json'])).stdout) as { data: { logins: { account: string; holders: string[]; state: string }[] } };
    expect(data.logins.map(({ account, holders, state }) => [account, holders.length, state])).toEqual([['home', 1, 'live'], ['work', 2, 'live']]);
    expect(keepers).toBe(1);
    expect((await jackin(['keeper', 'stop'])).code).toBe(8);
    expect((await jackin(['eject', 'agent-smith', '--all'])).code).toBe(0);
    await expect.poll(async () => (await jackin(['keeper', 'status'])).stdout, { timeout: 8000 }).toContain('does not run');
  });

  it('is decided by the nearest layer, and goes back to a copy when that is decided', async () => {
    await logIn();
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\n[kimi]\nlogin = "work"\n');
    expect((await load()).code).toBe(0);
    const [name = ''] = await states();
    const id = name.split('-')[1]!;
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\n[kimi]\nauth_forward = "ignore"\n');
    expect((await jackin(['eject', id])).code).toBe(0);
    capsule.forget();
    const { env, deps } = installation();
    expect((await sandbox.run(['hardline', id, '--detach'], { ...(env && { env }), engine, deps: { ...deps, startKeeper } })).code).toBe(0);
    expect(JSON.parse(await readFile(path.join(dataDir(), name, '.jackin/lease.json'), 'utf8'))).toEqual({ agent: 'kimi', login: null });
    const files = await contentOf(path.join(dataDir(), name, 'handoff'));
    expect(Object.keys(files).filter((file) => file.startsWith('gen-2/kimi-code'))).toEqual([]);
  });
});

describe('a launch is refused, and leaves nothing,', () => {
  it('when there is no such login', async () => {
    const { code, stderr } = await load('--login', 'kimi:nobody');
    expect(code).toBe(7);
    expect(stderr).toContain('jackin login kimi --account nobody');
    await expectNothingMade();
  });

  it('when the server takes its login no more', async () => {
    await logIn('work', 20, 'fake-revoked');
    const { code, stderr } = await load('--login', 'work');
    expect(stderr).toMatch(/the login kimi:work has ended.*\n.*jackin login kimi --account work/i);
    expect(code).toBe(4);
    await expectNothingMade();
  });

  it('when the keeper does not start', { timeout: 30_000 }, async () => {
    await logIn();
    const { env, deps } = installation();
    const { code, stderr } = await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach', '--login', 'work'], { ...(env && { env }), engine, deps: { ...deps, startKeeper: () => Promise.reject(new Error('no more processes')) } });
    expect(code).not.toBe(0);
    expect(stderr).toContain('no more processes');
    await expectNothingMade();
  });

  it('unless it is another agent that is started', async () => {
    await logIn('work', 20, 'fake-revoked');
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\n[kimi]\nlogin = "work"\n');
    const { stderr } = await jackin(['load', 'agent-smith', '--agent', 'claude', '--detach']);
    expect(stderr).toContain('note       kimi: The login kimi:work has ended');
    // How far it comes is a matter of what the registry has; it is no matter of Kimi's login.
    expect(stderr).not.toMatch(/^error: .*kimi:work/m);
  });
});

describe('an instance that holds a login while no keeper runs', () => {
  it('gets one from the next command that looks at it', async () => {
    await logIn();
    expect((await load('--login', 'work')).code).toBe(0);
    await cleanUp.pop()?.();
    expect((await jackin(['keeper', 'status'])).stdout).toContain('does not run');
    const { code, stderr } = await jackin(['status']);
    expect(code).toBe(0);
    expect(stderr).toContain('instances hold a login and no keeper ran: it was started');
    await expect.poll(async () => (await jackin(['keeper', 'status'])).stdout).toContain('kimi:work');
    expect((await jackin(['status'])).stderr).toBe('');
  });
});
