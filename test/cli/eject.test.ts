import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { currentOwner } from '../../src/shared/owner.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { addInstance as add, HOME_ID, type Wanted } from './instances.ts';
import { makeSandbox, type Sandbox } from './run.ts';

let engine: FakeEngine;
let sandbox: Sandbox;

beforeEach(async () => {
  engine = fakeEngine({ images: ['image'] });
  sandbox = await makeSandbox();
  await sandbox.write('jackin/home-id', `${HOME_ID}\n`);
});

const addInstance = (wanted: Wanted) => add(engine, sandbox, wanted);

const states = () => readdir(path.join(sandbox.jackinHome, 'data'));

describe('eject', () => {
  it('removes container and network, keeps the state', async () => {
    const name = await addInstance({ id: '1aaaaaaa' });
    const { code, stdout } = await sandbox.run(['eject', 'agent-smith'], { engine });
    expect(code).toBe(0);
    expect(stdout).toBe(`Ejected ${name}\n`);
    expect(await engine.listContainers({})).toEqual([]);
    expect(await engine.listNetworks({})).toEqual([]);
    expect(await states()).toEqual([name]);
    expect((await sandbox.run(['status'], { engine })).stdout).toMatch(/1aaaaaaa +ejected/);
  });

  it('takes a role, an id or a container name', async () => {
    for (const pick of [(name: string) => name, () => '1aaaaaaa', () => 'agent-smith']) {
      const name = await addInstance({ id: '1aaaaaaa' });
      const other = await addInstance({ id: '9zzzzzzz', role: 'another-role' });
      expect((await sandbox.run(['eject', pick(name)], { engine })).code).toBe(0);
      expect((await engine.listContainers({})).map((container) => container.name)).toEqual([other]);
      expect((await sandbox.run(['eject', other], { engine })).code).toBe(0);
    }
  });

  it('lists the candidates when a role means several, and touches none', async () => {
    await addInstance({ id: '1aaaaaaa' });
    await addInstance({ id: '2aaaaaaa' });
    const { code, stderr } = await sandbox.run(['eject', 'agent-smith'], { engine });
    expect(code).toBe(8);
    expect(stderr).toMatch(/means 2 instances:\n.*1aaaaaaa.*\n.*2aaaaaaa/);
    expect(await engine.listContainers({})).toHaveLength(2);
    expect((await sandbox.run(['eject', 'agent-smith', '--all'], { engine })).code).toBe(0);
    expect(await engine.listContainers({})).toEqual([]);
  });

  it('matches a role by its whole key: neither a part nor another namespace', async () => {
    await addInstance({ id: '1aaaaaaa', role: 'chainargos/agent-smith' });
    expect((await sandbox.run(['eject', 'agent-smith'], { engine })).code).toBe(7);
    expect((await sandbox.run(['eject', 'chainargos/agent-smith'], { engine })).code).toBe(0);
  });

  it('never sees the instances of another jackin home', async () => {
    await addInstance({ id: '1aaaaaaa', home: 'somebody-else' });
    expect((await sandbox.run(['eject', '1aaaaaaa'], { engine })).code).toBe(7);
    expect((await sandbox.run(['eject', '--all'], { engine })).stdout).toBe('nothing to do\n');
    expect(await engine.listContainers({})).toHaveLength(1);
  });

  it('needs to be told what, and says when there is nothing', async () => {
    expect((await sandbox.run(['eject'], { engine })).code).toBe(2);
    expect((await sandbox.run(['eject', 'agent-smith'], { engine })).code).toBe(7);
    expect((await sandbox.run(['eject', '--all'], { engine })).code).toBe(0);
  });

  it('--purge does both, also for an instance whose container is long gone', async () => {
    await addInstance({ id: '1aaaaaaa' });
    await addInstance({ id: '2aaaaaaa', container: false });
    const { code, stdout } = await sandbox.run(['eject', 'agent-smith', '--all', '--purge', '--format', 'json'], { engine });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).data.purged).toHaveLength(2);
    expect(await states()).toEqual([]);
  });

  it('removes a network that was left without its container', async () => {
    const name = await addInstance({ id: '1aaaaaaa' });
    await engine.removeContainer(name);
    expect((await sandbox.run(['eject', '1aaaaaaa'], { engine })).code).toBe(0);
    expect(await engine.listNetworks({})).toEqual([]);
  });
});

