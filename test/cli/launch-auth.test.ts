import { chmod, chown, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findSecrets } from '../e2e/find-secrets.ts';
import { type FakeCapsule, fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { contentOf } from '../fixtures/kimi/tree.ts';
import { ACCOUNT, FORMS, writeHostLogin } from '../fixtures/logins/logins.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

/** What a launch makes of the host's logins: which it refuses, and what of them ends up where. */

const installation = useInstallation();

let sandbox: Sandbox;
let engine: FakeEngine;
let capsule: FakeCapsule;

beforeEach(async () => {
  sandbox = await makeSandbox();
  capsule = fakeCapsule();
  engine = fakeEngine({ images: ['debian:trixie'], exec: capsule.exec });
});

const config = (text: string) => sandbox.write('config/config.toml', `version = "v1alpha6"\n${text}`);

const load = (...argv: string[]): Promise<Run> => {
  const { env, deps } = installation();
  return sandbox.run(['load', 'agent-smith', ...argv], { ...(env && { env }), engine, ...(deps && { deps }) });
};

/** State of the only instance, by path. */
const state = async (): Promise<Record<string, string>> => {
  const data = path.join(sandbox.jackinHome, 'data');
  const [name = ''] = await readdir(data);
  return contentOf(path.join(data, name));
};

/** Nothing was made: not in the engine, and no state either. */
const expectNothingMade = async (): Promise<void> => {
  expect(engine.containers()).toEqual([]);
  expect(await readdir(path.join(sandbox.jackinHome, 'data')).catch(() => [])).toEqual([]);
};

describe('a launch is refused with code 4', () => {
  it('when the login is not the pinned account’s, and both are named', async () => {
    await writeHostLogin(sandbox.home, 'codex', 1, 'live');
    await config('[codex]\naccount = "other@example.test"\n');
    const { code, stderr } = await load('--agent', 'kimi', '--detach');
    expect(code).toBe(4);
    expect(stderr).toContain(`the Codex login on this machine is of the account ${ACCOUNT}`);
    expect(stderr).toContain(`(${path.join(sandbox.config, 'config.toml')}:3) allows other@example.test only`);
    await expectNothingMade();
  });

  it('when the login does not tell whose it is and an account is pinned; as JSON with a code of its own', async () => {
    await writeHostLogin(sandbox.home, 'claude', 1, 'live');
    await rm(path.join(sandbox.home, '.claude.json'));
    await config(`[claude]\naccount = "${ACCOUNT}"\n`);
    const { code, stdout } = await load('--agent', 'claude', '--dry-run', '--format', 'json');
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'auth.account', message: expect.stringContaining('does not tell whose account it is') as string } });
  });

  it.each([
    ['dead', 'auth.dead'],
    ['absent', 'auth.missing'],
    ['expired', 'auth.missing'],
  ] as const)('with --strict-auth when the login is %s', async (condition, errorCode) => {
    await writeHostLogin(sandbox.home, 'claude', 1, condition);
    const { code, stdout } = await load('--agent', 'claude', '--strict-auth', '--detach', '--format', 'json');
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: errorCode, hint: expect.stringContaining('claude auth login') as string } });
    await expectNothingMade();
  });

  it('with a prompt for Amp that has no login, which would wait for one for ever', async () => {
    const { code, stderr } = await load('--agent', 'amp', '--prompt', 'hi');
    expect(code).toBe(4);
    expect(stderr).toContain('Amp answers no prompt without a login');
    await expectNothingMade();
  });

  it.skipIf(process.getuid!() !== 0)('when a login that is copied belongs to somebody else', async () => {
    await writeHostLogin(sandbox.home, 'codex', 1, 'live');
    await chown(path.join(sandbox.home, '.codex'), 1234, 1234);
    const { env, deps } = installation();
    const { code, stderr } = await sandbox.run(['load', 'agent-smith', '--agent', 'codex', '--detach'], { ...(env && { env }), engine, deps: { ...deps, uid: 4321 } });
    expect(code).toBe(4);
    expect(stderr).toContain('.codex belongs to another user');
    await expectNothingMade();
  });
});

describe('a launch', () => {
  it.skipIf(process.getuid!() !== 0)('goes on when only the login of another agent cannot be read, and says so', async () => {
    await writeHostLogin(sandbox.home, 'kimi', 1, 'live');
    await writeHostLogin(sandbox.home, 'codex', 1, 'live');
    for (const name of ['', 'config.toml', 'device_id', 'credentials', 'credentials/kimi-code.json']) await chown(path.join(sandbox.home, '.kimi-code', name), 4321, 4321);
    await chown(path.join(sandbox.home, '.codex'), 1234, 1234);
    const { env, deps } = installation();
    const { code, stderr } = await sandbox.run(['load', 'agent-smith', '--agent', 'kimi', '--detach'], { ...(env && { env }), engine, deps: { ...deps, uid: 4321 } });
    expect(stderr).toMatch(/codex: sync, by default\. .*\.codex belongs to another user/);
    expect(code).toBe(0);
  });

  it('with --strict-auth and a login that works goes on', async () => {
    await writeHostLogin(sandbox.home, 'kimi', 1, 'live');
    expect((await load('--agent', 'kimi', '--strict-auth', '--detach')).code).toBe(0);
  });

  it('hands over the login of every agent of the role, and shows none of them', async () => {
    for (const agent of ['claude', 'codex', 'amp', 'kimi', 'opencode'] as const) await writeHostLogin(sandbox.home, agent, 7, 'live');
    await chmod(path.join(sandbox.home, '.claude/.credentials.json'), 0o644);
    const { code, stdout, stderr } = await load('--agent', 'kimi', '--detach');
    expect(code).toBe(0);
    const files = await state();
    for (const [agent, file] of [['claude', 'credentials.json'], ['codex', 'auth.json'], ['amp', 'secrets.json'], ['opencode', 'auth.json']] as const) {
      expect(files[agent]).toBe(`-> handoff/current/${agent}`);
      expect(files[`handoff/gen-1/${agent}/${file}`]).toBe(FORMS[agent].text(7, 'live'));
    }
    expect(files['handoff/gen-1/kimi-code/credentials/kimi-code.json']).toBe(FORMS.kimi.text(7, 'live'));
    expect(JSON.parse(files['handoff/gen-1/claude/account.json'] ?? '')).toEqual({ oauthAccount: { emailAddress: ACCOUNT, accountUuid: 'fake-account' }, userID: 'fake-user' });

    expect(JSON.stringify(files)).not.toMatch(/private words|numStartups/);
    const secrets = ['fake-access-7', 'fake-refresh-7', 'fake-signature'];
    const places = new Map(Object.entries(files));
    expect(findSecrets(places, secrets, /^handoff\//)).toEqual([]);
    const shown = new Map([['stdout', stdout], ['stderr', stderr], ['engine', JSON.stringify(engine.containers())], ['capsule', JSON.stringify(capsule.launches)]]);
    expect(findSecrets(shown, secrets, /^none$/)).toEqual([]);
  });

  it('in which Claude’s login is not copied has an empty account in its place, and nothing in the handoff', async () => {
    await writeHostLogin(sandbox.home, 'claude', 7, 'live');
    await config('[claude]\nauth_forward = "ignore"\n');
    expect((await load('--agent', 'kimi', '--detach')).code).toBe(0);
    const files = await state();
    expect(files['claude/account.json']).toBe('{}\n');
    expect(Object.keys(files).filter((file) => file.startsWith('handoff/gen-1/claude'))).toEqual([]);
    expect(JSON.stringify(files)).not.toMatch(/fake-access|someone@/);
  });
});
