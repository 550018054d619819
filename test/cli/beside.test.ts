/** Commands beside others that purge, eject and launch at the same moment. */
import { constants } from 'node:fs';
import { access, chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { removeTree } from '../../src/instances/remove-tree.ts';
import { JackinError } from '../../src/shared/errors.ts';
import { currentOwner } from '../../src/shared/owner.ts';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { useInstallation } from './installation.ts';
import { addInstance, HOME_ID } from './instances.ts';
import { makeSandbox, type Sandbox } from './run.ts';

/** Called before each look at a file and after each that was read, so that another jackin can do something in that moment. */
const moments = vi.hoisted(() => ({
  beforeLook: (_file: string): Promise<unknown> => Promise.resolve(),
  afterRead: (_file: string): Promise<unknown> => Promise.resolve(),
}));

vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:fs/promises')>();
  return {
    ...actual,
    lstat: async (file: string) => {
      await moments.beforeLook(file);
      return actual.lstat(file);
    },
    open: async (...args: Parameters<typeof actual.open>) => {
      const handle = await actual.open(...args);
      const close = handle.close.bind(handle);
      const isRead = args[1] === undefined || args[1] === 'r' || (typeof args[1] === 'number' && (args[1] & (constants.O_WRONLY | constants.O_RDWR)) === 0);
      handle.close = async () => {
        await close();
        if (isRead) await moments.afterRead(args[0] as string);
      };
      return handle;
    },
    readFile: async (...args: Parameters<typeof actual.readFile>) => {
      const content = await actual.readFile(...args);
      await moments.afterRead(args[0] as string);
      return content;
    },
  };
});

const installation = useInstallation();
let engine: FakeEngine;
let sandbox: Sandbox;

beforeEach(async () => {
  moments.beforeLook = () => Promise.resolve();
  moments.afterRead = () => Promise.resolve();
  engine = fakeEngine({ images: ['image'] });
  sandbox = await makeSandbox();
  await sandbox.write('jackin/home-id', `${HOME_ID}\n`);
});

const stateDir = (name: string): string => path.join(sandbox.jackinHome, 'data', name);
const states = async (): Promise<string[]> => (await readdir(path.join(sandbox.jackinHome, 'data'))).sort();
const add = (id: string, more: { container?: boolean; running?: boolean; role?: string } = {}): Promise<string> => addInstance(engine, sandbox, { id, ...more });

/** The journal of a launch that this process, which lives, makes. */
const beginLaunch = (name: string, more: object = {}): Promise<string> =>
  sandbox.write(
    `jackin/journal/${name}.json`,
    JSON.stringify({ version: 1, owner: currentOwner(), at: 'now', instance_id: name.split('-')[1], container: name, network: `${name}-net`, ...more }),
  );

