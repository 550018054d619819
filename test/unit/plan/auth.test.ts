import { describe, expect, it } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AgentSlug } from '../../../src/agents/agents.ts';
import type { LoginFacts, LoginState } from '../../../src/agents/login-facts.ts';
import { LOGIN, planOf, type World } from './world.ts';

const EACH = AGENT_SLUGS.map((agent) => [agent]);
const WORKING: LoginState[] = ['live', 'expired-refreshable', 'unknown'];

const loginOf = (agent: AgentSlug, changes: Partial<LoginFacts> = {}): World['facts'] => ({ logins: { [agent]: { ...LOGIN, agent, ...changes } } });

/** The plan for one agent, with its login and its block of the configuration. */
const plan = (agent: AgentSlug, login: Partial<LoginFacts>, block = '', request: World['request'] = {}) =>
  planOf({ global: block === '' ? '' : `[${agent}]\n${block}\n`, facts: loginOf(agent, login), request: { agent, ...request } });

const authOf = (planned: ReturnType<typeof planOf>, agent: AgentSlug) => planned.auth.find((auth) => auth.agent === agent)!;

/** A login that does not tell whose it is. */
const NAMELESS: LoginFacts = Object.fromEntries(Object.entries(LOGIN).filter(([key]) => key !== 'account')) as unknown as LoginFacts;

describe.each(EACH)('the login of %s', (agent) => {
  it.each(WORKING)('that is %s is handed over', (state) => {
    expect(authOf(plan(agent, { state }), agent)).toMatchObject({ mode: 'sync', delivery: 'handoff files', login: { state }, pinned_account: null });
  });

  it.each(['dead', 'absent'] as const)('that is %s is not, and stops nothing', (state) => {
    expect(authOf(plan(agent, { state }), agent)).toMatchObject({ delivery: 'nothing', forks_login: false, login: { state } });
  });

  it('is not looked at in another mode', () => {
    for (const mode of AGENTS[agent].modes.filter((one) => one !== 'sync')) {
      const key = AGENTS[agent].keys[mode];
      const planned = planOf({ global: `[${agent}]\nauth_forward = "${mode}"\n[env]\n${key ?? 'X'} = "fake-key"\n`, facts: loginOf(agent), request: { agent } });
      expect(authOf(planned, agent)).toMatchObject({ mode, login: null, forks_login: false, key: key ?? null, delivery: key === undefined ? 'nothing' : 'stdin of the capsule' });
      expect(JSON.stringify(planned)).not.toContain('fake-key');
    }
  });

  it('may be looked for from the home', () => {
    expect(authOf(plan(agent, {}, 'sync_source_dir = "~/srv/login"'), agent)).toMatchObject({ source_dir: '/home/op/srv/login', source_dir_decided_by: { layer: 'global', line: 2 } });
  });

  describe('with a pinned account', () => {
    it('is that account’s', () => {
      expect(authOf(plan(agent, {}, 'account = "someone@example.test"'), agent)).toMatchObject({
        delivery: 'handoff files',
        pinned_account: { account: 'someone@example.test', decided_by: { layer: 'global', line: 2 } },
      });
    });

    it.each(WORKING)('and of another one, %s, stops the launch, and both are named with where it is pinned', (state) => {
      const stopped = () => plan(agent, { state }, 'account = "other@example.test"');
      expect(stopped).toThrow(expect.objectContaining({ code: 'auth.account', exitCode: 4 }));
      expect(stopped).toThrow(`the ${AGENTS[agent].name} login on this machine is of the account someone@example.test, and global (/c/config.toml:2) allows other@example.test only`);
    });

    it.each(WORKING)('that does not tell whose it is, %s, stops the launch as well', (state) => {
      const stopped = () => planOf({ global: `[${agent}]\naccount = "someone@example.test"\n`, facts: { logins: { [agent]: { ...NAMELESS, agent, state } } }, request: { agent } });
      expect(stopped).toThrow(expect.objectContaining({ code: 'auth.account' }));
      expect(stopped).toThrow('does not tell whose account it is');
    });

    it.each(['Someone@example.test', 'someone@example.test ', 'someone@example.test.evil', 'someone', ''])('is compared exactly: %j is another', (pin) => {
      expect(() => plan(agent, {}, `account = ${JSON.stringify(pin)}`)).toThrow();
    });

    it.each(['dead', 'absent'] as const)('and %s is not asked whose it is: it goes nowhere', (state) => {
      expect(authOf(plan(agent, { state }, 'account = "other@example.test"'), agent).delivery).toBe('nothing');
    });

    it('stops the launch also of another agent, since it would be handed over all the same', () => {
      const other = AGENT_SLUGS.find((slug) => slug !== agent)!;
      expect(() => plan(agent, {}, 'account = "other@example.test"', { agent: other })).toThrow(expect.objectContaining({ code: 'auth.account' }));
    });

    it('is not asked in another mode', () => {
      expect(authOf(plan(agent, {}, 'account = "other@example.test"\nauth_forward = "ignore"'), agent)).toMatchObject({ mode: 'ignore', delivery: 'nothing' });
    });
  });

  describe('with --strict-auth', () => {
    const strict = { strictAuth: true };

    it.each(['live', 'unknown'] as const)('that is %s passes', (state) => {
      expect(authOf(plan(agent, { state }, '', strict), agent).delivery).toBe('handoff files');
    });

    it.each([
      ['dead', 'auth.dead'],
      ['absent', 'auth.missing'],
      ['expired-refreshable', 'auth.missing'],
    ] as const)('that is %s stops the launch', (state, code) => {
      const stopped = () => plan(agent, { state, why: 'It is over.' }, '', strict);
      expect(stopped).toThrow(expect.objectContaining({ code, exitCode: 4, message: '--strict-auth: It is over.' }));
      expect(stopped).toThrow(expect.objectContaining({ hint: expect.stringContaining(AGENTS[agent].loginCommand) as string }));
    });

    it('stops no launch of another agent', () => {
      const other = AGENT_SLUGS.find((slug) => slug !== agent)!;
      const logins = { [agent]: { ...LOGIN, agent, state: 'dead' as const }, [other]: { ...LOGIN, agent: other } };
      expect(planOf({ facts: { logins }, request: { agent: other, ...strict } }).agent.slug).toBe(other);
    });

    it('has nothing against a launch without any login that was asked for', () => {
      expect(authOf(plan(agent, { state: 'dead' }, 'auth_forward = "ignore"', strict), agent).mode).toBe('ignore');
    });
  });
});

