import { describe, expect, it } from 'vitest';
import { AGENT_SLUGS } from '../../../src/agents/agents.ts';
import type { LoginFacts } from '../../../src/agents/login-facts.ts';
import { announcement } from '../../../src/launch/announce.ts';
import { LOGIN, planOf, ROLE, type World } from './world.ts';

const DIR = '/home/op/.jackin/logins/kimi/work';

/** A launch for which the configuration, or the command line, names the login `work`. */
const world = (login: Partial<LoginFacts> = {}, { facts, request, ...rest }: World = {}): World => ({
  global: '[kimi]\nlogin = "work"\n',
  ...rest,
  request: { agent: 'kimi', ...request },
  facts: { logins: { kimi: { ...LOGIN, dir: DIR, from: 'own login', ...login } }, ownLogins: ['home', 'work'], ...facts },
});

const kimiOf = (planned: ReturnType<typeof planOf>) => planned.auth.find(({ agent }) => agent === 'kimi')!;

describe('a login of jackin’s own', () => {
  it('is leased, not copied, and the plan says who decided it and what becomes of the host', () => {
    const planned = planOf(world());
    expect(kimiOf(planned)).toMatchObject({
      mode: 'sync', delivery: 'lease', forks_login: false, source_dir: null, source_dir_decided_by: null,
      own_login: { account: 'work', decided_by: { layer: 'global', file: '/c/config.toml', line: 2 } },
      login: { dir: DIR, from: 'own login' },
    }); // prettier-ignore
    expect(planned.host_effects).toContainEqual({ path: DIR, what: 'the keeper may renew the login' });
    expect(planned.host_effects).toContainEqual({ path: '/home/op/.jackin/keeper', what: expect.stringContaining('the keeper is started') as string });
  });

  it('changes nothing for a launch without one', () => {
    const planned = planOf();
    expect(kimiOf(planned)).toMatchObject({ own_login: null, delivery: 'handoff files', forks_login: true });
    expect(planned.host_effects.map(({ what }) => what).join()).not.toContain('keeper');
  });

  it('is the command line’s before any layer, whatever mode they set', () => {
    const planned = planOf(world({}, { global: '[kimi]\nauth_forward = "ignore"\nlogin = "home"\n', workspace: 'workdir = "/w"\nmounts = [{ src = "/w", dst = "/w" }]\n[kimi]\nauth_forward = "api_key"\nsync_source_dir = "/srv/kimi"\n', request: { login: 'work' } }));
    expect(kimiOf(planned)).toMatchObject({ mode: 'sync', decided_by: { layer: 'command line' }, own_login: { account: 'work', decided_by: { layer: 'command line' } }, source_dir: null, delivery: 'lease' });
    expect(planned.warnings.join()).not.toContain('login');
  });

  it('may have an expired access token, under --strict-auth as well: the keeper renews it', () => {
    for (const strictAuth of [false, true]) {
      expect(kimiOf(planOf(world({ state: 'expired-refreshable' }, { request: { strictAuth } }))).delivery).toBe('lease');
    }
  });

  it('that is not there stops the launch of Kimi, and those that are there are named', () => {
    const missing = (ownLogins: string[]) => () => planOf(world({ state: 'absent' }, { facts: { ownLogins, logins: { kimi: { ...LOGIN, dir: DIR, from: 'own login', state: 'absent' } } } }));
    expect(missing(['home', 'play'])).toThrow(expect.objectContaining({
      code: 'not-found', exitCode: 7, hint: 'log in with `jackin login kimi --account work`',
      message: "the login work of jackin's own (for Kimi, by global (/c/config.toml:2)) is not there (there are: home, play)",
    })); // prettier-ignore
    expect(missing([])).toThrow('there are none yet');
  });

  it.each(['dead', 'absent'] as const)('that is there and %s cannot be renewed, and stops the launch', (state) => {
    expect(() => planOf(world({ state, why: 'It is over.' }))).toThrow(expect.objectContaining({ code: 'auth.dead', message: expect.stringContaining('does not work: It is over') as string }));
  });

  it('that is missing stops no other agent: it is a note', () => {
    const planned = planOf(world({ state: 'absent' }, { request: { agent: 'codex' }, facts: { ownLogins: [], logins: { kimi: { ...LOGIN, from: 'own login', state: 'absent' } } } }));
    expect(kimiOf(planned).delivery).toBe('nothing');
    expect(planned.warnings).toContainEqual(expect.stringMatching(/the login work .*\(global \(\/c\/config\.toml:2\)\) does not work.*`jackin login kimi --account work`/));
  });

  it('that the command line names is refused for a role without Kimi', () => {
    const role = { ...ROLE, agents: ['codex' as const] };
    expect(() => planOf(world({}, { facts: { role }, request: { agent: 'codex', login: 'work' } }))).toThrow(expect.objectContaining({ code: 'usage', message: '--login kimi:work: the role agent-smith does not have Kimi' }));
    expect(planOf(world({}, { facts: { role }, request: { agent: 'codex' } })).agent.slug).toBe('codex');
  });

  it('is not used in another mode, and both places are named', () => {
    const planned = planOf(world({}, { global: '[kimi]\nauth_forward = "ignore"\nlogin = "work"\n' }));
    expect(kimiOf(planned)).toMatchObject({ mode: 'ignore', own_login: null, delivery: 'nothing' });
    expect(planned.warnings).toContain("the login work of jackin's own (global (/c/config.toml:3)) is not used: kimi is set to ignore by global (/c/config.toml:2)");
  });

  it('answers to the pinned account, and says which login has another', () => {
    const pinned = (account: string) => () => planOf(world({}, { global: `[kimi]\nlogin = "work"\naccount = "${account}"\n` }));
    expect(kimiOf(pinned('someone@example.test')()).delivery).toBe('lease');
    expect(pinned('other@example.test')).toThrow(expect.objectContaining({
      code: 'auth.account', hint: expect.stringContaining('jackin login kimi --account work') as string,
      message: "the login work of jackin's own is of the account someone@example.test, and global (/c/config.toml:3) allows other@example.test only",
    })); // prettier-ignore
  });

  it('has aliases of its own for the role’s model', () => {
    const model = (aliases: LoginFacts['aliases']) => planOf(world({ aliases }, { facts: { role: { ...ROLE, models: { kimi: 'k9' } } } })).agent.model;
    expect(model([{ alias: 'kimi-code/k9', model: 'k9' }])).toEqual({ requested: 'k9', passed: 'kimi-code/k9', note: null });
    expect(model([{ alias: 'kimi-code/k8', model: 'k8' }])!.note).toContain('no alias answers to it (configured: kimi-code/k8)');
  });
});

