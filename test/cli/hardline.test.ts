import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { JackinError } from '../../src/shared/errors.ts';
import { fakeCapsule, type FakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { credential, kimiCodeFiles, writeFiles } from '../fixtures/kimi/login.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const FRESH = 1_795_270_000;

let sandbox: Sandbox;
let capsule: FakeCapsule;
let engine: FakeEngine;

const run = (argv: string[], options: RunOptions = {}): Promise<Run> => {
  const { env, deps } = installation({ HOST_KEY: 'fake-value-of-the-host' });
  return sandbox.run(argv, { engine, env: { ...env, ...options.env }, ...options, deps: { ...deps, ...options.deps } });
};

const login = (refresh: string) => writeFiles(path.join(sandbox.home, '.kimi-code'), kimiCodeFiles(credential({ expiresAt: FRESH, refresh })));
const dataDir = () => path.join(sandbox.jackinHome, 'data');
const container = () => engine.containers().map(({ info }) => info).find((info) => info.labels['jackin.kind'] === 'role');
const handedOver = async (): Promise<string> => {
  const [name = ''] = await readdir(dataDir());
  const directory = path.join(dataDir(), name, 'handoff', 'current', 'kimi-code', 'credentials');
  const files = await readdir(directory);
  return (await Promise.all(files.map((file) => readFile(path.join(directory, file), 'utf8')))).join('\n');
};

/** A detached load; its result is the instance's id. */
const start = async (...more: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(['load', 'agent-smith', '--agent', 'kimi', '--detach', ...more]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trim();
};

/** What a reboot does: the container stands, its capsule knows nothing. */
const stop = (code: number) => {
  engine.exit(container()!.name, code);
  capsule.forget();
};

/** An engine that fails at one kind of call. */
const without = (call: string): FakeEngine => ({ ...engine, [call]: () => Promise.reject(new JackinError('engine.unreachable', `${call}: made to fail`)) });

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  await login('fake-refresh-one');
  await sandbox.write('config/config.toml', 'version = "v1alpha6"\n[env]\nFROM_HOST = "$HOST_KEY"\n');
});

describe('hardline', () => {
  it('attaches to what runs and ends with its code', async () => {
    const id = await start();
    const { code, stdout, stderr } = await run(['hardline', id], { tty: true });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('hello') as string });
    expect(stderr).toContain(`jackin hardline ${id}`);
    expect([capsule.launches.length, capsule.spawns.length]).toEqual([1, 0]);
  });

  it.each([
    ['stopped', 0, 'it had ended with code 0'],
    ['crashed', 139, 'it had ended with code 139'],
  ])('starts again what has %s: keys, environment and login are sent anew', async (_, code, says) => {
    const id = await start('--', '--auto');
    const name = container()!.name;
    stop(code);
    await login('fake-refresh-two');
    const again = await run(['hardline', id, '--detach'], { env: { HOST_KEY: 'fake-newer-value' } });
    expect(again).toMatchObject({ code: 0, stdout: `${id}\n` });
    expect(again.stderr).toContain(says);
    expect(container()).toMatchObject({ name, running: true });
    const [first, second] = capsule.launches;
    expect(second?.session.env['FROM_HOST']).toBe('fake-newer-value');
    // As it was asked for at the beginning.
    expect(second?.session.argv).toEqual(first?.session.argv);
    expect(await handedOver()).toContain('fake-refresh-two');
  });

  it('starts the agent again in a container that was started without jackin', async () => {
    const id = await start();
    capsule.forget();
    expect(await run(['hardline', id, '--detach'])).toMatchObject({ code: 0, stderr: expect.stringContaining('started without jackin') as string });
    expect(capsule.launches.length).toBe(2);
    expect((await run(['hardline', id, '--shell', '--detach'])).code).toBe(0);
  });

  it('makes anew what was ejected, with the same id and the same state', async () => {
    const id = await start();
    const name = container()!.name;
    await writeFile(path.join(dataDir(), name, 'home', '.kimi-code', 'note'), 'kept');
    const created = JSON.parse(await readFile(path.join(dataDir(), name, '.jackin', 'instance.json'), 'utf8')) as { created_at: string };
    expect((await run(['eject', id])).code).toBe(0);
    capsule.forget();
    const later = () => new Date('2026-11-22T12:00:00Z');
    expect(await run(['hardline', id, '--detach'], { deps: { now: later } })).toMatchObject({ code: 0, stdout: `${id}\n` });
    expect(container()).toMatchObject({ name, running: true });
    expect(await readFile(path.join(dataDir(), name, 'home', '.kimi-code', 'note'), 'utf8')).toBe('kept');
    const record = JSON.parse(await readFile(path.join(dataDir(), name, '.jackin', 'instance.json'), 'utf8')) as object;
    expect(record).toMatchObject({ created_at: created.created_at, updated_at: '2026-11-22T12:00:00.000Z', status: 'running' });
    expect(await readdir(path.join(sandbox.jackinHome, 'journal'))).toEqual([]);
  });

  it.each(['startContainer', 'createNetwork', 'exec'])('keeps the state when that fails because of %s, and can be tried again', async (call) => {
    const id = await start();
    const name = container()!.name;
    await writeFile(path.join(dataDir(), name, 'home', '.kimi-code', 'note'), 'kept');
    await run(['eject', id]);
    capsule.forget();
    expect((await run(['hardline', id, '--detach'], { engine: without(call) })).code).toBe(5);
    expect(container()).toBeUndefined();
    expect(await readFile(path.join(dataDir(), name, 'home', '.kimi-code', 'note'), 'utf8')).toBe('kept');
    expect((await run(['hardline', id, '--detach'])).code).toBe(0);
  });

  it('stops a container again whose session does not start', async () => {
    const id = await start();
    stop(0);
    let calls = 0;
    const exec: FakeEngine['exec'] = async (...call) => ((calls += 1) === 1 ? without('exec').exec(...call) : engine.exec(...call));
    expect((await run(['hardline', id, '--detach'], { engine: { ...engine, exec } })).code).toBe(5);
    expect(container()?.running).toBe(false);
  });

  it('never stops one in which somebody else has started the agent meanwhile', async () => {
    const id = await start();
    stop(0);
    let calls = 0;
    const exec: FakeEngine['exec'] = async (...call) => {
      calls += 1;
      if (calls > 1) return engine.exec(...call);
      expect((await run(['hardline', id, '--detach'])).code).toBe(0);
      return without('exec').exec(...call);
    };
    expect((await run(['hardline', id, '--detach'], { engine: { ...engine, exec } })).code).toBe(5);
    expect(container()?.running).toBe(true);
  });

  it('says so when there is no state, and starts nothing', async () => {
    const id = await start();
    const { name } = container()!;
    await rm(path.join(dataDir(), name), { recursive: true });
    expect((await run(['hardline', id], { tty: true })).code).toBe(0);
    stop(1);
    const { code, stderr } = await run(['hardline', id, '--detach']);
    expect({ code, running: container()?.running }).toEqual({ code: 8, running: false });
    expect(stderr).toContain(`jackin eject ${id}`);
    expect((await run(['hardline', 'no-such-thing', '--detach'])).code).toBe(7);
    expect((await run(['hardline', '--detach'])).code).toBe(7);
  });

  it('is what a load points to when something was ejected here', async () => {
    const id = await start();
    await run(['eject', id]);
    capsule.forget();
    const says = async () => (await run(['load', 'agent-smith', '--agent', 'kimi', '--detach'])).stderr;
    expect(await says()).toContain(`jackin hardline ${id}`);
    await run(['hardline', id, '--detach']);
    expect(await says()).not.toContain('ejected here');
  });

  it('takes the one that runs where a role has several', async () => {
    const first = await start();
    await run(['eject', first]);
    const second = await start();
    expect(await run(['hardline', 'agent-smith', '--detach'])).toMatchObject({ code: 0, stdout: `${second}\n` });
  });
});