describe('one prompt without a login', () => {
  const prompt = { session: { kind: 'prompt', text: 'hello' } } as const;
  const waits = AGENT_SLUGS.filter((agent) => AGENTS[agent].runtime.oneShotNeedsLogin === true);

  it('is answered by no Amp, which would wait for one', () => {
    expect(waits).toEqual(['amp']);
    for (const state of ['dead', 'absent'] as const) {
      const stopped = () => plan('amp', { state, why: 'It is over.' }, '', prompt);
      expect(stopped).toThrow(expect.objectContaining({ code: 'auth.missing', exitCode: 4, message: 'Amp answers no prompt without a login: It is over.' }));
      expect(stopped).toThrow(expect.objectContaining({ hint: expect.stringContaining('amp login') as string }));
    }
    expect(() => plan('amp', {}, 'auth_forward = "ignore"', prompt)).toThrow('Amp answers no prompt without a login: Amp is set to ignore, so it has no login');
  });

  it('is answered by Amp with a login or with a key, and a person may start it without', () => {
    for (const state of WORKING) expect(plan('amp', { state }, '', prompt).session.kind).toBe('prompt');
    const key = planOf({ global: '[amp]\nauth_forward = "api_key"\n[env]\nAMP_API_KEY = "fake-key"\n', request: { agent: 'amp', ...prompt } });
    expect(authOf(key, 'amp').delivery).toBe('stdin of the capsule');
    expect(plan('amp', { state: 'absent' }).session.kind).toBe('attached');
  });

  it.each(AGENT_SLUGS.filter((agent) => !waits.includes(agent)))('is left to %s, which says so itself', (agent) => {
    expect(plan(agent, { state: 'absent' }, '', prompt).session.kind).toBe('prompt');
  });
});

describe('a key', () => {
  const cases = AGENT_SLUGS.flatMap((agent) => Object.entries(AGENTS[agent].keys).map(([mode, key]) => ({ agent, mode, key })));

  it.each(cases)('$key of $agent is needed in mode $mode, and goes nowhere without it', ({ agent, mode, key }) => {
    const block = `[${agent}]\nauth_forward = "${mode}"\n`;
    expect(() => planOf({ global: block, request: { agent } })).toThrow(expect.objectContaining({ code: 'auth.missing', message: expect.stringContaining(`needs ${key}, and ${key} is not there`) as string }));
    expect(() => planOf({ global: `${block}[env]\n${key} = ""\n`, request: { agent } })).toThrow('set, but empty');
    const unused = planOf({ global: `[${agent}]\nauth_forward = "ignore"\n[env]\n${key} = "fake-key"\n`, request: { agent } });
    expect(unused.warnings.join('\n')).toMatch(new RegExp(`${key} \\(global .* goes to no session: ${agent} is set to ignore`));
  });

  it('that 1Password holds counts as there: only it can tell', () => {
    const planned = planOf({ global: '[codex]\nauth_forward = "api_key"\n[env]\nOPENAI_API_KEY = "op://Work/x/y"\n', request: { agent: 'codex' } });
    expect(authOf(planned, 'codex').delivery).toBe('stdin of the capsule');
  });
});
