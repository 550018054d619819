import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HostsTable, isToken, loginIn, parseHosts, printHosts, withLogin } from '../../../src/agents/github-login.ts';

const OLD = 'github.com:\n    oauth_token: gho_fake-old\n    user: octocat\n    git_protocol: ssh\n';
const ACCOUNTS = `github.com:
    users:
        octocat:
            oauth_token: gho_fake-1
        second:
            oauth_token: gho_fake-2
    git_protocol: https
    user: second
`;

const read = (text: string) => {
  const hosts = parseHosts(text);
  return hosts === undefined ? 'malformed' : loginIn(hosts);
};

describe('hosts.yml of gh', () => {
  it.each([
    ['the form with one account', OLD, { user: 'octocat', token: 'gho_fake-old' }],
    ['the form with several accounts', `${ACCOUNTS}    oauth_token: gho_fake-2\n`, { user: 'second', token: 'gho_fake-2' }],
    ['several accounts, where the token is only below the account', ACCOUNTS, { user: 'second', token: 'gho_fake-2' }],
    ['a token in the password store', 'github.com:\n    users:\n        octocat:\n    git_protocol: https\n    user: octocat\n', { user: 'octocat', token: undefined }],
    ['two spaces, quotes, comments, and the line ends of Windows', '# mine\r\n"github.com":\r\n  user: \'it\'\'s\'\r\n\r\n  oauth_token: "gho_fake"\r\n', { user: undefined, token: 'gho_fake' }],
    ['another host only', 'ghe.example:\n    oauth_token: fake\n', undefined],
    ['logged out', '{}\n', undefined],
    ['an empty file', '', undefined],
    ['a host with nothing', 'github.com: {}\n', { user: undefined, token: undefined }],
    ['an empty token', 'github.com:\n    oauth_token: ""\n    user: octocat\n', { user: 'octocat', token: undefined }],
    ['digits that are no number', 'github.com:\n    oauth_token: 0123456789012345678901234567890123456e89\n', { user: undefined, token: '0123456789012345678901234567890123456e89' }],
  ])('is read: %s', (_what, text, login) => {
    expect(read(text)).toEqual(login);
  });

  it.each([
    ['a list', 'github.com:\n  - oauth_token: gho_fake\n'],
    ['JSON', '{"github.com": {"oauth_token": "gho_fake"}}'],
    ['an alias', 'github.com:\n    oauth_token: *token\n'],
    ['a text over several lines', 'github.com:\n    oauth_token: |\n        gho_fake\n'],
    ['a key twice', 'github.com:\n    user: a\n    user: b\n'],
    ['a comment behind a value, which could be part of it', 'github.com:\n    oauth_token: gho_fake # mine\n'],
    ['a table below a value', 'github.com:\n    user: a\n        oauth_token: gho_fake\n'],
    ['indentation between two levels', 'github.com:\n        user: a\n    oauth_token: gho_fake\n'],
    ['tabs', 'github.com:\n\toauth_token: gho_fake\n'],
    ['a file cut off in a text', 'github.com:\n    oauth_token: "gho_fa'],
    ['bytes', '\0\u0001\u0002'],
  ])('is malformed and never guessed at: %s', (_what, text) => {
    expect(read(text)).toBe('malformed');
  });

  it('takes no token and no user that could not be one', () => {
    expect(read('github.com:\n    oauth_token: "two words"\n    user: "\\u001b[31m"\n')).toEqual({ user: undefined, token: undefined });
    expect(['gho_fake', 'a'.repeat(4096)].map(isToken)).toEqual([true, true]);
    expect(['', 'a b', 'a\n', 'a\u00e9', 'a'.repeat(4097)].map(isToken)).toEqual([false, false, false, false, false]);
  });

  it.each(['? ', '- ', '[', '{a: ', '"\\', "a: '", 'a: "', ' ', 'a:', 'a:\n ', ': ', '#\n', 'a: b\r'])('is read or refused at once, however it was made to be slow: %j', (part) => {
    const started = performance.now();
    for (const text of [part.repeat(100_000), part.repeat(20_000), `github.com:\n    a: ${part.repeat(20_000)}`]) parseHosts(text);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('a login that is written', () => {
  const login = { user: 'octocat', token: 'gho_fake-new' };

  it('has the form that gh writes, new and old in one', () => {
    expect(printHosts(withLogin(new Map(), login))).toBe(
      'github.com:\n    git_protocol: https\n    users:\n        octocat:\n            oauth_token: gho_fake-new\n    user: octocat\n    oauth_token: gho_fake-new\n',
    );
  });

  it('replaces the login for github.com and leaves other hosts alone', () => {
    const others = 'ghe.example:\n    users:\n        me:\n            oauth_token: fake-other\n    user: me\n    oauth_token: fake-other\n';
    const text = printHosts(withLogin(parseHosts(`${ACCOUNTS}${others}`)!, login));
    expect(text).toContain(others);
    expect(text).not.toContain('gho_fake-2');
    expect(loginIn(parseHosts(text)!)).toEqual(login);
  });

  const text = fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: fc.constantFrom('a', ':', ' ', '#', '"', "'", '-', '{', '\\', '\n', '\r', '/', '\u2028'), maxLength: 5 }), fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('null', '~', '1e5', '- x', 'a: b', '#', "it's", '{}', 'a:'));
  const key = text.filter((name) => name !== '');
  const table = fc.dictionary(key, fc.dictionary(key, text, { minKeys: 1, maxKeys: 4, noNullPrototype: true }), { maxKeys: 4, noNullPrototype: true });

  it('reads back as it was written, whatever hosts and users are called', () => {
    fc.assert(
      fc.property(table, (hosts) => {
        const map: HostsTable = new Map(Object.entries(hosts).map(([host, entry]) => [host, new Map(Object.entries(entry))]));
        expect(parseHosts(printHosts(map))).toEqual(map);
      }),
      { numRuns: 1000 },
    );
  });
});