describe('an instance whose record cannot be read', () => {
  it('hides no other one, and can be ejected and purged by its id', async () => {
    const bad = await addInstance({ id: '1aaaaaaa' });
    await addInstance({ id: '2aaaaaaa' });
    await sandbox.write(`jackin/data/${bad}/.jackin/instance.json`, '{"version":99}');
    expect((await sandbox.run(['status'], { engine })).stdout).toMatch(/1aaaaaaa +running[^]*2aaaaaaa +running/);
    expect((await sandbox.run(['eject', '1aaaaaaa'], { engine })).code).toBe(0);
    expect((await sandbox.run(['status'], { engine })).stdout).toMatch(/1aaaaaaa +ejected/);
    expect((await sandbox.run(['purge', '1aaaaaaa'], { engine })).code).toBe(0);
    expect(await states()).toEqual(['jk-2aaaaaaa-x']);
  });

  it('is left alone while a launch is making it', async () => {
    await sandbox.write('jackin/data/jk-1aaaaaaa-x/handoff/x', '');
    const entry = { version: 1, owner: currentOwner(), at: 'now', instance_id: '1aaaaaaa', container: 'jk-1aaaaaaa-x', network: 'n' };
    await sandbox.write('jackin/journal/jk-1aaaaaaa-x.json', JSON.stringify(entry));
    expect((await sandbox.run(['purge', '--all'], { engine })).code).toBe(0);
    expect(await states()).toEqual(['jk-1aaaaaaa-x']);
  });
});

describe('purge', () => {
  it('deletes the state of an ejected instance', async () => {
    await addInstance({ id: '1aaaaaaa', container: false });
    expect((await sandbox.run(['purge', 'agent-smith'], { engine })).stdout).toMatch(/^Purged jk-1aaaaaaa/);
    expect(await states()).toEqual([]);
  });

  it('refuses while the container exists, running or not', async () => {
    for (const running of [true, false]) {
      const name = await addInstance({ id: '1aaaaaaa', running });
      const { code, stderr } = await sandbox.run(['purge', 'agent-smith'], { engine });
      expect(code).toBe(8);
      expect(stderr).toContain('jackin eject 1aaaaaaa');
      expect(await states()).toEqual([name]);
      await engine.removeContainer(name);
      await engine.removeNetwork(`${name}-net`);
    }
  });

  it('--all deletes nothing while one of them has its container, and names every one that does', async () => {
    const names = [await addInstance({ id: '1aaaaaaa', container: false }), await addInstance({ id: '2aaaaaaa' }), await addInstance({ id: '3aaaaaaa', running: false })];
    const { code, stderr } = await sandbox.run(['purge', '--all'], { engine });
    expect(code).toBe(8);
    expect(stderr).toContain(`${names[1]} still exists (running)\n${names[2]} still exists (stopped)`);
    expect((await states()).sort()).toEqual(names);
  });

  it('that was killed is finished by the next command', async () => {
    const doomed = '.removing-jk-1aaaaaaa-x';
    await sandbox.write(`jackin/data/${doomed}/home/.kimi-code/credentials/kimi-code.json`, 'a login');
    await chmod(path.join(sandbox.jackinHome, 'data', doomed, 'home'), 0);
    expect((await sandbox.run(['status'], { engine })).code).toBe(0);
    expect(await states()).toEqual([]);
  });

  it('deletes what an agent has locked away from its owner', async () => {
    const name = await addInstance({ id: '1aaaaaaa', container: false });
    const locked = path.join(sandbox.jackinHome, 'data', name, 'home', 'locked');
    await mkdir(path.join(locked, 'deep'), { recursive: true });
    await chmod(locked, 0);
    expect((await sandbox.run(['purge', '1aaaaaaa'], { engine })).code).toBe(0);
    await expect(stat(locked)).rejects.toThrow(/ENOENT/);
  });
});

