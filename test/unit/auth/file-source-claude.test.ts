import { chown, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentSlug } from '../../../src/agents/agents.ts';
import { readLogin } from '../../../src/auth/read-login.ts';
import type { LoginSet, SourceOptions } from '../../../src/auth/source.ts';
import type { JackinError } from '../../../src/shared/errors.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';
import { FORMS, NOW, writeHostLogin } from '../../fixtures/logins/logins.ts';

/** What only Claude has: metadata of the account in a second file, and the Keychain of macOS. */

let root: string;
let home: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  home = path.join(root, 'home');
  await mkdir(home);
});

afterEach(() => rm(root, { recursive: true }));

const UID = process.getuid?.() ?? 0;

const read = (agent: AgentSlug, options: Partial<SourceOptions> = {}): Promise<LoginSet> => readLogin(agent, { home, env: {}, uid: UID, now: NOW, ...options });

/** Writes a file below the root. */
const put = async (file: string, content: string): Promise<void> => {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), content);
};

/** Makes a directory, below the root, with a login of Claude. */
const makeLogin = (place: string, number: number): Promise<void> => put(path.join(place, '.credentials.json'), FORMS.claude.text(number, 'live'));

const handedOver = ({ set }: LoginSet): Record<string, string> =>
  Object.fromEntries((set?.files ?? []).map(({ path: file, bytes }) => [file, bytes.toString()]));

const numbered = (number: number): string => JSON.stringify({ oauthAccount: { emailAddress: `op-${number}@example.test` }, userID: `fake-user-${number}` });
const accountOf = (found: LoginSet): Record<string, unknown> | undefined => {
  const text = handedOver(found)['account.json'];
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
};

