import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AGENTS } from '../../../src/agents/agents.ts';
import { printHosts, withLogin } from '../../../src/agents/github-login.ts';
import { provisionHandoff } from '../../../src/auth/handoff.ts';
import { readInstanceGithub, readInstanceLogin } from '../../../src/auth/instance-login.ts';
import { credential, kimiCliFiles, kimiCodeFiles, minutes, NOW, tombstone, writeFiles } from '../../fixtures/kimi/login.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let root: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
});

afterEach(() => rm(root, { recursive: true }));

const handOver = (name: string, files: Record<string, string>) =>
  provisionHandoff(path.join(root, 'handoff'), [{ name, action: 'replace', files: Object.entries(files).map(([file, text]) => ({ path: file, bytes: Buffer.from(text) })) }], ME);

const writeHome = (files: Record<string, string>) => writeFiles(path.join(root, 'home/.kimi-code'), files);

const read = () => readInstanceLogin(AGENTS.kimi, root, NOW);

it('knows the same login on both sides by its digest', async () => {
  await handOver('kimi-code', kimiCodeFiles());
  await writeHome(kimiCodeFiles());
  const { handedOver, home } = await read();
  expect(home).toMatchObject({ state: 'live', account: 'op@example.test', expiresAt: minutes(15) });
  expect(home!.digest).toBe(handedOver!.digest);
});

it('sees that the container has renewed its login, whatever else stands in its settings', async () => {
  await handOver('kimi-code', kimiCodeFiles());
  await writeHome({ ...kimiCodeFiles(), 'config.toml': `${kimiCodeFiles()['config.toml']}\n[more]\nof = "it"\n` });
  const before = await read();
  expect(before.home!.digest).toBe(before.handedOver!.digest);
  await writeHome({ 'credentials/kimi-code.json': credential({ serial: 2 }) });
  const after = await read();
  expect(after.home!.digest).not.toBe(after.handedOver!.digest);
});

it('compares a login of kimi-cli with the Kimi Code home that is made from it', async () => {
  await handOver('kimi', kimiCliFiles());
  await writeHome(kimiCodeFiles());
  const { handedOver, home } = await read();
  expect(home!.digest).toBe(handedOver!.digest);
});

it('reads of the handoff only what counts', async () => {
  await handOver('kimi-code', kimiCodeFiles());
  await handOver('kimi-code', kimiCodeFiles(credential({ serial: 2 })));
  await writeHome(kimiCodeFiles());
  const { handedOver, home } = await read();
  expect(home!.digest).not.toBe(handedOver!.digest);
});

it('finds nothing where there is nothing', async () => {
  expect(await read()).toEqual({ handedOver: undefined, home: undefined });
});

it('tells a login that was refused', async () => {
  await writeHome(kimiCodeFiles(tombstone()));
  expect((await read()).home).toMatchObject({ state: 'dead' });
});

it('follows no link that the container has made', async () => {
  await writeFiles(path.join(root, 'secrets'), kimiCodeFiles());
  await mkdir(path.join(root, 'home/.kimi-code'), { recursive: true });
  await writeFile(path.join(root, 'home/.kimi-code/config.toml'), kimiCodeFiles()['config.toml']!);
  await symlink(path.join(root, 'secrets/credentials'), path.join(root, 'home/.kimi-code/credentials'));
  expect((await read()).home?.state).not.toBe('live');
  await rm(path.join(root, 'home'), { recursive: true });
  await mkdir(path.join(root, 'home'));
  await symlink(path.join(root, 'secrets'), path.join(root, 'home/.kimi-code'));
  expect((await read()).home).toBeUndefined();
});

it('learns the account from where the agent keeps it, and does without', async () => {
  const { login, homes } = AGENTS.claude;
  const home = path.join(root, 'home', homes[0]);
  const oauth = { accessToken: 'fake-access', refreshToken: 'fake-refresh', expiresAt: minutes(15) * 1000, scopes: ['user:inference'] };
  await writeFiles(home, { [login!.file]: JSON.stringify({ claudeAiOauth: oauth }) });
  expect((await readInstanceLogin(AGENTS.claude, root, NOW)).home).toMatchObject({ state: 'live', account: undefined });
  await writeFiles(home, { [login!.account!.file]: JSON.stringify({ oauthAccount: { emailAddress: 'me@example.test', accountUuid: 'fake-account' } }) });
  expect((await readInstanceLogin(AGENTS.claude, root, NOW)).home).toMatchObject({ state: 'live', account: 'me@example.test' });
});

it('knows who is logged in to GitHub, and whether there is a token', async () => {
  const hosts = path.join(root, '.config/gh/hosts.yml');
  expect(await readInstanceGithub(root)).toBeUndefined();
  await mkdir(path.dirname(hosts), { recursive: true });
  await writeFile(hosts, printHosts(withLogin(new Map(), { user: 'someone', token: 'fake-token' })));
  expect(await readInstanceGithub(root)).toEqual({ state: 'live', user: 'someone' });
  await writeFile(hosts, 'github.com:\n    user: someone\n');
  expect(await readInstanceGithub(root)).toEqual({ state: 'dead', user: 'someone' });
  await writeFile(hosts, '[nonsense');
  expect(await readInstanceGithub(root)).toEqual({ state: 'unknown', user: undefined });
  await writeFile(path.join(root, 'elsewhere'), printHosts(withLogin(new Map(), { user: 'someone', token: 'fake-token' })));
  await rm(hosts);
  await symlink(path.join(root, 'elsewhere'), hosts);
  expect(await readInstanceGithub(root)).toBeUndefined();
});
