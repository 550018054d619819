import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AGENT_SLUGS } from '../../../src/agents/agents.ts';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import { explainAll, type ExplainInput, explainKey, type Explanation } from '../../../src/config/explain.ts';
import type { ConfigFiles } from '../../../src/config/files.ts';
import { resolveConfig } from '../../../src/config/resolve.ts';
import { ConfigSchema, WorkspaceSchema } from '../../../src/config/schema.ts';
import { showEnv } from '../../../src/config/show-env.ts';

const load = (file: string, text: string) => {
  const document = parseDocument(file, text);
  if (isProblem(document)) throw new Error(document.message);
  return document;
};

const WORKSPACE_TOP = 'workdir = "/app"\nmounts = [{ src = "~/app", dst = "/app" }]\n';

const filesOf = (global?: string, workspace?: string): ConfigFiles => {
  const globalDocument = global === undefined ? undefined : load('/c/config.toml', global);
  const workspaceDocument = workspace === undefined ? undefined : load('/c/workspaces/app.toml', `${WORKSPACE_TOP}${workspace}`);
  return {
    global: globalDocument && { document: globalDocument, value: ConfigSchema.parse(globalDocument.value) },
    workspace: workspaceDocument && { document: workspaceDocument, value: WorkspaceSchema.parse(workspaceDocument.value) },
  };
};

const smith: ExplainInput = { role: { key: 'smith', origin: 'command line' }, agent: undefined, directory: null, home: '/home/op' };
const nobody: ExplainInput = { ...smith, role: undefined };

const one = (files: ConfigFiles, key: string, input = smith): Explanation => {
  const found = explainKey(files, input, key);
  expect(found).toHaveLength(1);
  return found[0]!;
};

const chainOf = ({ chain }: Explanation) => chain.map(({ layer, text, verdict, line }) => [layer, text, verdict, line]);

