import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readRecord as readSeedRecord } from '../../../src/capsule/home/record.ts';
import { type Paths, locatePaths } from '../../../src/config/paths.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { packagesInMarker, packagesLabel, packagesOnLabel } from '../../../src/docker/package-list.ts';
import { cacheFile } from '../../../src/docker/cache-file.ts';
import { recoverJournal } from '../../../src/instances/journal.ts';
import { listStates, readRecord } from '../../../src/instances/record.ts';
import { readLease } from '../../../src/keeper/holders.ts';
import { FAREWELL, parseAnswer, parseRequest } from '../../../src/keeper/keeper-socket.ts';
import { readLoginNote } from '../../../src/keeper/login-note.ts';
import { readCache } from '../../../src/roles/role-cache.ts';
import { readTrust } from '../../../src/roles/trust-store.ts';
import { EXIT_CODES, JackinError } from '../../../src/shared/errors.ts';
import { withFileLock } from '../../../src/shared/lock.ts';
import { promise, target, type Target } from '../target.ts';
import { place, scratchDir } from './files.ts';

const pathsIn = (dir: string): Paths => locatePaths({ env: { JACKIN_CONFIG_DIR: dir, JACKIN_HOME_DIR: dir }, home: dir });

const COMMIT = 'a'.repeat(40);
const json = (value: unknown): string => JSON.stringify(value, null, 2);

const RECORD = {
  version: 2, instance_id: 'abcdefgh', container: 'jk-abcdefgh-app-smith', network: 'n', created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z',
  workspace_name: null, workdir: '/w', role_key: 'agent-smith', role_content: 'c', agent: 'kimi', agent_version: '1', supported_agents: ['kimi'], image_tag: 't',
  agents_inside: { kimi: '1' }, status: 'running',
  made_for: { role: { kind: 'name', key: 'a/b' }, target: { kind: 'directory', path: '/w' }, mounts: [{ source: '/a', target: '/b', readonly: true }], networks: ['n'], agent_arguments: ['-x'], allowed_mounts: [] },
}; // prettier-ignore

const ENTRY = { version: 1, owner: { pid: 4_000_000, started: '1', boot: 'another' }, at: '2026-01-01T00:00:00Z', instance_id: 'abcdefgh', container: 'jk-fuzzed', network: 'n' };

/** An engine that has nothing. */
const EMPTY_ENGINE = { listContainers: async () => [], listNetworks: async () => [] } as unknown as Engine;

/** The entry has the name that it gives itself, however odd: only so it is looked at. */
const recover = async (input: Buffer): Promise<void> => {
  const dir = scratchDir('journal');
  const paths = pathsIn(dir);
  const canary = place(path.join(paths.dataDir, 'jk-canary', 'state'), Buffer.from('x'));
  rmSync(paths.journalDir, { recursive: true, force: true });
  let name = 'jk-fuzzed';
  try {
    const { container } = JSON.parse(input.toString('utf8')) as { container: unknown };
    if (typeof container === 'string' && container.length < 200 && !/[/\0]/.test(container)) name = container;
  } catch {
    // It is read under the usual name.
  }
  place(path.join(paths.journalDir, `${name}.json`), input);
  await recoverJournal(EMPTY_ENGINE, paths, 'home');
  promise(existsSync(canary), 'the state of another instance is gone');
};

const SOCKET_SEEDS = ['{"op":"status"}', '{"op":"fresh","account":"work"}', '{"op":"hold","account":"work","container":"jk-a"}', '{"op":"started"}', '{"op":"stop","force":true}'];

