import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AgentSlug } from '../../../src/agents/agents.ts';
import type { HandoffChange } from '../../../src/auth/handoff.ts';
import { launchRequest, readHandedOver, spawnRequest } from '../../../src/launch/deliver.ts';
import type { Deps } from '../../../src/launch/deps.ts';
import type { LaunchPlan } from '../../../src/plan/plan.ts';
import { messageOf } from '../../../src/shared/errors.ts';
import { Secret } from '../../../src/shared/secret.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';
import { ACCOUNT, FORMS, NOW, writeHostLogin } from '../../fixtures/logins/logins.ts';
import { planOf } from '../plan/world.ts';

let root: string;
let home: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  home = path.join(root, 'home');
});

afterEach(() => rm(root, { recursive: true }));

const UID = process.getuid?.() ?? 0;

/** What is handed over of one agent's login for a plan that says so. */
const handOver = async (agent: AgentSlug, auth: Partial<LaunchPlan['auth'][number]> = {}): Promise<HandoffChange[]> => {
  const plan = { auth: [{ agent, mode: 'sync', source_dir: null, pinned_account: null, ...auth }], github: { mode: 'ignore' } } as unknown as LaunchPlan;
  const deps = { home, env: {}, uid: UID, now: () => NOW } as unknown as Deps;
  return (await readHandedOver(plan, undefined, deps, () => undefined)).logins;
};

const pinned = (account: string) => ({ pinned_account: { account, decided_by: { layer: 'global', file: '/c/config.toml', line: 2 } as const } });

describe.each(AGENT_SLUGS.map((agent) => [agent]))('the login of %s, read at the launch', (agent) => {
  const [first] = AGENTS[agent].handoffs;
  const tellsAccount = agent !== 'amp' && agent !== 'opencode' && agent !== 'kimi';

  test('is what the host has then, whatever the plan saw', async () => {
    await writeHostLogin(home, agent, 2, 'live');
    const [change] = await handOver(agent);
    expect(change).toMatchObject({ name: first, action: 'replace' });
    const texts = change?.action === 'replace' ? change.files.map(({ bytes }) => bytes.toString()) : [];
    expect(texts).toContain(FORMS[agent].text(2, 'live'));
  });

  test.each(['dead', 'absent'] as const)('that is %s then leaves what the container has', async (condition) => {
    await writeHostLogin(home, agent, 1, condition);
    expect(await handOver(agent)).toEqual(AGENTS[agent].handoffs.map((name) => ({ name, action: 'keep' })));
  });

  test('is not even looked at in another mode, and what was handed over goes', async () => {
    await writeHostLogin(home, agent, 1, 'live');
    for (const mode of AGENTS[agent].modes.filter((one) => one !== 'sync')) {
      expect(await handOver(agent, { mode })).toEqual(AGENTS[agent].handoffs.map((name) => ({ name, action: 'remove' })));
    }
  });

  test('that is somebody else’s by then stops the launch', async () => {
    await writeHostLogin(home, agent, 1, 'live');
    await expect(handOver(agent, pinned('other@example.test'))).rejects.toMatchObject({ code: 'auth.account', exitCode: 4 });
    const own = await handOver(agent, pinned(ACCOUNT)).then(([change]) => change?.action, messageOf);
    expect(own).toContain(tellsAccount ? 'replace' : 'does not tell whose account it is');
  });
});

test('a pinned account that Claude’s settings stopped telling stops the launch', async () => {
  await writeHostLogin(home, 'claude', 1, 'live');
  await writeFile(path.join(home, '.claude.json'), '{}');
  await expect(handOver('claude', pinned(ACCOUNT))).rejects.toMatchObject({ code: 'auth.account' });
  await rm(path.join(home, '.claude.json'));
  await mkdir(path.join(root, 'outside'));
  await writeFile(path.join(root, 'outside/claude.json'), JSON.stringify({ oauthAccount: { emailAddress: ACCOUNT } }));
  await symlink(path.join(root, 'outside/claude.json'), path.join(home, '.claude.json'));
  await expect(handOver('claude', pinned(ACCOUNT)), 'not through a link either').rejects.toMatchObject({ code: 'auth.account' });
});