describe('the chain of a setting', () => {
  const files = filesOf('[kimi]\nauth_forward = "api_key"\n', '[kimi]\nauth_forward = "ignore"\n');

  it('has every layer, the nearest first, the winner marked and the beaten ones shown', () => {
    expect(chainOf(one(files, 'kimi.auth_forward'))).toEqual([
      ['workspace × role', '', 'not set', null],
      ['workspace', '"ignore"', 'decided', 4],
      ['global', '"api_key"', 'beaten', 2],
      ['default', '"sync"', 'beaten', null],
    ]);
  });

  it('ends with the default when nobody says anything', () => {
    expect(one(filesOf(), 'git.dco', nobody)).toMatchObject({ value: false, origin: { layer: 'default' } });
    expect(chainOf(one(filesOf(), 'git.dco')).at(-1)).toEqual(['default', 'false', 'decided', null]);
    expect(one(filesOf(), 'kimi.sync_source_dir')).toMatchObject({ value: null, text: 'not set' });
  });

  it('leaves the layers of roles out when there is no role', () => {
    expect(one(files, 'kimi.auth_forward', nobody).chain.map(({ layer }) => layer)).toEqual(['workspace', 'global', 'default']);
  });

  it('says for a variable all four layers, and hides literals in each', () => {
    const env = filesOf('[env]\nA = "canary"\n[roles.smith.env]\nA = "op://v/i/f"\n', '[env]\nA = "$HOST"\n[roles.smith.env]\nA = "canary"\n');
    const explanation = one(env, 'env.A');
    expect(explanation.chain.map(({ layer, text }) => [layer, text])).toEqual([
      ['workspace × role', '********'],
      ['workspace', '$HOST'],
      ['role', 'op://v/i/f'],
      ['global', '********'],
    ]);
    expect(JSON.stringify(explainAll(env, smith))).not.toContain('canary');
  });

  it('says for GitHub’s variables those of its own tables', () => {
    const env = filesOf('[github.env]\nGH_TOKEN = "op://a/b/c"\n[env]\nGH_TOKEN = "x"\n', '[roles.smith.github.env]\nGH_TOKEN = "$T"\n');
    expect(one(env, 'github.env.GH_TOKEN').chain.map(({ text }) => text)).toEqual(['$T', '', 'op://a/b/c']);
  });

  it('of the role and of the agent begins with the command line', () => {
    const saved = filesOf('', 'default_role = "neo"\nlast_role = "smith"\ndefault_agent = "amp"\n');
    expect(chainOf(one(saved, 'role')).map(([layer, text, verdict]) => [layer, text, verdict])).toEqual([
      ['command line', '"smith"', 'decided'],
      ['workspace', 'default_role "neo"', 'beaten'],
      ['workspace', 'last_role "smith"', 'beaten'],
    ]);
    expect(one(saved, 'role', { ...smith, role: { key: 'neo', origin: 'workspace' } })).toMatchObject({ value: 'neo', origin: { layer: 'workspace', line: 3 } });
    expect(one(saved, 'agent')).toMatchObject({ value: 'amp', origin: { layer: 'workspace' } });
    expect(one(saved, 'agent', { ...smith, agent: 'kimi' })).toMatchObject({ value: 'kimi', origin: { layer: 'command line' } });
    expect(one(filesOf(), 'agent').note).toContain('the role decides');
  });

  it('warns of a role that the workspace does not allow', () => {
    const saved = filesOf(undefined, 'allowed_roles = ["neo"]\n');
    expect(one(saved, 'role').note).toMatch(/allowed_roles does not name it \(workspace \(\/c\/workspaces\/app\.toml:3\)\): a launch refuses it/);
    expect(one(saved, 'role', { ...smith, role: { key: 'neo', origin: 'command line' } }).note).toBeNull();
  });

  it('lists every mount with its file, and tells two on one destination', () => {
    const global = '[docker.mounts]\ncache = { src = "/a", dst = "/app", readonly = true }\n[docker.mounts."ns/*"]\nother = { src = "/b", dst = "/b" }\n';
    const mounts = explainKey(filesOf(global, ''), smith, 'mounts');
    expect(mounts.map(({ key, text, origin }) => [key, text, origin.layer])).toEqual([
      ['mounts./app', '"/a" read-only, shared', 'global'],
      ['mounts./app', '"/home/op/app" writable, shared', 'workspace'],
    ]);
    expect(mounts[0]!.note).toContain('a launch refuses that');
    expect(explainKey(filesOf(global, ''), { ...smith, role: { key: 'ns/x', origin: 'command line' } }, 'mounts./b')).toHaveLength(1);
  });
});

describe('a key', () => {
  const files = filesOf('[kimi]\nauth_forward = "api_key"\n[env]\nTOKEN = "x"\n', '');
  const keys = (wanted: string, input = smith) => explainKey(files, input, wanted).map(({ key }) => key);

  it('may be a whole table', () => {
    expect(keys('kimi')).toEqual(['kimi.auth_forward', 'kimi.sync_source_dir', 'kimi.login', 'kimi.account']);
    expect(keys('env')).toEqual(['env.TOKEN']);
  });

  it('may be written as in the file, or short when the agent is named', () => {
    expect(keys('roles.smith.kimi.auth_forward')).toEqual(['kimi.auth_forward']);
    expect(keys('auth_forward', { ...smith, agent: 'kimi' })).toEqual(['kimi.auth_forward']);
    expect(keys('roles.smith.trusted')).toEqual(['roles.smith.trusted']);
  });

  it('may be a variable that nobody sets; a slip is told', () => {
    expect(one(files, 'env.TOKN')).toMatchObject({ value: null, text: 'not set', note: 'did you mean "TOKEN"?' });
  });

  it.each([
    ['kimi.auth_forwad', 'did you mean "kimi.auth_forward"'],
    ['gihub', 'did you mean "github"'],
    ['__proto__', 'jackin config explain'],
    ['x'.repeat(10_000), 'jackin config explain'],
  ])('that there is not names the nearest: %.20s', (wanted, hint) => {
    expect(() => explainKey(files, smith, wanted)).toThrow(expect.objectContaining({ code: 'not-found', hint: expect.stringContaining(hint) }));
  });
});

const MODES = [undefined, 'sync', 'api_key', 'ignore'] as const;

