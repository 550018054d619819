import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { locatePaths } from '../../../src/config/paths.ts';
import { recoverJournal } from '../../../src/instances/journal.ts';
import { fakeEngine } from '../../fakes/engine.ts';

/** Of a process that is gone. */
const ENTRY = { version: 1, owner: { pid: 4_000_000, started: '1', boot: 'another' }, at: '2026-01-01T00:00:00Z', instance_id: 'abcdefgh', network: 'n' };

const world = async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'jackin-journal-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const paths = locatePaths({ env: { JACKIN_HOME_DIR: root }, home: root });
  for (const name of ['jk-other', 'jk-dead']) await mkdir(path.join(paths.dataDir, name), { recursive: true });
  await mkdir(paths.journalDir);
  const recover = async (container: string) => {
    await writeFile(path.join(paths.journalDir, `${container}.json`), JSON.stringify({ ...ENTRY, container }));
    return await recoverJournal(fakeEngine({}), paths, 'home');
  };
  return { recover, left: () => ['jk-other', 'jk-dead'].filter((name) => existsSync(path.join(paths.dataDir, name))) };
};

it.each(['', '.'])('an entry that names no container removes no state: %j', async (container) => {
  const { recover, left } = await world();
  expect(await recover(container)).toEqual([]);
  expect(left()).toEqual(['jk-other', 'jk-dead']);
});

it('an entry of a launch that died removes its own state', async () => {
  const { recover, left } = await world();
  expect(await recover('jk-dead')).toEqual(['jk-dead']);
  expect(left()).toEqual(['jk-other']);
});
