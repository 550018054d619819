import { beforeEach, describe, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { credential, kimiCodeFiles, writeFiles } from '../fixtures/kimi/login.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Sandbox } from './run.ts';

const installation = useInstallation();

let sandbox: Sandbox;
let engine: FakeEngine;

beforeEach(async () => {
  sandbox = await makeSandbox();
  engine = fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec });
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
    const { stdout } = await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach'], { ...installation(), engine });
    const id = stdout.trim();
    expect((await sandbox.run(['cp', 'no-such-thing:/a', '.'], { engine })).code).toBe(7);
    engine.exit(engine.containers().find(({ info }) => info.labels['jackin.kind'] === 'role')!.info.name, 1);
    expect(await sandbox.run(['cp', `${id}:/a`, '.'], { engine })).toMatchObject({ code: 8, stderr: expect.stringContaining(`jackin hardline ${id}`) as string });
    await sandbox.run(['eject', id], { engine });
    expect((await sandbox.run(['cp', 'agent-smith:/a', '.'], { engine })).code).toBe(8);
  });
});
