import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AgentSlug, type AuthMode } from '../../../src/agents/agents.ts';
import type { LoadRequest } from '../../../src/plan/request.ts';
import { planSession } from '../../../src/plan/session.ts';

interface Options {
  prompt?: string;
  model?: string;
  args?: string[];
  mode?: AuthMode;
  workdir?: string;
}

/** What stands behind the program on the agent's command line. */
const argvOf = (agent: AgentSlug, { prompt, model, args = [], mode = 'sync', workdir = '/srv/app' }: Options = {}): string[] => {
  const session: LoadRequest['session'] = prompt === undefined ? { kind: 'attached' } : { kind: 'prompt', text: prompt };
  const { argv } = planSession({ session, agentArguments: args } as unknown as LoadRequest, agent, mode, model, workdir);
  const { command } = AGENTS[agent].runtime;
  expect(argv.slice(0, command.length)).toEqual(command);
  return argv.slice(command.length);
};

const EACH = AGENT_SLUGS.map((agent) => [agent]);
const NASTY = ['-', '--help', '-p', '--', '{model}', '{arguments}', '{mode}', '{prompt} {workdir}', '$&', "$'", '$$', '', ' ', 'two\nlines', '"quoted\'', '`id`; $(id)', '@file', '=', '\u{1F600}'];

describe.each(EACH)('a prompt for %s', (agent) => {
  it.each(NASTY)('is one argument and nothing else, whatever it says: %j', (prompt) => {
    const argv = argvOf(agent, { prompt, model: 'some-model' });
    const ordinary = argvOf(agent, { prompt: 'ordinary', model: 'some-model' });
    expect(argv).toHaveLength(ordinary.length);
    const place = ordinary.findIndex((arg) => arg.includes('ordinary'));
    expect(argv).toEqual(ordinary.with(place, ordinary[place]!.split('ordinary').join(prompt)));
  });

  it('can be taken for no option', () => {
    const argv = argvOf(agent, { prompt: '--dangerous' });
    const place = argv.findIndex((arg) => arg.includes('--dangerous') && arg.endsWith('--dangerous'));
    // Behind `--`, as the value of an option that needs one, or glued to its option.
    expect(argv[place] !== '--dangerous' || ['--', '--prompt'].includes(argv[place - 1]!)).toBe(true);
  });

  it('runs unattended on pipes', () => {
    const session = planSession({ session: { kind: 'prompt', text: 'x' }, agentArguments: [] } as unknown as LoadRequest, agent, 'sync', undefined, '/w');
    expect(session).toMatchObject({ kind: 'prompt', io: 'pipe', approvals: expect.stringContaining('unattended') as string });
  });
});

describe.each(EACH)('a session of %s', (agent) => {
  const { modelFlags, autonomous } = AGENTS[agent].runtime;

  it('has the model of the role, whatever it is called, unless the operator names one', () => {
    for (const model of ['some-model', '{prompt}', '{workdir}', '$&', '-x']) {
      const argv = argvOf(agent, { model });
      expect(argv[argv.indexOf(modelFlags[0]) + 1]).toBe(model);
    }
    expect(argvOf(agent)).not.toContain(modelFlags[0]);
    for (const flag of modelFlags) {
      for (const args of [[flag, 'mine'], [`${flag}=mine`]]) {
        expect(argvOf(agent, { model: 'of-the-role', args })).not.toContain('of-the-role');
        expect(argvOf(agent, { model: 'of-the-role', args, prompt: 'x' })).not.toContain('of-the-role');
        expect(argvOf(agent, { args }).slice(-args.length)).toEqual(args);
      }
    }
  });

  it('passes the operator’s arguments on as they are', () => {
    const args = ['--flag', '{prompt}', '{model}', '{arguments}', '$&', '', '--'];
    expect(argvOf(agent, { args }).slice(-args.length)).toEqual(args);
    const prompted = argvOf(agent, { args, prompt: 'x' });
    expect(prompted.slice(prompted.indexOf('--flag'), prompted.indexOf('--flag') + args.length)).toEqual(args);
  });

  it('asks nothing, unless another way is asked for by hand', () => {
    expect(argvOf(agent).join(' ')).toContain(autonomous.args.join(' '));
    for (const flag of autonomous.replacedBy) {
      const argv = argvOf(agent, { args: [flag] });
      expect(argv.filter((arg) => [...autonomous.args, flag].includes(arg))).toEqual([flag]);
    }
  });

  it('holds no key and no trace of one', () => {
    for (const mode of AGENTS[agent].modes) expect(argvOf(agent, { mode }).join(' ')).not.toMatch(/fake|sk-/);
  });
});

describe('Claude', () => {
  const settingsOf = (mode: AuthMode, prompt?: string): unknown => {
    const argv = argvOf('claude', { mode, ...(prompt !== undefined && { prompt }) });
    return JSON.parse(argv[argv.indexOf('--settings') + 1] ?? 'null') as unknown;
  };

  it('is told in each mode that skipping permissions was accepted, and with a key where to read it', () => {
    for (const mode of ['sync', 'oauth_token', 'ignore'] as const) expect(settingsOf(mode)).toEqual({ skipDangerousModePermissionPrompt: true });
    expect(settingsOf('api_key')).toEqual({ skipDangerousModePermissionPrompt: true, apiKeyHelper: 'printenv JACKIN_ANTHROPIC_API_KEY' });
  });
});

describe('the folder that Codex trusts', () => {
  const trustOf = (workdir: string, prompt?: string): unknown => {
    const argv = argvOf('codex', { workdir, ...(prompt !== undefined && { prompt }) });
    const argument = argv.find((arg) => arg.startsWith('projects='));
    return parse(argument ?? '');
  };

  it.each([
    '/srv/app',
    '/srv/my app',
    '/srv/"quoted"',
    "/srv/it's",
    '/srv/back\\slash',
    '/srv/a=b}{"x"',
    '/srv/{workdir}',
    '/srv/{prompt}',
    '/srv/$&',
    '/srv/ü \u{1F600}',
    '/srv/tab\tand\nline',
    '/srv/\u001B[31m',
    '/srv/delete\u007F',
    '/__proto__',
  ])('is the workdir, whatever it is called: %j', (workdir) => {
    for (const prompt of [undefined, 'hello']) expect(trustOf(workdir, prompt)).toEqual({ projects: { [workdir]: { trust_level: 'trusted' } } });
  });
});