/** Settings in every layer, chosen at random. */
const worlds = fc.record({
  globalMode: fc.constantFrom(...MODES),
  workspaceMode: fc.constantFrom(...MODES),
  roleMode: fc.constantFrom(...MODES),
  source: fc.constantFrom(undefined, '~/a', '/b'),
  login: fc.constantFrom(undefined, 'work'),
  nearSource: fc.constantFrom(undefined, '/near'),
  slug: fc.constantFrom(...AGENT_SLUGS),
  dco: fc.constantFrom(undefined, true, false),
  version: fc.constantFrom(undefined, '1.2.3'),
  vars: fc.record(Object.fromEntries(['global', 'role', 'workspace', 'both'].map((layer) => [layer, fc.constantFrom(undefined, 'literal', '$HOST', 'op://v/i/f')]))),
  pull: fc.constantFrom(undefined, true, false),
});

const table = (header: string, values: Record<string, unknown>): string => {
  const lines = Object.entries(values).filter(([, value]) => value !== undefined).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return lines.length === 0 ? '' : `[${header}]\n${lines.join('\n')}\n`;
};

describe('an explanation', () => {
  it('says what a launch does, for every combination of layers', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { slug, vars } = world;
        const files = filesOf(
          table(slug, { auth_forward: world.globalMode, sync_source_dir: world.source }) + table('git', { dco: world.dco }) + table(`agents.${slug}`, { version: world.version }) + table('env', { X: vars.global }) + table('roles.smith.env', { X: vars.role }),
          (world.pull === undefined ? '' : `git_pull_on_entry = ${world.pull}\n`) + table(slug, { auth_forward: world.workspaceMode, ...(slug === 'kimi' && { login: world.login }) }) + table('env', { X: vars.workspace }) + table(`roles.smith.${slug}`, { auth_forward: world.roleMode, sync_source_dir: world.nearSource }) + table('roles.smith.env', { X: vars.both }),
        );
        const launch = resolveConfig(files, { role: 'smith', workspace: 'app', directory: null, mounts: [], home: '/home/op' });
        const said = new Map(explainAll(files, smith).map(({ key, value, origin }) => [key, { value, origin }]));
        const plain = (decision: { value: unknown; origin: unknown } | undefined) => ({ value: decision?.value ?? null, origin: decision?.origin ?? { layer: 'default' } });
        expect(said.get(`${slug}.auth_forward`)).toEqual(plain(launch.auth[slug].mode));
        expect(said.get(`${slug}.sync_source_dir`)).toEqual(plain(launch.auth[slug].sourceDir));
        expect(said.get('kimi.login')).toEqual(plain(launch.auth.kimi.login));
        expect(said.get(`agents.${slug}.version`)).toEqual(plain(launch.agentVersions[slug]));
        expect(said.get('git.dco')).toEqual(plain(launch.git.dco));
        expect(said.get('git_pull_on_entry')).toEqual(plain(launch.workspace.gitPull));
        const variable = launch.env.find(({ name }) => name === 'X');
        const raw = vars.both ?? vars.workspace ?? vars.role ?? vars.global;
        expect(said.get('env.X')).toEqual(variable && { value: showEnv(raw!), origin: variable.origin });
      }),
      { numRuns: 300 },
    );
  });

  it('is not changed by a setting that has nothing to do with it', () => {
    const base = filesOf('[kimi]\nauth_forward = "api_key"\n', '');
    const noisy = filesOf('[kimi]\nauth_forward = "api_key"\n[amp]\nauth_forward = "ignore"\n[env]\nA = "1"\n[roles.other]\ntrusted = true\n', '[roles.other.kimi]\nauth_forward = "ignore"\n');
    expect(one(noisy, 'kimi.auth_forward')).toEqual(one(base, 'kimi.auth_forward'));
  });

  it('has exactly one winner where something was decided, and none where nothing was', () => {
    for (const { value, chain } of explainAll(filesOf('[kimi]\nauth_forward = "api_key"\n[env]\nA = "1"\n', 'default_role = "smith"\n'), smith)) {
      expect(chain.filter(({ verdict }) => verdict === 'decided')).toHaveLength(value === null ? 0 : 1);
    }
  });
});