describe('another session', () => {
  it('of an agent is set up alone, with what the host has now; the login for GitHub stays', async () => {
    const id = await start();
    await login('fake-refresh-two');
    const { code, stderr } = await run(['hardline', id, '--new', '--agent', 'kimi', '--detach', '--', '--plan'], { env: { HOST_KEY: 'fake-newer-value' } });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [spawned] = capsule.spawns;
    expect(spawned?.fresh?.setup.agents.map(({ slug }) => slug)).toEqual(['kimi']);
    expect(spawned?.fresh?.env['FROM_HOST']).toBe('fake-newer-value');
    expect(spawned?.session).toMatchObject({ agent: 'kimi', io: 'pty', argv: expect.arrayContaining(['--plan']) as string[] });
    expect(await handedOver()).toContain('fake-refresh-two');
  });

  it('of an agent that the role does not have is refused', async () => {
    const role = path.join(sandbox.root, 'my-role');
    await sandbox.write('my-role/jackin.role.toml', 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n');
    await sandbox.write('my-role/Dockerfile', 'FROM projectjackin/construct:trixie\n');
    const { stdout } = await run(['load', role, '--detach']);
    const { code, stderr } = await run(['hardline', stdout.trim(), '--new', '--agent', 'claude', '--detach']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('its agents: kimi') as string });
    expect(capsule.spawns).toEqual([]);
  });

  it('is a shell, which gets nothing anew; without a terminal it runs on pipes', async () => {
    const id = await start();
    expect(await run(['hardline', id, '--shell', '--', 'make', 'test'])).toMatchObject({ code: 0, stdout: 'hello\n' });
    expect(capsule.spawns).toEqual([{ session: expect.objectContaining({ agent: 'shell', argv: ['make', 'test'], io: 'pipe' }) as object, detached: false }]);
  });

  it('is ended by its name; a wrong name lists those that there are', async () => {
    const id = await start();
    expect(await run(['hardline', id, '--end', 'kimi-2'])).toMatchObject({ code: 7, stderr: expect.stringContaining('kimi-1') as string });
    expect(await run(['hardline', id, '--end', 'kimi-1'])).toMatchObject({ code: 0, stderr: expect.stringContaining('ended kimi-1') as string });
  });
});

describe('what does not fit together', () => {
  it.each([
    [['--new', '--shell']],
    [['--session', 'kimi-1', '--new']],
    [['--agent', 'kimi']],
    [['--prompt', 'x']],
    [['--new', '--prompt', '']],
    [['--new', '--prompt', 'x', '--detach']],
    [['--', 'make']],
    [['--new']],
    [[]],
  ])('%j is refused before the engine is asked', async (flags) => {
    expect((await run(['hardline', ...flags], { deps: { connectEngine: () => Promise.reject(new Error('asked')) } })).code).toBe(2);
  });
});

describe('--inspect', () => {
  it('tells the sessions of an instance, and works in every state', async () => {
    const id = await start();
    const data = async () => (JSON.parse((await run(['hardline', id, '--inspect', '--format', 'json'])).stdout) as { data: object }).data;
    expect(await data()).toMatchObject({ state: 'running', agents_inside: { kimi: '2.1.0' }, sessions: [{ name: 'kimi-1', state: 'running' }] });
    stop(137);
    expect(await data()).toMatchObject({ state: 'exited', exit_code: 137, sessions: [] });
    await run(['eject', id]);
    expect(await data()).toMatchObject({ state: 'ejected', sessions: [] });
    expect((await run(['hardline', id, '--inspect'])).stdout).toMatch(/state +ejected/);
  });
});
