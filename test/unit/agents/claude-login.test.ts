import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { accountMetadata, answerClaude, claudeKeychainService, isBroken, judgeClaude, withoutAccount } from '../../../src/agents/claude-login.ts';
import { minutes, NOW } from '../../fixtures/kimi/login.ts';

/** A login as Claude Code writes it; a field that is undefined is left out. */
const login = (fields: object = {}, others: object = {}): string =>
  JSON.stringify({
    ...others,
    claudeAiOauth: {
      accessToken: 'fake-access-secret',
      refreshToken: 'fake-refresh-secret',
      expiresAt: minutes(60) * 1000,
      scopes: ['user:inference', 'user:profile'],
      subscriptionType: 'max',
      ...fields,
    },
  });

describe('a credential file', () => {
  test.each([
    ['fresh', login(), 'live', true],
    ['over, with a refresh token', login({ expiresAt: minutes(-1) * 1000 }), 'expired-refreshable', true],
    ['ending this very moment', login({ expiresAt: minutes(0) * 1000 }), 'expired-refreshable', true],
    ['over, without a refresh token', login({ expiresAt: minutes(-1) * 1000, refreshToken: '' }), 'dead', false],
    ['over, as is the refresh token', login({ expiresAt: minutes(-1) * 1000, refreshTokenExpiresAt: minutes(-1) * 1000 }), 'dead', false],
    ['over, before the refresh token', login({ expiresAt: minutes(-1) * 1000, refreshTokenExpiresAt: minutes(1) * 1000 }), 'expired-refreshable', true],
    ['live, with a refresh token that is over', login({ refreshTokenExpiresAt: minutes(-1) * 1000 }), 'live', false],
    ['live, without a refresh token', login({ refreshToken: undefined }), 'live', false],
    ['an end of zero', login({ expiresAt: 0 }), 'expired-refreshable', true],
    ['an end in seconds, which Claude reads as long ago', login({ expiresAt: minutes(60) }), 'expired-refreshable', true],
    ['without an end', login({ expiresAt: undefined }), 'live', true],
    ['with null for an end', login({ expiresAt: null }), 'live', true],
    ['with the secrets of MCP servers beside it', login({}, { mcpOAuth: { server: { accessToken: 'x' } } }), 'live', true],
    ['what a refused refresh leaves', login({ accessToken: '', refreshToken: '', expiresAt: 0 }), 'dead', false],
    ['empty tokens that claim to live for years', login({ accessToken: '', refreshToken: '', expiresAt: minutes(1e7) * 1000 }), 'dead', false],
    ['a refresh token alone', login({ accessToken: undefined }), 'dead', false],
    ['tokens that are no text', login({ accessToken: 7, refreshToken: null }), 'dead', false],
    ['without scopes', login({ scopes: undefined }), 'dead', false],
    ['with no scope', login({ scopes: [] }), 'dead', false],
    ['with scopes of another time', login({ scopes: ['user:everything'] }), 'unknown', false],
    ['no login, only the secrets of MCP servers', '{"mcpOAuth":{"server":{"accessToken":"x"}},"pluginSecrets":{}}', 'dead', false],
    ['null for a login', '{"claudeAiOauth":null}', 'dead', false],
    ['empty', '', 'dead', false],
    ['blank', ' \n', 'dead', false],
    ['an empty object', '{}', 'dead', false],
    ['a list', '[1]', 'dead', false],
    ['null', 'null', 'dead', false],
    ['with a byte order mark, which Claude does not read', `\uFEFF${login()}`, 'dead', false],
    ['of another form', '{"accessToken":"x"}', 'unknown', false],
    ['of another way of signing in', '{"hybridOauth":{"accessToken":"x"}}', 'unknown', false],
  ])('%s', (_what, text, state, refreshable) => {
    expect(judgeClaude(text, NOW)).toMatchObject({ state, refreshable });
  });

  test('tells its end in seconds', () => {
    expect(judgeClaude(login(), NOW).expiresAt).toBe(minutes(60));
    expect(judgeClaude(login({ expiresAt: null }), NOW)).not.toHaveProperty('expiresAt');
  });

  test('cut off anywhere is dead', () => {
    const whole = login();
    for (let length = 0; length < whole.length; length += 1) {
      expect(judgeClaude(whole.slice(0, length), NOW).state).toBe('dead');
    }
  });

  test('whatever is in it, judging never fails and never repeats a token', () => {
    const secrets = fc.string({ minLength: 20 }).map((text) => `secret${text}`);
    const fields = fc.record(
      {
        accessToken: fc.oneof(secrets, fc.jsonValue()),
        refreshToken: fc.oneof(secrets, fc.jsonValue()),
        expiresAt: fc.oneof(fc.double(), fc.integer(), fc.jsonValue()),
        refreshTokenExpiresAt: fc.oneof(fc.double(), fc.jsonValue()),
        scopes: fc.oneof(fc.constant(['user:inference']), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(fc.string(), fc.json(), fields.map((claudeAiOauth) => JSON.stringify({ claudeAiOauth })));
    fc.assert(
      fc.property(texts, (text) => {
        const verdict = judgeClaude(text, NOW);
        expect(JSON.stringify(verdict)).not.toContain('secret');
        expect(['dead', 'unknown', ...(text.includes('"accessToken"') ? ['live', 'expired-refreshable'] : [])]).toContain(verdict.state);
      }),
    );
  });
});

const ACCOUNT = { emailAddress: 'op@example.test', accountUuid: 'fake-account', organizationUuid: 'fake-organization' };
const SETTINGS = JSON.stringify({
  oauthAccount: ACCOUNT,
  userID: 'fake-installation',
  primaryApiKey: 'fake-key-secret',
  customApiKeyResponses: { approved: ['fake-secret-end'] },
  mcpServers: { one: { env: { TOKEN: 'fake-mcp-secret' } } },
  projects: { '/home/op/private': { history: ['private words'], hasTrustDialogAccepted: true } },
});

describe('the account in .claude.json', () => {
  test('is handed over, and nothing else of the file', () => {
    const picked = accountMetadata(SETTINGS);
    expect(picked?.account).toBe('op@example.test');
    expect(JSON.parse(picked?.text ?? '')).toEqual({ oauthAccount: ACCOUNT, userID: 'fake-installation' });
    expect(picked?.text).not.toMatch(/secret|private/);
  });

  test.each([
    [{ oauthAccount: { accountUuid: 'fake-account' } }, 'fake-account'],
    [{ oauthAccount: { emailAddress: '\u001b[31mred\u0007' } }, '[31mred'],
    [{ oauthAccount: {} }, undefined],
  ])('%j is of %j', (settings, account) => {
    expect(accountMetadata(JSON.stringify(settings))?.account).toBe(account);
  });

  test.each([['{}'], ['{"userID":"fake-installation"}'], ['{"oauthAccount":null}'], ['{"oauthAccount":"x"}'], [''], ['{"oauth'], ['[]']])('%j tells of none', (text) => {
    expect(accountMetadata(text)).toBeUndefined();
  });

  test('can be taken out, and everything else stays', () => {
    const { oauthAccount: _account, userID: _id, ...rest } = JSON.parse(SETTINGS) as Record<string, unknown>;
    expect(JSON.parse(withoutAccount(SETTINGS))).toEqual(rest);
  });
});

describe('the questions of a first start', () => {
  const ANSWERS = { hasCompletedOnboarding: true, projects: { '/srv/demo': { hasTrustDialogAccepted: true } } };

  test.each([
    ['no file', undefined],
    ['an empty file', ''],
    ['a file that was cut off', '{"projects":{'],
    ['a list', '[]'],
    ['nothing in the file', '{}'],
    ['projects that are no table', '{"projects":[1]}'],
  ])('are answered where there is %s', (_what, existing) => {
    expect(JSON.parse(answerClaude(existing, '/srv/demo', undefined))).toEqual(ANSWERS);
  });

  test('are answered for one folder, and everything else stays', () => {
    const before = { numStartups: 7, oauthAccount: ACCOUNT, hasCompletedOnboarding: false, projects: { '/other': { history: [1] }, '/srv/demo': { lastCost: 2, hasTrustDialogAccepted: false } } };
    expect(JSON.parse(answerClaude(JSON.stringify(before), '/srv/demo', undefined))).toEqual({
      ...before,
      hasCompletedOnboarding: true,
      projects: { '/other': { history: [1] }, '/srv/demo': { lastCost: 2, hasTrustDialogAccepted: true } },
    });
  });

  test('come with the account, where one is given', () => {
    const before = JSON.stringify({ oauthAccount: { emailAddress: 'someone-else@example.test', seatTier: 'x' }, numStartups: 7 });
    expect(JSON.parse(answerClaude(before, '/srv/demo', accountMetadata(SETTINGS)?.text))).toEqual({
      ...ANSWERS,
      numStartups: 7,
      oauthAccount: ACCOUNT,
      userID: 'fake-installation',
    });
  });

  test('that are answered leave the file as it was written', () => {
    const written = `  ${JSON.stringify({ ...ANSWERS, numStartups: 7 })}\n\n`;
    expect(answerClaude(written, '/srv/demo', undefined)).toBe(written);
    expect(answerClaude(written, '/srv/other', undefined)).not.toBe(written);
  });

  test('a folder may have any name', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const { projects } = JSON.parse(answerClaude(undefined, `/${name}`, undefined)) as typeof ANSWERS;
        expect(projects).toEqual({ [`/${name}`]: { hasTrustDialogAccepted: true } });
      }),
    );
  });

  test.each([['', true], ['{"a":', true], ['[]', true], ['{}', false], [SETTINGS, false]])('a file %j that Claude could not read: %j', (text, broken) => {
    expect(isBroken(text)).toBe(broken);
  });
});

test.each([
  [undefined, 'Claude Code-credentials'],
  ['/home/op/.claude-work', 'Claude Code-credentials-ef38211b'],
])('the keychain item of %j is %s', (dir, service) => {
  expect(claudeKeychainService(dir)).toBe(service);
});

test('the keychain item of a directory is the same in both spellings of its letters', () => {
  expect(claudeKeychainService('/home/op/\u00FC')).toBe(claudeKeychainService('/home/op/u\u0308'));
});
