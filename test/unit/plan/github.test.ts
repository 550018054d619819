import { describe, expect, it } from 'vitest';
import type { GithubLoginFacts } from '../../../src/plan/facts.ts';
import { planOf, type World } from './world.ts';

const LOGIN: GithubLoginFacts = { dir: '/home/op/.config/gh', state: 'live', user: 'octocat', why: 'gh is logged in.' };

const github = (world: World) => planOf(world).github;
const config = (mode: string, env = ''): string => `[github]\nauth_forward = "${mode}"\n[github.env]\n${env}`;
const names = ({ env }: ReturnType<typeof github>): string[] => env.map(({ name }) => name).sort();

describe('access to GitHub', () => {
  it('is the login of the host’s gh when nobody says', () => {
    expect(github({ facts: { github: LOGIN } })).toMatchObject({
      mode: 'sync',
      decided_by: { layer: 'default' },
      delivery: 'hosts.yml',
      login: { dir: '/home/op/.config/gh', state: 'live', user: 'octocat' },
    });
    expect(github({ facts: { github: { ...LOGIN, state: 'unknown' } } }).delivery).toBe('hosts.yml');
  });

  it('is nothing where gh has no login, and stops no launch', () => {
    for (const state of ['dead', 'absent'] as const) expect(github({ facts: { github: { ...LOGIN, state } } })).toMatchObject({ delivery: 'nothing', login: { state } });
    expect(github({})).toMatchObject({ delivery: 'nothing', login: null });
  });

  it('needs a token in mode token: without one the launch stops, and says where it was looked for', () => {
    const stopped = (env: string, hostEnv = {}) => () => github({ global: config('token', env), facts: { hostEnv } });
    expect(stopped('')).toThrow(expect.objectContaining({ code: 'auth.missing', exitCode: 4 }));
    expect(stopped('')).toThrow(/github\.auth_forward at global \(\/c\/config\.toml:2\): token[^]*GH_TOKEN: set in no \[github\.env\]/);
    expect(stopped('GH_TOKEN = ""')).toThrow('GH_TOKEN: empty, at global (/c/config.toml:4)');
    expect(stopped('GH_TOKEN = "$MY_TOKEN"', { MY_TOKEN: false })).toThrow('GH_TOKEN: $MY_TOKEN, which is not set on the host, at global (/c/config.toml:4)');
    expect(stopped('GITHUB_TOKEN = "fake-token"'), 'its other name is not asked for').toThrow('GH_TOKEN');
    expect(stopped('GH_TOKEN = "$MY_TOKEN"', { MY_TOKEN: true })).not.toThrow();
  });

  it('with a token looks at no login, and the token is nowhere in the plan', () => {
    const plan = planOf({ global: config('token', 'GH_TOKEN = "fake-token"\nGH_HOST = "git.example.test"\n'), facts: { github: LOGIN } });
    expect(plan.github).toMatchObject({ delivery: 'stdin of the capsule', login: null });
    expect(names(plan.github)).toEqual(['GH_HOST', 'GH_TOKEN']);
    expect(JSON.stringify(plan)).not.toContain('fake-token');
  });

  it('by the login has no token beside it, which gh would prefer; that is said', () => {
    const plan = planOf({ global: config('sync', 'GH_TOKEN = "fake-token"\nGITHUB_TOKEN = "fake-token"\nGH_HOST = "git.example.test"\nGH_ENTERPRISE_TOKEN = "fake-token"\n'), facts: { github: LOGIN } });
    expect(names(plan.github)).toEqual(['GH_ENTERPRISE_TOKEN', 'GH_HOST']);
    expect(plan.warnings.filter((warning) => warning.includes('goes to no session')).sort()).toEqual([
      'GH_TOKEN (global (/c/config.toml:4)) goes to no session: github is set to sync by global (/c/config.toml:2)',
      'GITHUB_TOKEN (global (/c/config.toml:5)) goes to no session: github is set to sync by global (/c/config.toml:2)',
    ]);
  });

  it('is nothing at all under ignore', () => {
    const plan = planOf({ global: config('ignore', 'GH_TOKEN = "fake-token"\nGH_HOST = "git.example.test"\n'), facts: { github: LOGIN } });
    expect(plan.github).toMatchObject({ mode: 'ignore', login: null, delivery: 'nothing', env: [] });
    expect(plan.warnings.filter((warning) => warning.includes('github is set to ignore'))).toHaveLength(2);
  });

  it('is decided by the nearest layer, and each of its variables by its own', () => {
    const workspace = 'workdir = "/home/op/app"\nmounts = [{ src = "/home/op/app", dst = "/home/op/app" }]\n';
    const plan = planOf({
      global: config('ignore', 'GH_HOST = "far.example.test"\nGH_TOKEN = "fake-far"\n'),
      workspace: `${workspace}[github]\nauth_forward = "token"\n[github.env]\nGH_TOKEN = "fake-near"\n[roles.agent-smith.github.env]\nGH_TOKEN = "fake-nearest"\n`,
    });
    expect(plan.github).toMatchObject({ mode: 'token', decided_by: { layer: 'workspace' } });
    expect(Object.fromEntries(plan.github.env.map(({ name, decided_by }) => [name, decided_by.layer]))).toEqual({ GH_HOST: 'global', GH_TOKEN: 'workspace × role' });
  });
});
