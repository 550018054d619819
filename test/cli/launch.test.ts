import { randomBytes } from 'node:crypto';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/docker/engine.ts';
import { findSecrets, formsOf } from '../e2e/find-secrets.ts';
import { type FakeCapsule, fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { faultyEngine } from '../fakes/faulty-engine.ts';
import { kimiCodeFiles, credential, tombstone, writeFiles } from '../fixtures/kimi/login.ts';
import { contentOf, fingerprintOf, modesOf } from '../fixtures/kimi/tree.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();

/** In the login, in a variable of the configuration, in one of the host, and in the key. */
const SECRETS = {
  login: 'refresh-canary-lL8fVq',
  literal: 'literal canary "pQ7/kZ+',
  host: 'host-canary-Zr4xWn',
  key: 'sk-canary-Uj6tBd',
};
const ALL = Object.values(SECRETS);

const CONFIG = `version = "v1alpha6"
[env]
LITERAL = ${JSON.stringify(SECRETS.literal)}
FROM_HOST = "$HOST_SECRET"
`;
const KEY_CONFIG = `${CONFIG}KIMI_API_KEY = "$KIMI_KEY"\n`;

let sandbox: Sandbox;
let engine: FakeEngine;
let capsule: FakeCapsule;
/** Everything that the engine was told, by the name of the call. */
let told: Map<string, string>;

const listening = (inner: FakeEngine): Engine => {
  const members = Object.entries(inner).map(([name, member]) => {
    if (typeof member !== 'function') return [name, member];
    const call = member as (...args: unknown[]) => unknown;
    return [
      name,
      (...args: unknown[]) => {
        told.set(`${told.size} ${name}`, args.map((arg) => JSON.stringify(arg) ?? '').join(' '));
        return call(...args);
      },
    ];
  });
  return Object.fromEntries(members) as Engine;
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
  told = new Map();
  await writeFiles(path.join(sandbox.home, '.kimi-code'), kimiCodeFiles(credential({ expiresAt: 1_795_270_000, refresh: SECRETS.login })));
});
afterEach(() => {
  process.umask(0o022);
});

const load = async (config: string, options: RunOptions = {}): Promise<Run> => {
  await sandbox.write('config/config.toml', config);
  const { env, deps } = installation({ HOST_SECRET: SECRETS.host, KIMI_KEY: SECRETS.key });
  return sandbox.run(['load', 'agent-smith', '--prompt', 'hi'], { env, engine: listening(engine), ...options, deps: { ...deps, ...options.deps } });
};

const dataDir = () => path.join(sandbox.jackinHome, 'data');
const stateDir = async () => path.join(dataDir(), (await readdir(dataDir()))[0] ?? 'none');

/** Everything that jackin wrote on this machine. */
const written = async (): Promise<Map<string, string>> => new Map(Object.entries(await contentOf(sandbox.jackinHome)));

const HANDED_OVER = /\/handoff\/gen-1\/kimi-code\//;

describe.each([
  ['sync', CONFIG],
  ['api_key', `${KEY_CONFIG}[kimi]\nauth_forward = "api_key"\n`],
  ['ignore', `${KEY_CONFIG}[kimi]\nauth_forward = "ignore"\n`],
])('a launch in mode %s', (mode, config) => {
  it('tells the engine no secret, and neither prints nor keeps one where it does not belong', async () => {
    const { code, stdout, stderr } = await load(config);
    expect(code).toBe(0);
    const image = new Map(engine.dockerfiles.map((text, index) => [`Dockerfile ${index}`, text]));
    const traces = new Map([...told, ...image, ...(await written()), ['stdout', stdout], ['stderr', stderr]]);
    expect([...told.keys()].map((name) => name.split(' ')[1])).toEqual(expect.arrayContaining(['createContainer', 'createNetwork', 'exec']));
    expect(findSecrets(traces, ALL, HANDED_OVER)).toEqual([]);
  });

  it('sends the capsule the operator’s variables, and the key only where the mode uses it', async () => {
    await load(config);
    const [launch] = capsule.launches;
    expect(launch?.session.env).toMatchObject({ LITERAL: SECRETS.literal, FROM_HOST: SECRETS.host });
    expect(launch?.session.keys['kimi']).toEqual(mode === 'api_key' ? { KIMI_API_KEY: SECRETS.key } : {});
    const { keys: _keys, ...rest } = launch!.session;
    expect(JSON.stringify([rest, launch!.setup])).not.toContain(SECRETS.key);
    expect(formsOf(SECRETS.literal).some((form) => launch!.session.argv.join(' ').includes(form))).toBe(false);
  });

  it('runs what its keys pass through where no session can look into it: on a Node that cannot be read, or made to open its debugger', async () => {
    await load(config);
    const calls = [...told].flatMap(([name, said]) => (/ (createContainer|exec)$/.test(name) && said.includes('/jackin/runtime/capsule/') ? [said] : []));
    expect(calls).toHaveLength(2);
    for (const said of calls) expect(said).toContain('"/jackin/runtime/bin/node","--disable-sigusr1"');
    const [runtime] = await engine.listVolumes({ 'jackin.kind': 'runtime' });
    expect(engine.volumeFiles(runtime!.name).get('bin/node')?.mode).toBe(0o111);
  });

  it('hands over the files of the login only when the mode is sync', async () => {
    await load(config);
    const handedOver = Object.keys(await contentOf(path.join(await stateDir(), 'handoff', 'current', '.')));
    expect(handedOver).toEqual(mode === 'sync' ? Object.keys(kimiCodeFiles()).map((file) => `kimi-code/${file}`) : []);
    const { mounts } = engine.containers()[0]!.spec;
    expect(mounts.filter(({ source }) => source.startsWith(sandbox.home))).toEqual([]);
  });

  it('changes nothing about the login on the host', async () => {
    const before = await fingerprintOf(sandbox.home);
    await load(config);
    expect((await sandbox.run(['eject', '--all', '--purge'], { engine })).code).toBe(0);
    expect(await fingerprintOf(sandbox.home)).toEqual(before);
  });
});