describe('the account that goes with a login of Claude', () => {
  test('is all that is handed over of its settings', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    const found = await read('claude');
    expect(accountOf(found)).toEqual({ oauthAccount: { emailAddress: 'someone@example.test', accountUuid: 'fake-account' }, userID: 'fake-user' });
    expect(found.facts.account).toBe('someone@example.test');
    expect(JSON.stringify([handedOver(found), found.facts])).not.toMatch(/private|numStartups|projects/);
  });

  test('is found in a file of several MiB', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    const projects = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`/p/${index}`, { history: ['private '.repeat(150)] }]));
    await put('home/.claude.json', JSON.stringify({ projects, ...(JSON.parse(numbered(7)) as object) }));
    const found = await read('claude');
    expect(found.facts).toMatchObject({ account: 'op-7@example.test', skipped: [] });
    expect(JSON.stringify(handedOver(found))).not.toContain('private');
    expect(handedOver(found)['account.json']!.length).toBeLessThan(200);
  });

  test.each([
    ['absent', async () => rm(path.join(home, '.claude.json'))],
    ['broken', async () => put('home/.claude.json', '{"oauthAccount":{"emailAddress":"op@example.test"')],
    ['empty', async () => put('home/.claude.json', '')],
    ['without an account', async () => put('home/.claude.json', '{"userID":"fake-user","projects":{}}')],
    ['a directory', async () => rm(path.join(home, '.claude.json')).then(async () => mkdir(path.join(home, '.claude.json')))],
    [
      'a link',
      async () => {
        await rename(path.join(home, '.claude.json'), path.join(root, 'outside.json'));
        await symlink(path.join(root, 'outside.json'), path.join(home, '.claude.json'));
      },
    ],
    ['larger than can be', async () => put('home/.claude.json', `${' '.repeat(64 * 1024 * 1024)}${numbered(1)}`)],
  ])('may be %s, and the login is handed over all the same', async (_what, change) => {
    await writeHostLogin(home, 'claude', 1, 'live');
    await change();
    const found = await read('claude');
    expect(found.facts.state).toBe('live');
    expect(found.facts).not.toHaveProperty('account');
    expect(Object.keys(handedOver(found))).toEqual(['credentials.json']);
  });

  test.skipIf(UID !== 0)('is not read where it is another user’s', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    await chown(path.join(home, '.claude.json'), 1234, 1234);
    expect(Object.keys(handedOver(await read('claude')))).toEqual(['credentials.json']);
  });

  test('is in the home, but inside a directory that is named', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    await put('home/.claude.json', numbered(1));
    await put('home/.claude/.claude.json', numbered(2));
    await makeLogin('named', 3);
    await put('named/.claude.json', numbered(3));
    await put('.claude.json', numbered(4));
    const named = path.join(root, 'named');
    expect((await read('claude')).facts.account).toBe('op-1@example.test');
    expect((await read('claude', { env: { CLAUDE_CONFIG_DIR: named } })).facts.account).toBe('op-3@example.test');
    expect((await read('claude', { sourceDir: named })).facts.account).toBe('op-3@example.test');
    await rm(path.join(named, '.claude.json'));
    expect((await read('claude', { sourceDir: named })).facts, 'never that of the default login').not.toHaveProperty('account');
  });

  test('is followed to where the directory that is named leads', async () => {
    await makeLogin('dotfiles/claude', 1);
    await put('dotfiles/claude/.claude.json', numbered(1));
    await symlink(path.join(root, 'dotfiles/claude'), path.join(root, 'named'));
    expect((await read('claude', { sourceDir: path.join(root, 'named') })).facts.account).toBe('op-1@example.test');
  });

  test('goes with no dead login', async () => {
    await writeHostLogin(home, 'claude', 1, 'dead');
    expect(await read('claude')).toMatchObject({ set: undefined, facts: { state: 'dead' } });
  });

  test('is that of the credential, also when somebody else logs in between the two', async () => {
    await put('home/.claude/.credentials.json', FORMS.claude.text(1, 'live'));
    await put('home/.claude.json', numbered(1));
    let asked = 0;
    // The keychain is asked first each time that the credential is read: here is where somebody else logs in.
    const keychain = async (): Promise<undefined> => {
      asked += 1;
      if (asked !== 2) return;
      await put('home/.claude/.credentials.json', FORMS.claude.text(2, 'live'));
      await put('home/.claude.json', numbered(2));
    };
    const found = await read('claude', { keychain });
    expect(handedOver(found)['credentials.json']).toContain('fake-access-2');
    expect(found.facts.account).toBe('op-2@example.test');
  });

  test('is that of the credential, whatever set of them a link leads to at the moment', { timeout: 30_000 }, async () => {
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    for (const number of numbers) {
      await makeLogin(`sets/${number}`, number);
      await put(`sets/${number}/.claude.json`, numbered(number));
    }
    const named = path.join(root, 'named');
    await symlink(path.join(root, 'sets/0'), named);
    const swapping = (async () => {
      for (const number of numbers) {
        await symlink(path.join(root, `sets/${number}`), path.join(root, 'next'));
        await rename(path.join(root, 'next'), named);
        await new Promise((resolve) => setTimeout(resolve, number % 5));
      }
      return true;
    })();
    const seen = new Set<string>();
    const ends = new Set<string>();
    for (let isOver: boolean | undefined = false; !isOver; isOver = await Promise.race([swapping, Promise.resolve(false)])) {
      const found = await read('claude', { sourceDir: named }).catch((error: JackinError) => error.code);
      const number = typeof found === 'string' ? undefined : /fake-access-(\d+)/.exec(handedOver(found)['credentials.json'] ?? '')?.[1];
      const isMixed = typeof found !== 'string' && found.facts.account !== `op-${number}@example.test`;
      ends.add(typeof found === 'string' ? found : isMixed ? 'mixed' : 'whole');
      if (number !== undefined) seen.add(number);
    }
    expect([...ends]).not.toContain('mixed');
    expect([...ends].filter((end) => end !== 'whole' && end !== 'failed')).toEqual([]);
    expect(seen.size).toBeGreaterThan(3);
  });

  test('that never holds still is an error, and nothing is handed over', async () => {
    let number = 0;
    const keychain = (): Promise<string> => Promise.resolve(FORMS.claude.text(number++, 'live'));
    await expect(read('claude', { keychain })).rejects.toMatchObject({ code: 'failed', message: expect.stringContaining('changes while it is read') as string });
    expect(number).toBeLessThan(20);
  });
});

