/** `eject` where the record cannot be written any more: the container is gone all the same. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import type { FaultyCall } from '../fixtures/faulty-calls.ts';
import { addInstance, HOME_ID } from './instances.ts';
import { makeSandbox, type Sandbox } from './run.ts';

const fault = vi.hoisted((): FaultyCall => ({ kind: undefined, code: '', root: '', failed: undefined }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const { faultyPromises } = await import('../fixtures/faulty-calls.ts');
  return faultyPromises(await importOriginal<typeof import('node:fs/promises')>(), fault);
});

/** Whether this machine lets the tests mount a disk of their own, which they can then fill. */
const canMount = ((): boolean => {
  const place = mkdtempSync(path.join(tmpdir(), 'jackin-mount-'));
  const mounted = process.getuid?.() === 0 && spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', place]).status === 0;
  if (mounted) spawnSync('umount', [place]);
  rmdirSync(place);
  return mounted;
})();

let sandbox: Sandbox;
let engine: FakeEngine;

beforeEach(async () => {
  fault.kind = undefined;
  sandbox = await makeSandbox();
  engine = fakeEngine({ images: ['image'] });
});

const addTwo = async (): Promise<string[]> => {
  await sandbox.write('jackin/home-id', `${HOME_ID}\n`);
  return [await addInstance(engine, sandbox, { id: '1aaaaaaa' }), await addInstance(engine, sandbox, { id: '2aaaaaaa' })];
};

it.each([['ENOSPC', 'no space left'], ['EDQUOT', 'no space left'], ['EIO', 'EIO'], ['EROFS', 'EROFS']])('`eject --all` goes on after %s, and says what was done', async (code, why) => {
  const [first, second] = await addTwo();
  Object.assign(fault, { kind: 'write', code, root: path.join(sandbox.jackinHome, 'data', first!), failed: undefined });
  const { code: exitCode, stdout, stderr } = await sandbox.run(['eject', '--all'], { engine });
  expect(stdout).toBe(`Ejected ${first}\nEjected ${second}\n`);
  expect(stderr).toMatch(new RegExp(`error: ${first} was ejected, but its record could not be written: .*instance.json.*${why}.*\nhint: `));
  expect(exitCode).toBe(1);
  expect(await engine.listContainers({})).toEqual([]);
});

it.skipIf(!canMount)('`eject --all` on a disk that is really full', async () => {
  await mkdir(sandbox.jackinHome, { recursive: true });
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=160k', 'tmpfs', sandbox.jackinHome]).status).toBe(0);
  onTestFinished(() => void spawnSync('umount', [sandbox.jackinHome]));
  const names = await addTwo();
  const filler = path.join(sandbox.jackinHome, 'filler');
  await writeFile(filler, 'x'.repeat(512 * 1024)).catch(() => undefined);
  const full = await sandbox.run(['eject', '--all'], { engine });
  for (const name of names) expect(full.stderr).toContain(`error: ${name} was ejected, but its record could not be written`);
  expect(full.stderr).toMatch(/no space left/);
  expect(full.stderr).not.toContain('bug');
  expect(full.code).toBe(1);
  expect(await engine.listContainers({})).toEqual([]);
  await rm(filler);
  expect(await sandbox.run(['eject', '--all', '--purge'], { engine })).toMatchObject({ code: 0 });
});