describe('what a person is told', () => {
  const none = Object.fromEntries(AGENT_SLUGS.map((agent) => [agent, { ...LOGIN, agent, state: 'absent' as const, why: 'There is none.' }]));
  const told = ({ facts, ...given }: World): string => announcement(planOf({ ...given, facts: { ...facts, logins: { ...none, ...(facts?.logins ?? { kimi: LOGIN }) } } })).join('\n');

  it('is that the keeper renews it and the container gets access only', () => {
    expect(told(world({}, { request: { login: 'work' } }))).toContain("login      kimi: sync, by command line. Login work of jackin's own (account someone@example.test): the keeper renews it, the container gets access only.");
    expect(told(world())).toContain("kimi: sync, by default. Login work of jackin's own (account someone@example.test), set by global (/c/config.toml:2): the keeper renews it");
  });

  it('is no word of a fork for it, and for a copy what to run instead, once', () => {
    expect(told(world())).not.toContain('rotates');
    const copied = told({});
    expect(copied.match(/rotates/g)).toHaveLength(1);
    expect(copied.match(/`jackin login kimi`/g)).toHaveLength(1);
    expect(copied).toContain('`--login`');
  });

  it('is nothing of Kimi where another agent’s login is copied', () => {
    expect(told({ facts: { logins: { codex: { ...LOGIN, agent: 'codex' } } }, request: { agent: 'codex' } })).not.toContain('jackin login');
  });
});
