import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AGENTS, AGENT_SLUGS, type AgentSlug, type AuthMode } from '../../../src/agents/agents.ts';
import { readConfigFiles } from '../../../src/config/files.ts';
import { locatePaths } from '../../../src/config/paths.ts';
import { resolveAuth, resolveGithub } from '../../../src/config/resolve-auth.ts';
import { openGithubLogin } from '../../../src/launch/auth-status-github.ts';
import { deciderOf } from '../../../src/launch/auth-status-key.ts';
import { openHostLogins } from '../../../src/launch/auth-status-logins.ts';
import { gatherAuthStatus } from '../../../src/launch/auth-status.ts';
import type { Deps } from '../../../src/launch/deps.ts';
import { kimiCodeFiles, NOW, writeFiles } from '../../fixtures/kimi/login.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

let root: string;
let deps: Deps;

beforeEach(async () => {
  root = await makeTemporaryDir();
  const env = { JACKIN_CONFIG_DIR: path.join(root, 'config'), JACKIN_HOME_DIR: path.join(root, 'jackin') };
  deps = { env, home: path.join(root, 'home'), uid: process.getuid?.() ?? 0, now: () => NOW } as unknown as Deps;
  await mkdir(path.join(root, 'config/workspaces'), { recursive: true });
});

afterEach(() => rm(root, { recursive: true }));

interface Setting {
  agent: AgentSlug;
  mode: AuthMode;
  source: boolean;
}

const setting = fc
  .constantFrom(...AGENT_SLUGS)
  .chain((agent) => fc.record({ agent: fc.constant(agent), mode: fc.constantFrom(...AGENTS[agent].modes), source: fc.boolean() }));
const layer = fc.uniqueArray(setting, { selector: ({ agent }) => agent, maxLength: AGENT_SLUGS.length });
const github = fc.option(fc.constantFrom('sync', 'token', 'ignore'), { nil: undefined });

const tables = (prefix: string, settings: Setting[], forge: string | undefined): string =>
  [
    ...settings.map(({ agent, mode, source }) => `[${prefix}${agent}]\n${source ? 'sync_source_dir = "/nowhere"\n' : ''}auth_forward = "${mode}"\n`),
    ...(forge === undefined ? [] : [`[${prefix}github]\nauth_forward = "${forge}"\n`]),
  ].join('\n');

const WORKSPACE = 'version = "v1alpha6"\nworkdir = "/w"\n\n[[mounts]]\nsrc = "/w"\ndst = "/w"\n\n';

/** The line of a file that is said to have decided; null where no file did. */
const lineAt = (decider: { file: string | null; line: number | null } | null): string | null =>
  decider === null || decider.file === null ? null : readFileSync(decider.file, 'utf8').split('\n')[decider.line! - 1]!;

it('names the layer, file and line that a launch would go by', async () => {
  const layers = fc.tuple(layer, layer, layer, github, github);
  await fc.assert(
    fc.asyncProperty(layers, async ([global, workspace, role, forge, roleForge]) => {
      await writeFile(path.join(root, 'config/config.toml'), `version = "v1alpha6"\n\n${tables('', global, forge)}`);
      await writeFile(path.join(root, 'config/workspaces/app.toml'), `${WORKSPACE}${tables('', workspace, undefined)}\n${tables('roles.smith.', role, roleForge)}`);
      const { contexts } = await gatherAuthStatus({ workspace: 'app', role: 'smith' }, deps);
      const files = await readConfigFiles(locatePaths(deps), 'app');
      const [only] = contexts;
      expect([contexts.length, only!.workspace, only!.role]).toEqual([1, 'app', 'smith']);
      for (const cell of only!.agents) {
        const { mode, sourceDir } = resolveAuth(files, 'smith', cell.agent, deps.home);
        expect([cell.mode, cell.decided_by]).toEqual([mode.value, deciderOf(mode.origin)]);
        expect(lineAt(cell.decided_by)).toBe(mode.origin.layer === 'default' ? null : `auth_forward = "${cell.mode}"`);
        const hasSource = cell.mode === 'sync' && sourceDir !== undefined;
        expect(lineAt(cell.source_dir_decided_by)).toBe(hasSource ? 'sync_source_dir = "/nowhere"' : null);
      }
      const decided = resolveGithub(files, 'smith').mode;
      expect([only!.github!.mode, only!.github!.decided_by]).toEqual([decided.value, deciderOf(decided.origin)]);
    }),
    { numRuns: 60 },
  );
});

/** The host's own login. */
const HOST = { sourceDir: undefined, login: undefined };
const said = (value: string) => ({ value, origin: { layer: 'global' as const }, trace: [] });

it('reads each login once, however many workspaces use it', async () => {
  const logins = openHostLogins(deps, NOW);
  expect(logins('kimi', HOST)).toBe(logins('kimi', HOST));
  expect(logins('kimi', { sourceDir: said('/a'), login: undefined })).not.toBe(logins('kimi', HOST));
  expect(logins('kimi', { sourceDir: undefined, login: said('/a') })).not.toBe(logins('kimi', { sourceDir: said('/a'), login: undefined }));
  expect(logins('codex', HOST)).not.toBe(logins('kimi', HOST));
  const forge = openGithubLogin(deps);
  expect(forge()).toBe(forge());
  await writeFiles(path.join(root, 'home/.kimi-code'), kimiCodeFiles());
  const workspaces = Array.from({ length: 3 }, (_, n) => writeFile(path.join(root, `config/workspaces/app-${n}.toml`), WORKSPACE));
  await Promise.all(workspaces);
  let lookedUp = 0;
  const keychain = () => Promise.resolve((lookedUp += 1)).then(() => undefined);
  const { contexts } = await gatherAuthStatus({}, { ...deps, keychain });
  expect(contexts).toHaveLength(4);
  // One agent at most keeps a login there.
  expect(lookedUp).toBeLessThanOrEqual(1);
  expect(new Set(contexts.map(({ agents }) => agents.find(({ agent }) => agent === 'kimi')!.state))).toEqual(new Set(['live']));
});

it('keeps no credential of a login that it has read', async () => {
  await writeFiles(path.join(root, 'home/.kimi-code'), kimiCodeFiles());
  const login = await openHostLogins(deps, NOW)('kimi', HOST);
  expect(Object.keys(login)).toEqual(['facts', 'view']);
  expect(login.view).toMatchObject({ state: 'live' });
  expect(JSON.stringify(login)).not.toMatch(/access-secret|refresh-secret|signature/);
});