describe('a login in the Keychain', () => {
  const items = new Map<string, string>();
  const asked: string[] = [];
  const keychain = (service: string): Promise<string | undefined> => {
    asked.push(service);
    return Promise.resolve(items.get(service));
  };
  const DEFAULT = 'Claude Code-credentials';

  beforeEach(() => {
    items.clear();
    asked.length = 0;
  });

  test('of Claude comes before the file, and its place is told', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    items.set(DEFAULT, FORMS.claude.text(2, 'expired'));
    const found = await read('claude', { keychain });
    expect(found.facts).toMatchObject({ state: 'expired-refreshable', account: 'someone@example.test', files: [{ path: `Keychain item "${DEFAULT}"` }] });
    expect(handedOver(found)['credentials.json']).toBe(FORMS.claude.text(2, 'expired'));
    expect(new Set(asked)).toEqual(new Set([DEFAULT]));
  });

  test('of Claude needs no directory', async () => {
    items.set(DEFAULT, FORMS.claude.text(2, 'live'));
    expect((await read('claude', { keychain })).facts).toMatchObject({ state: 'live', why: `Keychain item "${DEFAULT}" is live.` });
  });

  test('of Claude that is not there leaves the file', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    expect((await read('claude', { keychain })).facts).toMatchObject({ state: 'live', files: [{ path: '.credentials.json' }] });
  });

  test('of Claude that is dead is not handed over, and the file does not stand in for it', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    items.set(DEFAULT, FORMS.claude.text(2, 'dead'));
    expect(await read('claude', { keychain })).toMatchObject({ set: undefined, facts: { state: 'dead' } });
  });

  // printf %s /srv/work-claude | sha256sum
  const SERVICE = 'Claude Code-credentials-a6bbf6d9';

  test('of a directory that is named has a name of its own, and is never the default one', async () => {
    items.set(DEFAULT, FORMS.claude.text(1, 'live'));
    for (const options of [{ sourceDir: '/srv/work-claude' }, { env: { CLAUDE_CONFIG_DIR: '/srv/work-claude' } }]) {
      asked.length = 0;
      expect(await read('claude', { ...options, keychain })).toMatchObject({ set: undefined, facts: { state: 'absent' } });
      expect(new Set(asked)).toEqual(new Set([SERVICE]));
    }
    items.set(SERVICE, FORMS.claude.text(2, 'live'));
    expect(handedOver(await read('claude', { sourceDir: '/srv/work-claude', keychain }))['credentials.json']).toContain('fake-access-2');
  });

  test('of a directory that a variable names goes by the name as it stands there', async () => {
    await read('claude', { env: { CLAUDE_CONFIG_DIR: '/srv/../srv/work-claude' }, keychain });
    await read('claude', { sourceDir: '/srv/../srv/work-claude', keychain });
    expect(asked).toHaveLength(2);
    expect(asked[1]).toBe(SERVICE);
    expect(asked[0]).not.toBe(SERVICE);
  });

  test('that is locked is an error, not a reason to look elsewhere', async () => {
    await writeHostLogin(home, 'claude', 1, 'live');
    await expect(read('claude', { keychain: () => Promise.reject(new Error('locked')) })).rejects.toThrow('locked');
  });

  test.each(['codex', 'amp', 'opencode'] as const)('is not asked for by %s', async (agent) => {
    await writeHostLogin(home, agent, 1, 'live');
    expect((await read(agent, { keychain })).facts.state).toBe('live');
    expect(asked).toEqual([]);
  });
});