describe('after a launch was killed', () => {
  const journal = async (id: string, owner: object) => {
    const container = await addInstance({ id });
    await sandbox.write(
      `jackin/journal/${container}.json`,
      JSON.stringify({ version: 1, owner, at: 'now', instance_id: id, container, network: `${container}-net` }),
    );
    return container;
  };

  it('the next command takes back what it had made', async () => {
    await journal('1aaaaaaa', { pid: 999_999_999, started: '1', boot: 'another boot' });
    expect((await sandbox.run(['status'], { engine })).stdout).toBe('no instances\n');
    expect(await engine.listContainers({})).toEqual([]);
    expect(await engine.listNetworks({})).toEqual([]);
    expect(await states()).toEqual([]);
    expect(await readdir(path.join(sandbox.jackinHome, 'journal'))).toEqual([]);
  });

  it('leaves alone what a living process is making', async () => {
    const container = await journal('1aaaaaaa', currentOwner());
    await sandbox.run(['status'], { engine });
    expect(await engine.listContainers({})).toHaveLength(1);
    expect(await states()).toEqual([container]);
  });

  it('is not stopped by half an entry', async () => {
    await sandbox.write('jackin/journal/jk-1aaaaaaa-x.json', '{"version":1,"own');
    expect((await sandbox.run(['status'], { engine })).stdout).toBe('no instances\n');
  });

  it('believes no entry that names another container than its file', async () => {
    await addInstance({ id: '1aaaaaaa' });
    await sandbox.write('jackin/journal/jk-evil.json', JSON.stringify({ version: 1, owner: { pid: 999_999_999, started: '1', boot: 'x' }, at: 'now', instance_id: '1aaaaaaa', container: 'jk-1aaaaaaa-x', network: 'n' }));
    await sandbox.run(['status'], { engine });
    expect(await engine.listContainers({})).toHaveLength(1);
  });
});

describe('temporary files that a killed command has left', () => {
  it('go with the next command, and those of a living one stay', async () => {
    const name = await addInstance({ id: '1aaaaaaa' });
    const { pid, started } = currentOwner();
    const places = [`data/${name}/.jackin/.instance.json`, 'journal/.jk-2.json', '.home-id'];
    for (const place of places) {
      await sandbox.write(`jackin/${place}.999999999-1.0123456789ab.tmp`, 'half');
      await sandbox.write(`jackin/${place}.${pid}-${started}.0123456789ab.tmp`, 'half');
    }
    expect((await sandbox.run(['status'], { engine })).code).toBe(0);
    for (const place of places) {
      const names = await readdir(path.join(sandbox.jackinHome, path.dirname(place)));
      expect(names.filter((one) => one.endsWith('.tmp'))).toEqual([`${path.basename(place)}.${pid}-${started}.0123456789ab.tmp`]);
    }
  });

  it.each([
    ['config.lock', ['config', 'env', 'set', 'NAME', 'value'], 'config'],
    ['trust.json.lock', ['config', 'trust', 'revoke', 'a/b'], 'jackin'],
    ['trust.json', ['config', 'trust', 'revoke', 'a/b'], 'jackin'],
  ])('go with the next one that writes there: %s', async (lock, argv, folder) => {
    const trusted = { url: 'https://example.com/a/b', commit: 'a'.repeat(40), at: '2026-11-21T00:00:00Z', by: 'granted' };
    await sandbox.write('jackin/trust.json', JSON.stringify({ version: 1, roles: { 'a/b': trusted } }));
    await sandbox.write(`${folder}/.${lock}.999999999-1.0123456789ab.tmp`, 'half');
    await sandbox.write(`${folder}/.${lock}.breaking.999999999-1.0123456789ab.tmp`, 'half');
    expect((await sandbox.run(argv, { engine })).code).toBe(0);
    expect((await readdir(path.join(sandbox.root, folder))).filter((one) => one.endsWith('.tmp'))).toEqual([]);
  });
});
