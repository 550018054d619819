import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HandoffChange } from '../../../src/auth/handoff.ts';
import { readOwnLogin } from '../../../src/auth/own-login.ts';
import { readHandedOver } from '../../../src/launch/deliver.ts';
import type { Deps } from '../../../src/launch/deps.ts';
import { credential, kimiCodeFiles, NOW, writeFiles } from '../../fixtures/kimi/login.ts';
import { LOGIN, planOf } from '../plan/world.ts';

let root: string;
const uid = process.getuid!();

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'jackin-lease-'));
  await writeFiles(path.join(root, '.kimi-code'), kimiCodeFiles(credential({ serial: 9 })));
});

afterEach(() => rm(root, { recursive: true }));

/** What Kimi gets of the login `work`, which is this account's by the time that it is handed over. */
const handOver = async (account: string | undefined): Promise<HandoffChange[]> => {
  const facts = { logins: { kimi: { ...LOGIN, from: 'own login' as const } }, ownLogins: ['work'] };
  const plan = planOf({ global: '[kimi]\nlogin = "work"\naccount = "someone@example.test"\n[github]\nauth_forward = "ignore"\n', facts, request: { agent: 'kimi' } });
  const loginsDir = path.join(root, 'logins');
  if (account !== undefined) await writeFiles(path.join(loginsDir, 'kimi/work'), kimiCodeFiles(credential({ account })));
  const readLeased = account === undefined ? undefined : () => readOwnLogin(loginsDir, 'work', uid);
  const deps = { home: root, env: {}, uid, now: () => NOW } as unknown as Deps;
  const { logins, lease } = await readHandedOver({ ...plan, auth: plan.auth.filter(({ agent }) => agent === 'kimi') }, readLeased, deps, () => undefined);
  expect(logins.map(({ action }) => action)).toEqual(['keep', 'keep']);
  return lease === undefined ? logins : lease();
};

it('is access, and nothing to renew it with', async () => {
  const changes = await handOver('someone@example.test');
  expect(changes.map(({ name, action }) => [name, action])).toEqual([['kimi-code', 'replace'], ['kimi', 'remove']]);
  const text = JSON.stringify(changes.flatMap((change) => (change.action === 'replace' ? change.files.map(({ bytes }) => bytes.toString()) : [])));
  expect(text).toContain('access_token');
  expect(text).not.toMatch(/refresh-secret/);
});

it('is refused when somebody else has logged in under that name since the plan was made', async () => {
  await expect(handOver('other@example.test')).rejects.toMatchObject({
    code: 'auth.account', message: "the login work of jackin's own is of the account other@example.test, and global (/c/config.toml:3) allows someone@example.test only",
  }); // prettier-ignore
});

it('leaves what is there when there is none, and never takes the host’s login in its place', async () => {
  expect((await handOver(undefined)).map(({ action }) => action)).toEqual(['keep', 'keep']);
});