describe('a state that is purged while it is looked at', () => {
  const vanishing = async (): Promise<void> => {
    const gone = await add('1aaaaaaa', { container: false });
    await add('2aaaaaaa', { container: false });
    moments.beforeLook = async (file) => {
      if (file.startsWith(stateDir(gone))) await rm(stateDir(gone), { recursive: true, force: true });
    };
  };

  it.each([['status'], ['auth status'], ['purge --all'], ['eject --all --purge'], ['verify']])('does not fail `%s`', async (command) => {
    await vanishing();
    const { code, stderr } = await sandbox.run(command.split(' '), { engine });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('hides no other one', async () => {
    await vanishing();
    const { stdout } = await sandbox.run(['status'], { engine });
    expect(stdout).toContain('2aaaaaaa');
    expect(stdout).not.toContain('1aaaaaaa');
  });
});

it('a login that is removed while they are listed hides no other one', async () => {
  const name = await add('1aaaaaaa', { container: false });
  for (const account of ['home', 'work']) await sandbox.write(`jackin/logins/kimi/${account}/config.toml`, '');
  await sandbox.write(`jackin/data/${name}/.jackin/lease.json`, '{"agent":"kimi","login":"work"}');
  // Its holders are looked for before it is read.
  moments.afterRead = async (file) => {
    if (file.endsWith('lease.json')) await rm(path.join(sandbox.jackinHome, 'logins/kimi/home'), { recursive: true, force: true });
  };
  const { code, stdout } = await sandbox.run(['logins', 'list', '--format', 'json'], {});
  expect(code).toBe(0);
  expect(JSON.parse(stdout).data.logins).toMatchObject([{ login: 'kimi:work', holders: [name] }]);
});

describe('a state that is purged while its instance is ejected', () => {
  it('fails no `eject --all`, and does not come back', async () => {
    const gone = await add('1aaaaaaa');
    const kept = await add('2aaaaaaa');
    moments.afterRead = async (file) => {
      const isEjected = engine.containers().every(({ info }) => info.name !== gone);
      if (isEjected && file === path.join(stateDir(gone), '.jackin/instance.json')) await rm(stateDir(gone), { recursive: true, force: true });
    };
    const { code, stdout, stderr } = await sandbox.run(['eject', '--all'], { engine });
    expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: '', stdout: `Ejected ${gone}\nEjected ${kept}\n` });
    expect(await states()).toEqual([kept]);
    expect(await engine.listContainers({})).toEqual([]);
  });

  it('is not stopped for a second time', async () => {
    const name = await add('1aaaaaaa');
    const real = { ...engine };
    engine.stopContainer = async (container, seconds) => {
      await engine.removeContainer(name);
      await real.stopContainer(container, seconds);
    };
    const { code, stdout } = await sandbox.run(['eject', '1aaaaaaa'], { engine });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `Ejected ${name}\n` });
    expect(await engine.listNetworks({})).toEqual([]);
  });
});

describe('one of many that cannot be done', () => {
  it('stops no `eject --all`, and is told of by its name', async () => {
    const names = [await add('1aaaaaaa'), await add('2aaaaaaa'), await add('3aaaaaaa')];
    const real = { ...engine };
    engine.removeContainer = async (container) => {
      const { info } = engine.containers().find(({ info: one }) => one.id === container) ?? {};
      if (info?.name === names[1]) throw new JackinError('engine.failed', 'removing it: device or resource busy');
      return real.removeContainer(container);
    };
    const { code, stdout, stderr } = await sandbox.run(['eject', '--all'], { engine });
    expect(stdout).toBe(`Ejected ${names[0]}\nEjected ${names[2]}\n`);
    expect(stderr).toContain(`error: ${names[1]} was not ejected: removing it: device or resource busy`);
    expect(code).toBe(1);
    const json = await sandbox.run(['eject', '--all', '--format', 'json'], { engine });
    expect(JSON.parse(json.stdout)).toMatchObject({ data: { ejected: [], failed: [{ container: names[1], code: 'engine.failed', message: expect.stringContaining('busy') }] } });
    expect(json.code).toBe(1);
  });

  it('stops no `purge --all`, and is told of by its name', async () => {
    const names = [await add('1aaaaaaa', { container: false }), await add('2aaaaaaa', { container: false })];
    moments.beforeLook = (file) =>
      file.endsWith(`.removing-${names[0]}`) ? Promise.reject(Object.assign(new Error(`EIO: i/o error, lstat '${file}'`), { code: 'EIO', syscall: 'lstat', path: file })) : Promise.resolve();
    const { code, stdout, stderr } = await sandbox.run(['purge', '--all'], { engine });
    expect(stdout).toBe(`Purged ${names[1]}\n`);
    expect(stderr).toMatch(new RegExp(`error: ${names[0]} was not purged: .*${stateDir(`.removing-${names[0]}`)}`));
    expect(code).toBe(1);
  });

  it('is the last one when the engine does not answer any more', async () => {
    const names = [await add('1aaaaaaa'), await add('2aaaaaaa'), await add('3aaaaaaa')];
    engine.removeContainer = () => Promise.reject(new JackinError('engine.unreachable', 'removing it: no answer'));
    const { code, stdout, stderr } = await sandbox.run(['eject', '--all'], { engine });
    expect(stdout).toBe('');
    for (const name of names) expect(stderr).toContain(name);
    expect(stderr.match(/no answer/g)).toHaveLength(1);
    expect(code).toBe(5);
  });
});