const values = (entries: Record<string, string>): Map<string, Secret> => new Map(Object.entries(entries).map(([name, value]) => [name, new Secret(value)]));

describe('the first frame of a launch', () => {
  const KEYS = '[claude]\nauth_forward = "api_key"\n[codex]\nauth_forward = "api_key"\n[env]\nANTHROPIC_API_KEY = "$A"\nOPENAI_API_KEY = "$B"\nAMP_API_KEY = "$C"\nOTHER = "$D"\n';
  const plan = () => planOf({ global: KEYS, request: { agent: 'claude' }, facts: { hostEnv: { A: true, B: true, C: true, D: true } } });
  const env = { ANTHROPIC_API_KEY: 'fake-claude', OPENAI_API_KEY: 'fake-codex', AMP_API_KEY: 'fake-amp', OTHER: 'fake-other' };
  const frame = (changes: Record<string, string> = {}) => launchRequest(plan(), { env: values({ ...env, ...changes }), github: new Map() }, undefined);

  test('has the key of the agent that starts, for it alone, and no other agent’s', () => {
    const { setup, session } = frame();
    expect(session.keys).toEqual({ claude: { ANTHROPIC_API_KEY: 'fake-claude' } });
    expect(session.env).toMatchObject({ OTHER: 'fake-other' });
    expect(JSON.stringify(session.env)).not.toMatch(/fake-(claude|codex|amp)/);
    expect(JSON.stringify([setup, session.argv, session.cwd])).not.toContain('fake');
  });

  test('of one more session is the same: with the key of its own agent, or with none for an agent that does without', () => {
    const request = (agent: AgentSlug) => {
      const planned = planOf({ global: KEYS, request: { agent }, facts: { hostEnv: { A: true, B: true, C: true, D: true } } });
      return spawnRequest(planned, { env: values(env), github: new Map() }, undefined);
    };
    expect(request('codex').fresh?.keys).toEqual({ codex: { OPENAI_API_KEY: 'fake-codex' } });
    expect(JSON.stringify(request('codex'))).not.toMatch(/fake-(claude|amp)/);
    expect(request('amp').fresh?.keys).toEqual({ amp: {} });
    expect(JSON.stringify(request('amp'))).not.toMatch(/fake-(claude|codex|amp)/);
  });

  test('has a key of several lines as it is', () => {
    const key = 'fake-line\nfake-line\r\n';
    expect(frame({ ANTHROPIC_API_KEY: key }).session.keys['claude']).toEqual({ ANTHROPIC_API_KEY: key });
  });

  test('is not made when the key of the agent turns out to be empty', () => {
    expect(() => frame({ ANTHROPIC_API_KEY: '' })).toThrow(expect.objectContaining({ code: 'auth.missing', exitCode: 4 }));
    expect(() => frame({ OPENAI_API_KEY: '' })).not.toThrow();
  });

  test.each([
    ['sync', { GH_HOST: 'git.example.test' }],
    ['token', { GH_HOST: 'git.example.test', GH_TOKEN: 'gho_fake', GITHUB_TOKEN: 'gho_fakeTwin' }],
    ['ignore', {}],
  ])('has of GitHub in mode %s what belongs there', (mode, expected) => {
    const github = `[github]\nauth_forward = "${mode}"\n[github.env]\nGH_TOKEN = "$T"\nGITHUB_TOKEN = "$T"\nGH_HOST = "git.example.test"\n`;
    const planned = planOf({ global: github, facts: { hostEnv: { T: true } } });
    const { session, setup } = launchRequest(planned, { env: new Map(), github: values({ GH_TOKEN: 'gho_fake', GITHUB_TOKEN: 'gho_fakeTwin', GH_HOST: 'git.example.test' }) }, undefined);
    expect(Object.fromEntries(Object.entries(session.env).filter(([name]) => /^GH_|^GITHUB_/.test(name)))).toEqual(expected);
    expect(JSON.stringify([setup, session.argv, session.keys])).not.toContain('gho_fake');
  });
});
