import { describe, expect, it } from 'vitest';
import type { RoleFacts } from '../../../src/plan/facts.ts';
import { LOGIN, planOf, type World } from './world.ts';

const role = (changes: Partial<RoleFacts>): World['facts'] => ({
  role: {
    key: 'agent-smith',
    name: 'Smith',
    source: { kind: 'built-in', path: '/pkg' },
    contentHash: 'c',
    dockerfile: 'Dockerfile',
    manifestFile: '/pkg/jackin.role.toml',
    agents: ['kimi'],
    models: {},
    env: [],
    hooks: [],
    trust: { state: 'built-in', why: 'part of jackin' },
    notes: [],
    lock: null,
    published: null,
    ...changes,
  },
});

const kimi = (plan: ReturnType<typeof planOf>) => plan.auth.find(({ agent }) => agent === 'kimi')!;

describe('the plan', () => {
  it('is the same for the same launch: nothing random, no time, no secret', () => {
    const world: World = { global: '[env]\nTOKEN = "sk-canary"\n' };
    expect(planOf(world)).toEqual(planOf(world));
    expect(JSON.stringify(planOf(world))).not.toContain('canary');
    expect(planOf(world).env).toEqual([{ name: 'TOKEN', kind: 'literal', decided_by: { layer: 'global', file: '/c/config.toml', line: 2 } }]);
  });

  it('shows what the role runs first', () => {
    const hooks: RoleFacts['hooks'] = [{ name: 'source', file: 'hooks/env' }];
    expect(planOf({ facts: role({ hooks }) }).role.hooks).toEqual(hooks);
  });

  it('mounts the directory where it is and starts there', () => {
    const plan = planOf();
    expect(plan.workspace).toMatchObject({ kind: 'directory', workdir: '/home/op/app' });
    expect(plan.mounts[0]).toMatchObject({ source: '/home/op/app', target: '/home/op/app', readonly: false, isolation: 'shared' });
  });

  it('mounts the handoff read-only and every agent’s home as a directory', () => {
    const targets = Object.fromEntries(planOf().mounts.map(({ target, readonly }) => [target, readonly]));
    expect(targets['/jackin/handoff']).toBe(true);
    expect(targets).toMatchObject({ '/home/agent/.kimi-code': false, '/home/agent/.kimi': false, '/home/agent/.claude': false });
  });

  it('gives the container no capability, no new privileges, an init and a limit of processes', () => {
    expect(planOf().container).toMatchObject({ cap_drop: ['ALL'], no_new_privileges: true, init: true, pids_limit: 4096 });
  });

  it('takes away what would run in front of the capsule', () => {
    expect(planOf().container.env).toEqual(expect.arrayContaining(['NODE_OPTIONS', 'LD_PRELOAD']));
  });

  it('needs the workdir to be there', () => {
    expect(() => planOf({ facts: { workdir: { missing: '/home/op/app/nope' } } })).toThrow(/there is no \/home\/op\/app\/nope on this machine/);
  });

  it('joins the networks that were asked for, after its own', () => {
    expect(planOf({ request: { networks: ['db-net'] } }).container.networks).toEqual(['jk-<id>-agentsmith-net', 'db-net']);
  });
});

describe('who the container runs as', () => {
  const user = (operator: number, owner: number) =>
    planOf({ facts: { operator: { uid: operator, gid: operator }, workdir: { owner: { uid: owner, gid: owner } } } }).container;

  it('is the operator; for root the owner of the workdir; for root twice uid 0, told that it is a sandbox', () => {
    expect(user(1000, 1000).user.uid).toBe(1000);
    expect(user(1000, 0).user.uid).toBe(1000);
    expect(user(0, 1234).user).toMatchObject({ uid: 1234, gid: 1234 });
    expect(user(0, 0).user.uid).toBe(0);
    expect(user(0, 0).env).toContain('IS_SANDBOX=1');
    expect(user(0, 1234).env).not.toContain('IS_SANDBOX=1');
  });
});

