import { describe, expect, it } from 'vitest';
import { githubEnvironment, githubSetup } from '../../../src/auth/github-environment.ts';
import { Secret } from '../../../src/shared/secret.ts';

const values = (table: Record<string, string>) => new Map(Object.entries(table).map(([name, value]) => [name, new Secret(value)]));

const ALL = { GH_TOKEN: 'ghp_fake', GH_HOST: 'ghe.example', GH_ENTERPRISE_TOKEN: 'fake-enterprise' };
const { GH_TOKEN, ...ENTERPRISE } = ALL;

describe('GitHub in the environment of the sessions', () => {
  it('is the token under both of its names in mode token, and what is for another host', () => {
    expect(githubEnvironment('token', values(ALL))).toEqual({ ...ALL, GITHUB_TOKEN: GH_TOKEN });
    expect(githubEnvironment('token', values({ ...ALL, GITHUB_TOKEN: 'ghp_fake-2' }))).toMatchObject({ GH_TOKEN, GITHUB_TOKEN: 'ghp_fake-2' });
    expect(githubEnvironment('token', values({ ...ALL, GITHUB_TOKEN: '' }))).toMatchObject({ GITHUB_TOKEN: GH_TOKEN });
  });

  it('is no token in mode sync: gh would prefer it to the login', () => {
    expect(githubEnvironment('sync', values({ ...ALL, GITHUB_TOKEN: 'ghp_fake-2' }))).toEqual(ENTERPRISE);
  });

  it('is nothing in mode ignore', () => {
    expect(githubEnvironment('ignore', values(ALL))).toEqual({});
    expect(githubSetup('ignore', values(ALL))).toEqual({ mode: 'ignore' });
  });

  it.each([['', /is empty/], ['ghp_fake\nghp_fake', /is no token/], ['ghp_fake ', /is no token/]])('is refused in mode token when the token is %j', (token, message) => {
    const tried = () => githubEnvironment('token', values({ GH_TOKEN: token }));
    expect(tried).toThrow(message);
    expect(tried).toThrow(expect.objectContaining({ code: 'auth.missing' }));
    expect(tried).not.toThrow('ghp_fake');
    expect(() => githubEnvironment('token', values({}))).toThrow(/GH_TOKEN.* is empty/);
  });

  it('names the other host for git, when it is one', () => {
    expect(githubSetup('sync', values({ GH_HOST: 'GHE.example' }))).toEqual({ mode: 'sync', host: 'ghe.example' });
    for (const host of ['', 'https://ghe.example', 'a b.c', 'x.y"]\n[core]', 'localhost']) expect(githubSetup('token', values({ GH_HOST: host }))).toEqual({ mode: 'token' });
  });
});