export const STATE_TARGETS: readonly Target[] = [
  target({
    name: 'trust-store',
    count: 500,
    covers: ['src/roles/trust-store.ts'],
    form: 'json',
    seeds: () => [json({ version: 1, roles: { 'a/b': { url: 'https://example.test/a/b', commit: COMMIT, at: '2026-01-01T00:00:00Z', by: 'asked' } } })],
    run: async (input) => {
      const paths = pathsIn(scratchDir('trust'));
      place(paths.trustFile, input);
      const trusted = await readTrust(paths);
      promise([...trusted.values()].every(({ commit }) => /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(commit)), 'something else than a commit is trusted');
    },
  }),
  target({
    name: 'role-cache',
    count: 500,
    covers: ['src/roles/role-cache.ts'],
    form: 'json',
    seeds: () => [json({ version: 1, url: 'u', head: { commit: COMMIT, at: '2026-01-01T00:00:00Z' }, branches: { main: { commit: COMMIT, at: '2026-01-01T00:00:00Z' } }, contents: { [COMMIT]: 'x' } })],
    run: async (input) => {
      const dir = scratchDir('cache');
      place(path.join(dir, 'cache.json'), input);
      await readCache(dir);
    },
  }),
  target({
    name: 'instance-record',
    count: 300,
    covers: ['src/instances/record.ts'],
    form: 'json',
    seeds: () => [json(RECORD)],
    run: async (input) => {
      const dir = scratchDir('records');
      place(path.join(dir, 'jk-a', '.jackin', 'instance.json'), input);
      promise((await listStates(dir)).length === 1, 'a record hides its instance');
      await readRecord(dir, 'jk-a');
    },
  }),
  target({ name: 'journal-entry', count: 200, covers: ['src/instances/journal.ts', 'src/shared/owner.ts'], form: 'json', seeds: () => [json(ENTRY)], run: recover }),
  target({
    name: 'lock-file',
    count: 60,
    covers: ['src/shared/lock.ts'],
    form: 'json',
    seeds: () => [json(ENTRY.owner), ''],
    allows: () => false,
    run: async (input) => {
      // The pid of a process that may run is taken for it, and waited for.
      if (/"pid":\s*-?\d{1,6}\b/.test(input.toString('utf8')) && input.includes('"boot"') && !input.includes('another')) return;
      const file = path.join(scratchDir('locks'), 'x.lock');
      writeFileSync(file, input);
      let ran = false;
      await withFileLock(file, { doing: 'tries' }, async () => void (ran = true));
      promise(ran && readdirSync(path.dirname(file)).length === 0, 'the lock was not taken, or left behind');
    },
  }),
  target({
    name: 'lease-record',
    covers: ['src/keeper/holders.ts'],
    form: 'json',
    seeds: () => [json({ agent: 'kimi', login: 'work' }), json({ agent: 'kimi', login: null })],
    allows: () => false,
    run: async (input) => {
      const dir = scratchDir('lease');
      place(path.join(dir, '.jackin', 'lease.json'), input);
      const account = await readLease(dir);
      promise(account === undefined || typeof account === 'string', 'an account that is no text');
    },
  }),
  target({
    name: 'login-note',
    covers: ['src/keeper/login-note.ts'],
    form: 'json',
    seeds: () => [json({ refreshed_at: '2026-01-01T00:00:00Z', sent: { token: 'a', at: 'b' }, ended: { token: 'a', why: 'b', at: 'c' } })],
    allows: () => false,
    run: async (input) => {
      const keeperDir = scratchDir('keeper');
      place(path.join(keeperDir, 'notes', 'kimi-work.json'), input);
      await readLoginNote({ keeperDir }, 'work');
    },
  }),
  target({
    name: 'keeper-request',
    covers: ['src/keeper/keeper-socket.ts', 'src/keeper/serve-keeper.ts'],
    form: 'json',
    seeds: () => SOCKET_SEEDS,
    run: (input) => {
      const request = parseRequest(input.toString('utf8'));
      if ('account' in request) promise(request.account !== '', 'an account without a name');
    },
  }),
  target({
    name: 'keeper-answer',
    covers: ['src/keeper/keeper-socket.ts', 'src/keeper/ask-keeper.ts'],
    form: 'json',
    seeds: () => ['{"ok":null}', json({ ok: { pid: 1, started_at: 'x', logins: [] } }), '{"error":{"code":"usage","message":"m","hint":"h"}}', JSON.stringify(FAREWELL)],
    allows: () => false,
    run: (input) => {
      const answer = parseAnswer(input.toString('utf8'));
      if (answer !== undefined && 'error' in answer) promise(Object.hasOwn(EXIT_CODES, answer.error.code) && new JackinError(answer.error.code, answer.error.message).exitCode > 0, 'an error without an exit code');
    },
  }),
  target({
    name: 'package-list',
    covers: ['src/docker/package-list.ts'],
    form: 'json',
    seeds: () => [json({ packages: [{ name: '@a/b', version: '1.2.3', integrity: 'sha512-AAAA' }] }), json([{ name: '@a/b', version: '1.2.3', integrity: 'sha512-AAAA' }])],
    allows: () => false,
    run: (input) => {
      const text = input.toString('utf8');
      packagesInMarker(text);
      const packages = packagesOnLabel({ 'jackin.packages': text });
      if (packages !== undefined) promise(packagesOnLabel(packagesLabel(packages)) !== undefined, 'a list that is written is not read again');
    },
  }),
  target({
    name: 'cache-file',
    covers: ['src/docker/cache-file.ts'],
    form: 'json',
    seeds: () => [json({ a: { b: 1 } })],
    allows: () => false,
    run: async (input) => {
      const dir = scratchDir('caches');
      place(path.join(dir, 'x.json'), input);
      promise(typeof (await cacheFile(dir, 'x.json').read()) === 'object', 'no table');
    },
  }),
  target({
    name: 'seed-record',
    covers: ['src/capsule/home/record.ts'],
    form: 'json',
    seeds: () => [json({ credential: 'a', files: { '.kimi-code/config.toml': 'b' }, keys: ['c'], account: 'd', provider: { previousDefault: 'e', createdConfig: true } })],
    allows: () => false,
    run: async (input) => {
      const state = scratchDir('seeds');
      place(path.join(state, 'auth', 'kimi.json'), input);
      const { files, keys } = await readSeedRecord({ state, slug: 'kimi' } as Parameters<typeof readSeedRecord>[0]);
      promise(Array.isArray(keys) && Object.values(files).every((digest) => typeof digest === 'string') && keys.every((key) => typeof key === 'string'), 'a record of another form');
    },
  }),
];