describe('what a launch writes', () => {
  it.each([0o000, 0o022, 0o077])('is for its owner alone under umask %o, but for the names of users', async (umask) => {
    process.umask(umask);
    expect((await load(CONFIG)).code).toBe(0);
    const state = await stateDir();
    for (const part of ['handoff', 'state', 'home']) {
      const { files, directories } = await modesOf(path.join(state, part));
      expect([...files, ...directories].filter((found) => found !== '600' && found !== '700')).toEqual([]);
    }
    const { directories } = await modesOf(sandbox.jackinHome);
    expect(directories).toEqual(new Set(['700']));
  });

  it('holds no login that is dead', async () => {
    await writeFiles(path.join(sandbox.home, '.kimi-code'), kimiCodeFiles(tombstone({ expires_at: 1_895_270_000 })));
    const { code, stderr } = await load(CONFIG);
    expect(code).toBe(0);
    expect(stderr).toContain('holds no access token');
    expect(await contentOf(path.join(await stateDir(), 'handoff', 'current', '.'))).toEqual({});
  });
});

/** The same id for the first ones who draw. */
const drawing = (same: number): RunOptions => {
  const drawn = Array.from({ length: same }, () => new Uint8Array(8));
  return { deps: { randomBytes: (count) => (count === 8 ? drawn.shift() : undefined) ?? randomBytes(count) } };
};

describe('two launches', () => {
  /** What is to be said of instances, each with its container and state of the same name. */
  const instances = async () => {
    const names = engine.containers().map(({ info }) => info.name).sort();
    const state = (await readdir(dataDir())).sort();
    return { count: new Set(names).size, complete: names.join() === state.join(), journal: await readdir(path.join(sandbox.jackinHome, 'journal')) };
  };

  it('at once that draw the same id get instances of their own', async () => {
    const options = drawing(2);
    const runs = await Promise.all([load(CONFIG, options), load(CONFIG, options)]);
    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    expect(await instances()).toEqual({ count: 2, complete: true, journal: [] });
  });

  it('one after the other that draw the same id get instances of their own', async () => {
    const options = drawing(2);
    expect([(await load(CONFIG, options)).code, (await load(CONFIG, options)).code]).toEqual([0, 0]);
    expect(await instances()).toEqual({ count: 2, complete: true, journal: [] });
  });

  it('of which one fails: the other is left alone', async () => {
    expect((await load(CONFIG)).code).toBe(0);
    const before = [engine.containers().map(({ info }) => info.name), await engine.listNetworks({}), await readdir(dataDir())];
    const { engine: broken } = faultyEngine(engine, 7, 'fails');
    expect((await load(CONFIG, { engine: broken })).code).not.toBe(0);
    expect([engine.containers().map(({ info }) => info.name), await engine.listNetworks({}), await readdir(dataDir())]).toEqual(before);
  });
});

describe('a mount through a link', () => {
  const plan = (link: string, ...flags: string[]) => sandbox.run(['load', 'agent-smith', '--dry-run', '--format', 'json', '--mount', `${link}:/x`, ...flags]);
  const linked = async (target: string): Promise<string> => {
    const link = path.join(sandbox.root, 'link');
    await symlink(target, link);
    return link;
  };

  it('to the operator’s logins needs consent', async () => {
    const link = await linked(path.join(sandbox.home, '.kimi-code'));
    const { stdout } = await plan(link);
    expect(JSON.parse(stdout)).toMatchObject({ data: { consents: [{ path: link, given: false }] } });
  });

  it('to jackin’s own state, and to the whole file system, is refused', async () => {
    await mkdir(path.join(sandbox.jackinHome, 'data'), { recursive: true });
    expect((await plan(await linked(dataDir()))).code).toBe(2);
    expect((await plan('/proc/self/root')).code).toBe(2);
  });
});

describe('a network', () => {
  it.each(['-x', '--privileged', 'a b', 'a/b', '', 'a'.repeat(129), 'a\n'])('cannot be called %j', async (name) => {
    expect((await sandbox.run(['load', 'agent-smith', '--dry-run', `--network=${name}`])).code).toBe(2);
  });
});