describe('the session', () => {
  it('is kimi --yolo in a terminal', () => {
    const { session } = planOf();
    expect(session.io).toBe('pty');
    expect(session.argv.slice(2)).toEqual(['--yolo']);
    expect(session.approvals).toContain('--yolo');
  });

  it('leaves --yolo out when another way was asked for, since they exclude each other', () => {
    const { session } = planOf({ request: { agentArguments: ['--auto'] } });
    expect(session.argv.slice(2)).toEqual(['--auto']);
    expect(session.approvals).toContain('--auto');
  });

  it('runs a prompt on pipes, with neither', () => {
    const { session } = planOf({ request: { session: { kind: 'prompt', text: '--help me <id>' } } });
    expect(session).toMatchObject({ io: 'pipe', kind: 'prompt' });
    expect(session.argv.slice(2)).toEqual(['--prompt', '--help me <id>']);
  });

  it('passes the role’s model as the alias that answers to it', () => {
    const model = (requested: string) => planOf({ facts: role({ models: { kimi: requested } }) });
    expect(model('kimi-for-coding').session.argv.slice(2)).toEqual(['--yolo', '--model', 'kimi-code/kimi-for-coding']);
    expect(model('kimi-code/kimi-for-coding').agent.model).toMatchObject({ passed: 'kimi-code/kimi-for-coding', note: null });
    expect(model('k9').session.argv.slice(2)).toEqual(['--yolo', '--model', 'k9']);
    expect(model('k9').warnings.join()).toContain('configured: kimi-code/kimi-for-coding');
  });

  it('leaves the role’s model out when the operator names one', () => {
    const plan = planOf({ facts: role({ models: { kimi: 'kimi-for-coding' } }), request: { agentArguments: ['-m', 'other'] } });
    expect(plan.session.argv.slice(2)).toEqual(['--yolo', '-m', 'other']);
  });
});

describe('which agent', () => {
  const workspace = (extra: string) => `workdir = "/home/op/app"\n${extra}mounts = [{ src = "/home/op/app", dst = "/home/op/app" }]\n`;

  it('is the only one of the role, else the only one with a login, when nobody says', () => {
    expect(planOf({ facts: role({ agents: ['kimi'] }) }).agent).toMatchObject({ slug: 'kimi', decided_by: { layer: 'role' } });
    expect(planOf().agent).toMatchObject({ slug: 'kimi', decided_by: { layer: 'only login' } });
    const key = '[codex]\nauth_forward = "api_key"\n[env]\nOPENAI_API_KEY = "k"\n';
    expect(planOf({ global: key, facts: { logins: {} } }).agent).toMatchObject({ slug: 'codex', decided_by: { layer: 'only login' } });
    expect(planOf({ facts: { logins: {} } }).agent).toMatchObject({ slug: 'kimi', decided_by: { layer: 'default' } });
  });

  it('must be named when several have a login', () => {
    const logins = { kimi: LOGIN, claude: { ...LOGIN, agent: 'claude' as const, generation: null } };
    expect(() => planOf({ facts: { logins } })).toThrow(/more than one agent/);
    expect(planOf({ facts: { logins }, request: { agent: 'claude' } }).agent.slug).toBe('claude');
  });

  it('is the workspace’s default, and the command line before it', () => {
    expect(planOf({ workspace: workspace('default_agent = "kimi"\n') }).agent.decided_by).toMatchObject({ layer: 'workspace', line: 2 });
    expect(planOf({ workspace: workspace('default_agent = "kimi"\n'), request: { agent: 'claude' } }).agent).toMatchObject({ slug: 'claude', decided_by: { layer: 'command line' } });
  });

  it('must be one of the role', () => {
    expect(() => planOf({ request: { agent: 'codex' }, facts: role({ agents: ['kimi'] }) })).toThrow(/does not have the agent codex/);
  });

  it('is pinned by [agents.kimi] version', () => {
    expect(planOf({ global: '[agents.kimi]\nversion = "2.1.0"\n' }).agent.version).toBe('2.1.0');
  });

  it('runs only in a workspace that allows the role', () => {
    expect(() => planOf({ workspace: workspace('allowed_roles = ["neo"]\n') })).toThrow(/workspace app does not allow the role agent-smith/);
    expect(planOf({ workspace: workspace('allowed_roles = []\n') }).role.key).toBe('agent-smith');
  });
});

