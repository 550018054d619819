import { symlink } from 'node:fs/promises';
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

  it('says of an interrupt what has become of the files', async () => {
    const id = await start();
    await sandbox.write('project/a', 'text');
    const { code, stderr } = await sandbox.run(['cp', 'a', `${id}:${sandbox.root}/inside`], { engine, signal: AbortSignal.abort() });
    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('0 files were whole by then and stay') as string });
    expect(stderr).not.toContain('undone');
  });
});
