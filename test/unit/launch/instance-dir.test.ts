import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { withHandoffLock } from '../../../src/keeper/hand-out.ts';
import { writeLease } from '../../../src/keeper/holders.ts';
import { fillInstanceDir, handOver } from '../../../src/launch/instance-dir.ts';
import { createPrivateDir } from '../../../src/shared/atomic-files.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';
import { planOf } from '../plan/world.ts';

let directory: string;
beforeEach(async () => {
  directory = path.join(await makeTemporaryDir(), 'jk-1');
});
afterEach(() => {
  process.umask(0o022);
});

const modeOf = async (name: string): Promise<number> => (await stat(path.join(directory, name))).mode & 0o777;

/** As the user of a container that is somebody else than the operator must find them. */
it.each([0o000, 0o022, 0o077, 0o777])('makes directories private and the names of users readable, under umask %i', async (umask) => {
  const plan = planOf({ facts: { operator: { uid: process.getuid!(), gid: process.getgid!() } } });
  process.umask(umask);
  await createPrivateDir(directory);
  await fillInstanceDir(directory, plan, { logins: [], github: { action: 'remove' } });
  process.umask(0o022);
  for (const name of ['.jackin', 'state', 'home', 'home/.kimi-code', 'home/.local/share/amp', 'handoff', '.config', '.config/gh']) expect([name, await modeOf(name)]).toEqual([name, 0o700]);
  for (const name of ['passwd', 'group']) expect([name, await modeOf(`.jackin/${name}`)]).toEqual([name, 0o644]);
});

it('gives the newest token of a login that its keeper renews at that very moment', async () => {
  const plan = planOf({ facts: { operator: { uid: process.getuid!(), gid: process.getgid!() } } });
  await mkdir(path.join(directory, '.jackin'), { recursive: true });
  let token = 'fake-old';
  const lease = async () => [{ name: 'kimi-code', action: 'replace' as const, files: [{ path: 'token', bytes: Buffer.from(token) }] }];
  let handingOver: Promise<void> | undefined;
  await withHandoffLock(directory, async () => {
    handingOver = handOver(directory, plan, { logins: [], lease, github: { action: 'remove' } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    token = 'fake-new';
  });
  await handingOver;
  expect(await readFile(path.join(directory, 'handoff/current/kimi-code/token'), 'utf8')).toBe('fake-new');
});

it('that was purged meanwhile does not come back', async () => {
  const plan = planOf({ facts: { operator: { uid: process.getuid!(), gid: process.getgid!() } } });
  const logins = [{ name: 'kimi-code', action: 'replace' as const, files: [{ path: 'token', bytes: Buffer.from('fake') }] }];
  const given = { logins, github: { action: 'keep' as const } };
  for (const write of [() => fillInstanceDir(directory, plan, given), () => handOver(directory, plan, given), () => writeLease(directory, 'work')]) {
    await expect(write()).rejects.toThrow('ENOENT');
    expect(await readdir(path.dirname(directory))).toEqual([]);
  }
});