describe('the login', () => {
  it('is handed over as files in sync, and the fork is said', () => {
    expect(kimi(planOf())).toMatchObject({ mode: 'sync', delivery: 'handoff files', forks_login: true });
  });

  it('is not handed over when it is dead or absent', () => {
    for (const state of ['dead', 'absent'] as const) {
      expect(kimi(planOf({ facts: { logins: { kimi: { ...LOGIN, state } } } }))).toMatchObject({ delivery: 'nothing', forks_login: false });
    }
  });

  it('does not fork when there is nothing to refresh with', () => {
    expect(kimi(planOf({ facts: { logins: { kimi: { ...LOGIN, refreshable: false } } } })).forks_login).toBe(false);
  });

  it('names the links that were left out', () => {
    const skipped = [{ path: 'credentials/x.json', why: 'is a link' }];
    expect(planOf({ facts: { logins: { kimi: { ...LOGIN, skipped } } } }).warnings).toContain('credentials/x.json is not handed over: is a link');
  });

  it('is nothing at all under ignore', () => {
    expect(kimi(planOf({ global: '[kimi]\nauth_forward = "ignore"\n' }))).toMatchObject({ mode: 'ignore', login: null, key: null, delivery: 'nothing' });
  });
});

describe('a key', () => {
  const apiKey = '[kimi]\nauth_forward = "api_key"\n';

  it('goes over stdin, with the endpoint that it is for', () => {
    const plan = planOf({ global: `${apiKey}[env]\nKIMI_API_KEY = "sk"\nKIMI_BASE_URL = "http://kimi.test/v1"\n` });
    expect(kimi(plan)).toMatchObject({ delivery: 'stdin of the capsule', key: 'KIMI_API_KEY', provider: { base_url: 'http://kimi.test/v1' } });
    expect(JSON.stringify(plan.container)).not.toContain('KIMI_API_KEY');
  });

  it('is needed: without it the launch stops, with the layers of mode and key', () => {
    const stop = () => planOf({ global: `${apiKey}[env]\nKIMI_API_KEY = "$MY_KEY"\n`, facts: { hostEnv: { MY_KEY: false } } });
    expect(stop).toThrow(/needs KIMI_API_KEY, and KIMI_API_KEY is not there/);
    expect(stop).toThrow(/kimi\.auth_forward at global \(\/c\/config\.toml:2\): api_key/);
    expect(stop).toThrow(/KIMI_API_KEY at global \(\/c\/config\.toml:4\): \$MY_KEY, which is not set on the host/);
    expect(stop).toThrow(expect.objectContaining({ code: 'auth.missing', exitCode: 4 }));
  });

  it('is for the model of the role, when it names one', () => {
    const plan = planOf({ global: `${apiKey}[env]\nKIMI_API_KEY = "sk"\n`, facts: role({ models: { kimi: 'kimi-k2' } }) });
    expect(kimi(plan).provider).toMatchObject({ model: 'kimi-k2' });
    expect(plan.session.argv.slice(2)).toEqual(['--yolo', '--model', 'jackin/kimi-k2']);
  });

  it('of an agent that is not started stops nothing', () => {
    expect(planOf({ global: '[codex]\nauth_forward = "api_key"\n' }).auth.find(({ agent }) => agent === 'codex')).toMatchObject({ delivery: 'nothing' });
  });

  it('that no mode uses is said to go nowhere', () => {
    expect(planOf({ global: '[env]\nKIMI_API_KEY = "sk"\n' }).warnings.join()).toMatch(/KIMI_API_KEY .* goes to no session: kimi is set to sync by default/);
  });

  it.each([
    ['Europe/Berlin', ['TZ=Europe/Berlin']],
    ['CET-1CEST,M3.5.0,M10.5.0/3', ['TZ=CET-1CEST,M3.5.0,M10.5.0/3']],
    [':/etc/localtime', []],
    ['x\nLD_PRELOAD=/evil', []],
    [undefined, []],
  ])('takes the operator’s time zone along when it is a name: %j', (timeZone, expected) => {
    const { env } = planOf({ facts: timeZone === undefined ? {} : { timeZone } }).container;
    expect(env.filter((line) => line.includes('TZ=') || line.includes('PRELOAD='))).toEqual(expected);
  });
});
