import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuthMode } from '../../../../src/agents/agents.ts';
import { provisionHandoff } from '../../../../src/auth/handoff.ts';
import { prepareHome } from '../../../../src/capsule/home/prepare.ts';
import type { HomeRoots } from '../../../../src/capsule/home/roots.ts';
import { makeTemporaryDir } from '../../../fixtures/kimi/tree.ts';
import { ACCOUNT, FORMS, NOW } from '../../../fixtures/logins/logins.ts';

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let root: string;
let roots: HomeRoots;

beforeEach(async () => {
  root = await makeTemporaryDir();
  roots = { home: path.join(root, 'home'), handoff: path.join(root, 'handoff'), state: path.join(root, 'state'), defaultHome: path.join(root, 'none') };
});

afterEach(() => rm(root, { recursive: true }));

const prepare = (slug: 'claude' | 'amp', mode: AuthMode, workdir = '/srv/app') => prepareHome({ workdir, agents: [{ slug, mode }] }, roots, NOW);

const inHome = (file: string): string => path.join(roots.home, file);
const settings = async (): Promise<Record<string, unknown>> => JSON.parse(await readFile(inHome('.claude/.claude.json'), 'utf8')) as Record<string, unknown>;
const put = async (file: string, text: string): Promise<void> => {
  await mkdir(path.dirname(inHome(file)), { recursive: true });
  await writeFile(inHome(file), text);
};

const ACCOUNT_JSON = JSON.stringify({ oauthAccount: { emailAddress: ACCOUNT }, userID: 'fake-user' });

const handOver = async (): Promise<void> => {
  const files = [
    { path: 'credentials.json', bytes: Buffer.from(FORMS.claude.text(1, 'live')) },
    { path: 'account.json', bytes: Buffer.from(ACCOUNT_JSON) },
  ];
  await provisionHandoff(roots.handoff, [{ name: 'claude', action: 'replace', files }], ME);
};

describe('Claude', () => {
  test.each(['sync', 'api_key', 'oauth_token', 'ignore'] as const)('is asked neither about itself nor about the folder with %s', async (mode) => {
    await prepare('claude', mode);
    expect(await settings()).toEqual({ hasCompletedOnboarding: true, projects: { '/srv/app': { hasTrustDialogAccepted: true } } });
  });

  test('is told whose login it got, and what it wrote itself stays', async () => {
    await handOver();
    await put('.claude/.claude.json', JSON.stringify({ numStartups: 3, projects: { '/other': { allowedTools: ['x'] }, '/srv/app': { lastCost: 1 } } }));
    await prepare('claude', 'sync');
    expect(await settings()).toEqual({
      numStartups: 3,
      projects: { '/other': { allowedTools: ['x'] }, '/srv/app': { lastCost: 1, hasTrustDialogAccepted: true } },
      oauthAccount: { emailAddress: ACCOUNT },
      userID: 'fake-user',
      hasCompletedOnboarding: true,
    });
  });

  test('keeps the account that goes with a login of its own', async () => {
    await handOver();
    await prepare('claude', 'sync');
    await put('.claude/.credentials.json', FORMS.claude.text(9, 'live'));
    await put('.claude/.claude.json', JSON.stringify({ ...(await settings()), oauthAccount: { emailAddress: 'other@example.test' } }));
    await prepare('claude', 'sync');
    expect((await settings())['oauthAccount']).toEqual({ emailAddress: 'other@example.test' });
  });

  test('forgets the account when the login is taken away, but not another one', async () => {
    await handOver();
    await prepare('claude', 'sync');
    await prepare('claude', 'ignore');
    expect(await settings()).not.toHaveProperty('oauthAccount');
    expect(await readdir(inHome('.claude'))).toEqual(['.claude.json']);

    await prepare('claude', 'sync');
    await put('.claude/.claude.json', JSON.stringify({ ...(await settings()), oauthAccount: { emailAddress: 'other@example.test' } }));
    await prepare('claude', 'ignore');
    expect((await settings())['oauthAccount']).toEqual({ emailAddress: 'other@example.test' });
  });

  test('gets a file that it can read in the place of one that it cannot, which is kept', async () => {
    await put('.claude/.claude.json', '{"cut off');
    await prepare('claude', 'sync');
    expect(await settings()).toHaveProperty('hasCompletedOnboarding', true);
    const [backup = ''] = await readdir(inHome('.claude/.jackin/backups'));
    expect(await readFile(inHome(`.claude/.jackin/backups/${backup}/.claude/.claude.json`), 'utf8')).toBe('{"cut off');
  });

  test('with a file of many projects loses none of them', async () => {
    const projects = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`/p/${index}`, { history: ['x'.repeat(1000)] }]));
    await put('.claude/.claude.json', JSON.stringify({ projects }));
    await prepare('claude', 'sync');
    expect(Object.keys((await settings())['projects'] as object)).toHaveLength(3001);
  });

  test('is not written to again when there is nothing to say', async () => {
    await handOver();
    await prepare('claude', 'sync');
    const before = await readFile(inHome('.claude/.claude.json'), 'utf8');
    const compact = JSON.stringify(JSON.parse(before));
    await put('.claude/.claude.json', compact);
    await prepare('claude', 'sync');
    expect(await readFile(inHome('.claude/.claude.json'), 'utf8')).toBe(compact);
  });
});

test('Amp starts at its prompt, and what it remembers stays', async () => {
  await put('.local/share/amp/session.json', '{"lastThread":"T-1"}');
  await prepare('amp', 'sync');
  expect(JSON.parse(await readFile(inHome('.local/share/amp/session.json'), 'utf8'))).toEqual({ lastThread: 'T-1', neoWelcomeDismissed: true });
});