describe('an instance that another jackin is launching', () => {
  /** Container and network are there; the record is written last. */
  const launching = async (): Promise<string> => {
    const name = await add('1aaaaaaa');
    await rm(path.join(stateDir(name), '.jackin', 'instance.json'));
    await beginLaunch(name);
    return name;
  };

  it.each([
    ['eject --all', 'ejected'],
    ['eject --all --purge', 'purged'],
    ['purge --all', 'purged'],
    ['eject agent-smith --all', 'ejected'],
  ])('is left alone by `%s`, and named', async (command, verb) => {
    const name = await launching();
    const other = await add('2aaaaaaa', { container: !command.startsWith('purge') });
    const { code, stdout, stderr } = await sandbox.run(command.split(' '), { engine });
    expect(stdout.toLowerCase()).toBe(`${verb} ${other}\n`);
    expect(stderr).toBe(`note       ${name} is being launched by another jackin (pid ${process.pid}); it is left alone\n`);
    expect(code).toBe(0);
    expect((await engine.listContainers({})).map((container) => container.name)).toContain(name);
    expect(await engine.listNetworks({})).toContainEqual(expect.objectContaining({ name: `${name}-net` }));
    expect(await states()).toContain(name);
  });

  it('is named in JSON, too', async () => {
    const name = await launching();
    const { stdout } = await sandbox.run(['eject', '--all', '--format', 'json'], { engine });
    expect(JSON.parse(stdout).data).toEqual({ ejected: [], left_alone: [{ instance_id: '1aaaaaaa', container: name, pid: process.pid }], failed: [] });
  });

  it.each(['eject', 'purge', 'eject --purge', 'hardline --detach'])('is a conflict for `%s` with its id', async (command) => {
    const name = await launching();
    const { code, stderr } = await sandbox.run([...command.split(' '), '1aaaaaaa'], { engine, ...(command.startsWith('hardline') && installation()) });
    expect(stderr).toContain(`error: ${name} is being launched by another jackin (pid ${process.pid})`);
    expect(code).toBe(8);
    expect(await engine.listContainers({})).toHaveLength(1);
    expect(await states()).toEqual([name]);
  });

  it('is a conflict when nothing of it is there yet but its state', async () => {
    await sandbox.write('jackin/data/jk-1aaaaaaa-x/handoff/x', '');
    await beginLaunch('jk-1aaaaaaa-x');
    for (const command of ['eject', 'purge']) expect((await sandbox.run([command, '1aaaaaaa'], { engine })).code).toBe(8);
    expect((await sandbox.run(['status'], { engine })).stdout).toBe('no instances\n');
    expect(await states()).toEqual(['jk-1aaaaaaa-x']);
  });

  it('keeps its state when it is made anew from it', async () => {
    const name = await add('1aaaaaaa', { container: false });
    await beginLaunch(name, { restores: true });
    expect((await sandbox.run(['purge', '1aaaaaaa'], { engine })).code).toBe(8);
    await sandbox.run(['purge', '--all'], { engine });
    await access(path.join(stateDir(name), '.jackin', 'instance.json'));
  });

  it('is seen when its launch began after the others were listed', async () => {
    const [first, second] = [await add('1aaaaaaa', { container: false }), await add('2aaaaaaa', { container: false })];
    moments.beforeLook = async (file) => {
      if (file.endsWith(`.removing-${first}`)) await beginLaunch(second, { restores: true });
    };
    const { stderr } = await sandbox.run(['purge', '--all'], { engine });
    expect(stderr).toContain(`${second} is being launched by another jackin`);
    expect(await states()).toEqual([second]);
  });
});

