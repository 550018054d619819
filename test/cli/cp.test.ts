import { mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCopy } from '../../src/capsule/copy-program.ts';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { credential, kimiCodeFiles, writeFiles } from '../fixtures/kimi/login.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Sandbox } from './run.ts';

const installation = useInstallation();

let sandbox: Sandbox;
let engine: FakeEngine;
/** Command lines of the copying programs; they work in this machine's file system. */
let copies: string[][];

const start = async (): Promise<string> => {
  const { code, stdout, stderr } = await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach'], { ...installation(), engine });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout.trim();
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  const capsule = fakeCapsule();
  copies = [];
  const exec: typeof capsule.exec = (request) => {
    if (request.argv[1] !== '/jackin/runtime/capsule/copy.mjs') return capsule.exec(request);
    copies.push(request.argv);
    return runCopy(request.argv.slice(2), request);
  };
  engine = fakeEngine({ images: ['debian:trixie'], exec });
  await writeFiles(`${sandbox.home}/.kimi-code`, kimiCodeFiles(credential({ expiresAt: 1_795_270_000, refresh: 'fake-refresh' })));
});

describe('cp', () => {
  it.each([
    [['a', 'b'], 'neither of the two paths'],
    [['x:/a', 'y:/b'], 'both paths are in instances'],
    [['x:', 'b'], 'no path after the colon'],
    [[':/a', 'b'], 'no instance before the colon'],
    [['', 'x:/a'], 'a path is empty'],
    [['./a:b', '/c:d'], 'neither of the two paths'],
  ])('%j is refused before the engine is asked', async (paths, says) => {
    const { code, stderr } = await sandbox.run(['cp', ...paths], { deps: { connectEngine: () => Promise.reject(new Error('asked')) } });
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) as string });
  });

  it('needs an instance that runs, and says what starts it', async () => {
    const id = await start();
    expect((await sandbox.run(['cp', 'no-such-thing:/a', '.'], { engine })).code).toBe(7);
    engine.exit(engine.containers().find(({ info }) => info.labels['jackin.kind'] === 'role')!.info.name, 1);
    expect(await sandbox.run(['cp', `${id}:/a`, '.'], { engine })).toMatchObject({ code: 8, stderr: expect.stringContaining(`jackin hardline ${id}`) as string });
    await sandbox.run(['eject', id], { engine });
    expect((await sandbox.run(['cp', 'agent-smith:/a', '.'], { engine })).code).toBe(8);
  });

  it('copies in and out, and says how much, where, and what it left out', async () => {
    const id = await start();
    await sandbox.write('project/tree/a', 'text');
    await symlink('/etc/passwd', path.join(sandbox.project, 'tree/out\n'));
    const there = await sandbox.run(['cp', './tree', `${id}:${sandbox.root}/inside`], { engine });
    expect(there).toEqual({ code: 0, stdout: '', stderr: `copied 1 file, 4 bytes to ${id}:${sandbox.root}/inside; skipped 1 link that leads out: out\ufffd\n` });
    const back = await sandbox.run(['cp', `agent-smith:${sandbox.root}/inside`, 'back', '--format', 'json'], { engine });
    expect(back).toMatchObject({ code: 0, stderr: '' });
    const { data } = JSON.parse(back.stdout) as { data: object };
    expect(data).toMatchObject({ instance_id: id, direction: 'out', to: `${sandbox.project}/back`, files: 1, directories: 1, bytes: 4, skipped_total: 0, skipped: [] });
    expect(await sandbox.read('project/back/a')).toBe('text');
  });

  it('takes a relative path from the workdir, ~ as the home, and runs nothing but its program', async () => {
    const id = await start();
    await sandbox.run(['cp', `${id}:notes/today`, 'x'], { engine });
    await sandbox.run(['cp', `${id}:~/notes`, 'x'], { engine });
    const [workdir, home] = copies;
    expect(workdir).toEqual(['/jackin/runtime/bin/node', '/jackin/runtime/capsule/copy.mjs', 'out', expect.stringMatching(/^[\d:,]+$/), `${sandbox.project}/notes/today`]);
    expect(home?.at(-1)).toBe('/home/agent/notes');
  });

  it.each([
    ['out', ['', '/', '/new']],
    ['in', ['', '/.', '/key']],
  ])('refuses, on the way %s, a link in a mount of any instance, names where it leads, and leaves that alone', async (direction, ends) => {
    const id = await start();
    await sandbox.write('other/file', 'text');
    await sandbox.write('precious/key', 'secret');
    const other = path.join(sandbox.root, 'other');
    expect((await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach', '--mount', other], { ...installation(), engine })).code).toBe(0);
    const held = path.join(other, 'out');
    await symlink(path.join(sandbox.root, 'precious'), held);
    await symlink(path.join(sandbox.root, 'precious'), `${sandbox.project}/out`);
    for (const link of [held, `${sandbox.project}/out`]) {
      for (const target of ends.map((end) => `${link}${end}`)) {
        const refused = await sandbox.run(direction === 'out' ? ['cp', `${id}:${other}`, target] : ['cp', target, `${id}:${sandbox.root}/inside`], { engine });
        expect({ refused }).toMatchObject({ refused: { code: 8, stderr: expect.stringContaining(`${link} is a link to ${sandbox.root}/precious, and the agent of instance`) as string } });
        expect(refused.stderr).toContain(`name the real place itself: ${sandbox.root}/precious`);
      }
    }
    expect(await readdir(`${sandbox.root}/precious`)).toEqual(['key']);
  });

  it('follows a link that no agent can have made: beside the mounts, or in one that is read-only', async () => {
    await sandbox.write('other/file', 'text');
    const other = path.join(sandbox.root, 'other');
    const { stdout } = await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach', '--mount', `${other}:ro`], { ...installation(), engine });
    await mkdir(path.join(sandbox.root, 'real'));
    for (const link of ['other/out', 'beside']) await symlink(path.join(sandbox.root, 'real'), path.join(sandbox.root, link));
    for (const link of ['other/out', 'beside']) {
      expect((await sandbox.run(['cp', `${stdout.trim()}:${other}/file`, path.join(sandbox.root, link, link.replace('/', '-'))], { engine })).code).toBe(0);
    }
    expect((await readdir(path.join(sandbox.root, 'real'))).sort()).toEqual(['beside', 'other-out']);
  });

  it('copies nothing from or to a mount where the system cannot hold directories, and says why', async () => {
    const id = await start();
    await sandbox.write('project/a', 'text');
    await sandbox.write('beside/a', 'text');
    const deps = { platform: 'darwin' as const };
    for (const paths of [[`${id}:${sandbox.root}/beside`, 'new'], ['a', `${id}:${sandbox.root}/inside`]]) {
      expect(await sandbox.run(['cp', ...paths], { engine, deps })).toMatchObject({ code: 8, stderr: expect.stringContaining('this system has no way to hold a directory') as string });
    }
    expect((await sandbox.run(['cp', `${sandbox.root}/beside`, `${id}:${sandbox.root}/inside`], { engine, deps })).code).toBe(0);
    expect((await sandbox.run(['cp', `${id}:${sandbox.root}/inside`, `${sandbox.root}/copy`], { engine, deps })).code).toBe(0);
  });

  it('says of an interrupt what has become of the files', async () => {
    const id = await start();
    await sandbox.write('project/a', 'text');
    const { code, stderr } = await sandbox.run(['cp', 'a', `${id}:${sandbox.root}/inside`], { engine, signal: AbortSignal.abort() });
    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('0 files were whole by then and stay') as string });
    expect(stderr).not.toContain('undone');
  });
});