describe('a launch', () => {
  const load = (with_: FakeEngine) => sandbox.run(['load', 'agent-smith', '--prompt', 'hi'], { ...installation(), engine: with_ });

  it('whose container is removed under it says so, in no words of the engine', async () => {
    const made: FakeEngine = fakeEngine({
      images: ['debian:trixie'],
      exec: async ({ container }) => {
        await made.removeContainer(container.id);
        throw new JackinError('engine.failed', `Container ${container.id} is not running: Removal In Progress`);
      },
    });
    const { code, stderr } = await load(made);
    expect(stderr).toMatch(/error: the container jk-\S+ was removed while it was being started\nhint: /);
    expect(stderr).not.toMatch(/In Progress|bug/);
    expect(code).toBe(8);
    expect(await states()).toEqual([]);
  });

  it('says so while the engine is still removing it', async () => {
    const made: FakeEngine = fakeEngine({
      images: ['debian:trixie'],
      exec: ({ container }) => {
        const { info } = made.containers().find(({ info: one }) => one.id === container.id)!;
        Object.assign(info, { running: false, removing: true });
        throw new JackinError('engine.failed', `Container ${container.id} is not running: Removal In Progress`);
      },
    });
    const { code, stderr } = await load(made);
    expect(stderr).toMatch(/was removed while it was being started/);
    expect(code).toBe(8);
  });

  it('from a state that is purged under it says so, and does not bring it back', async () => {
    const capsule = fakeCapsule();
    const made = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
    const started = await load(made);
    expect(started.code).toBe(0);
    const [name] = await states();
    await sandbox.run(['eject', '--all'], { engine: made });
    capsule.forget();
    const real = { ...made };
    made.createNetwork = async (spec) => {
      await removeTree(stateDir(name!));
      return real.createNetwork(spec);
    };
    const { code, stderr } = await sandbox.run(['hardline', name!, '--detach'], { ...installation(), engine: made });
    expect(stderr).toContain(`error: the state of ${name} was removed by another jackin while it was being started`);
    expect(code).toBe(8);
    expect(await states()).toEqual([]);
  });

  it('that was killed before it had told what it makes blocks nothing', async () => {
    const capsule = fakeCapsule();
    const made = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
    await load(made);
    const [name] = await states();
    await sandbox.run(['eject', '--all'], { engine: made });
    capsule.forget();
    const dead = { pid: 999_999_999, started: '1' };
    await sandbox.write(`jackin/journal/.${name}.json.${dead.pid}-${dead.started}.0123456789ab.tmp`, '{"ver');
    expect((await sandbox.run(['hardline', name!, '--detach'], { ...installation(), engine: made })).code).toBe(0);
    expect(await readdir(path.join(sandbox.jackinHome, 'journal'))).toEqual([]);
  });
});

describe('two purges of one state', () => {
  it('both succeed, and nothing of it is left', async () => {
    const name = await add('1aaaaaaa', { container: false });
    for (let folder = 0; folder < 50; folder += 1) await mkdir(path.join(stateDir(name), 'home', `d${folder}`, 'e'), { recursive: true });
    await chmod(path.join(stateDir(name), 'home', 'd1'), 0);
    const codes = await Promise.all(['purge --all', 'status', 'purge --all', 'eject --all --purge'].map(async (command) => sandbox.run(command.split(' '), { engine })));
    expect(codes.map(({ code, stderr }) => ({ code, stderr }))).toEqual(codes.map(() => ({ code: 0, stderr: '' })));
    expect(await states()).toEqual([]);
    expect(await readFile(path.join(sandbox.jackinHome, 'home-id'), 'utf8')).toBe(`${HOME_ID}\n`);
  });
});
