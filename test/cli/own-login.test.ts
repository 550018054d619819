import { mkdir, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AGENT_SLUGS } from '../../src/agents/agents.ts';
import { parseToken } from '../../src/agents/kimi-token.ts';
import { provisionHandoff } from '../../src/auth/handoff.ts';
import { locatePaths } from '../../src/config/paths.ts';
import { writeRecord } from '../../src/instances/record.ts';
import { writeLease } from '../../src/keeper/holders.ts';
import type { KeptLogin } from '../../src/keeper/keeper-status.ts';
import { socketOf } from '../../src/keeper/keeper-socket.ts';
import { digestOf, writeLoginNote } from '../../src/keeper/login-note.ts';
import { credential, kimiCodeFiles, minutes, tombstone, writeFiles } from '../fixtures/kimi/login.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

/** Logins of jackin's own, as configuration, plan and status show them. No keeper is started and no server asked. */

const SECRETS = /access-secret|refresh-secret/;
const ENDS = '2026-11-21T12:15:00.000Z';

let sandbox: Sandbox;
let paths: ReturnType<typeof locatePaths>;

beforeEach(async () => {
  sandbox = await makeSandbox();
  paths = locatePaths({ env: { JACKIN_CONFIG_DIR: sandbox.config, JACKIN_HOME_DIR: sandbox.jackinHome }, home: sandbox.home });
});

/** Every output is looked at for secrets. */
const run = async (args: string[], options: RunOptions = {}): Promise<Run> => {
  const ran = await sandbox.run(args, options);
  expect(ran.stdout + ran.stderr).not.toMatch(SECRETS);
  return ran;
};

const dataOf = async (args: string[]) => JSON.parse((await run([...args, '--format', 'json'])).stdout).data;

const config = (text: string) => sandbox.write('config/config.toml', `version = "v1alpha6"\n\n${text}`);
const ownDir = (account: string) => path.join(sandbox.jackinHome, 'logins/kimi', account);
const makeLogin = (account: string, text = credential()) => writeFiles(ownDir(account), kimiCodeFiles(text));
const logInOnHost = (text = credential()) => writeFiles(path.join(sandbox.home, '.kimi-code'), kimiCodeFiles(text));

const status = (...args: string[]) => run(['auth', 'status', '--agent', 'kimi', ...args]);
const statusData = () => dataOf(['auth', 'status', '--agent', 'kimi']);

const end = (account: string, why: string, text = credential()) =>
  writeLoginNote(paths, account, { refreshed_at: null, sent: null, ended: { token: digestOf(parseToken(text)!), why, at: '2026-11-21T11:00:00Z' } });

describe('load --login', () => {
  it('takes the login of that name, before all configuration, and reads nothing of the host’s', async () => {
    await makeLogin('work');
    await config('[kimi]\nauth_forward = "ignore"\n');
    for (const name of ['kimi:work', 'work']) {
      const { auth } = await dataOf(['load', 'agent-smith', '--agent', 'kimi', '--login', name, '--dry-run']);
      expect(auth.find(({ agent }: { agent: string }) => agent === 'kimi')).toMatchObject({
        mode: 'sync', decided_by: { layer: 'command line' }, own_login: { account: 'work', decided_by: { layer: 'command line' } }, delivery: 'lease', forks_login: false,
        login: { dir: ownDir('work'), from: 'own login', account: 'op@example.test', expires_at: ENDS },
      }); // prettier-ignore
    }
    expect((await run(['load', 'agent-smith', '--agent', 'kimi', '--login', 'work', '--dry-run'])).stdout).toContain(
      "kimi: sync, by command line. Login work of jackin's own (account op@example.test): the keeper renews it, the container gets access only.",
    );
  });

  it('that is not there ends with code 7, and that has ended with code 4', async () => {
    const load = (...args: string[]) => run(['load', 'agent-smith', '--agent', 'kimi', '--login', 'work', '--dry-run', ...args]);
    await makeLogin('home');
    expect(await load()).toMatchObject({ code: 7, stderr: expect.stringMatching(/is not there \(there are: home\)\n.*`jackin login kimi --account work`/) });
    await makeLogin('work', tombstone());
    expect(await load()).toMatchObject({ code: 4, stderr: expect.stringContaining('`jackin login kimi --account work`') });
    await makeLogin('work', credential({ expiresAt: minutes(-60) }));
    expect((await load('--strict-auth')).code).toBe(0);
    await end('work', 'revoked by the user', credential({ expiresAt: minutes(-60) }));
    expect(await load()).toMatchObject({ code: 4, stderr: expect.stringContaining('The server does not renew it any more: revoked by the user') });
    // The note is of another token than this one: somebody has logged in since.
    await makeLogin('work', credential({ serial: 2 }));
    expect((await load()).code).toBe(0);
  });

  it('is the name of a login and nothing else', async () => {
    for (const name of ['codex:work', '../x', 'a b', '']) expect((await run(['load', 'agent-smith', '--login', name, '--dry-run'])).code).toBe(2);
  });
});

describe('auth status', () => {
  it('shows the login, who decided on it, and that no keeper is needed as yet', async () => {
    await makeLogin('work');
    await config('[kimi]\nlogin = "work"\n');
    const { contexts, chains, keeper } = await statusData();
    const file = path.join(sandbox.config, 'config.toml');
    expect(contexts[0].agents[0]).toMatchObject({ state: 'live', account: 'op@example.test', expires_at: ENDS, own_login: { account: 'work', decided_by: { layer: 'global', file, line: 4 } }, source_dir: ownDir('work') });
    expect(chains).toEqual([{ agent: 'kimi', owner: 'keeper', account: 'op@example.test', login: 'work', holders: [], expires_at: ENDS, refreshed_at: null, warning: null }]);
    expect(keeper).toBeNull();
    const { stdout } = await status();
    expect(stdout).toMatch(/^any directory +kimi +sync +live +op@example\.test +until 2026-11-21 12:15Z +default +login work, by global \(.*config\.toml:4\)$/m);
    expect(stdout).toContain('login kimi:work: op@example.test, access until 2026-11-21 12:15Z, not renewed yet, no container has a lease; the keeper does not run');
    // It is only looked at.
    await expect(readdir(path.join(sandbox.jackinHome, 'keeper'))).rejects.toThrow(/ENOENT/);
  });

  it('ends a check with code 4 where a launch would use one that is missing or has ended', async () => {
    await config('[kimi]\nlogin = "work"\n');
    expect(await status('--check')).toMatchObject({ code: 4, stderr: expect.stringMatching(/\(absent\)\. There is no login work of jackin's own\. To do: run `jackin login kimi --account work`\./) });
    await makeLogin('work', credential({ expiresAt: minutes(-60) }));
    const { code, stdout } = await status('--check');
    expect([code, stdout]).toEqual([0, expect.stringContaining('kimi: Its access has ended, and the keeper renews it when it is needed.')]);
    expect(stdout).toContain('login kimi:work: op@example.test, access ended 2026-11-21 11:00Z, not renewed yet');
    await end('work', 'invalid_grant', credential({ expiresAt: minutes(-60) }));
    expect(await status('--check')).toMatchObject({ code: 4, stderr: expect.stringContaining('(dead). The server does not renew it any more: invalid_grant. To do: run `jackin login kimi --account work`') });
  });
});

describe('auth status of instances', () => {
  const stateDir = (container: string) => path.join(sandbox.jackinHome, 'data', container);

  /** An instance as its record shows it: no engine is asked here. */
  const start = async (id: string): Promise<string> => {
    const container = `jk-${id}-x`;
    for (const folder of ['home', '.jackin']) await mkdir(path.join(stateDir(container), folder), { recursive: true });
    await writeRecord(paths.dataDir, {
      version: 2, instance_id: id, container, network: 'n', created_at: `2026-11-21T0${id[0]}:00:00Z`, updated_at: '2026-11-21T00:00:00Z', workspace_name: null, workdir: '/w',
      role_key: 'agent-smith', role_content: 'c', agent: 'kimi', agent_version: '2.1.0', supported_agents: [...AGENT_SLUGS], image_tag: 'image', status: 'running',
    }); // prettier-ignore
    return container;
  };

  const withCopy = async (id: string, text = credential()): Promise<string> => {
    const container = await start(id);
    const files = Object.entries(kimiCodeFiles(text)).map(([file, content]) => ({ path: file, bytes: Buffer.from(content) }));
    await provisionHandoff(path.join(stateDir(container), 'handoff'), [{ name: 'kimi-code', action: 'replace', files }], { uid: process.getuid!(), gid: process.getgid!() });
    await writeFiles(path.join(stateDir(container), 'home/.kimi-code'), kimiCodeFiles(text));
    return container;
  };

  const withLease = async (id: string, account: string): Promise<string> => {
    const container = await start(id);
    await writeLease(stateDir(container), account);
    return container;
  };

  /** A keeper that says this of its logins. */
  const keeperThatSays = async (logins: Partial<KeptLogin>[]): Promise<void> => {
    await mkdir(paths.keeperDir, { recursive: true, mode: 0o700 });
    const server = createServer((socket) => {
      createInterface({ input: socket }).on('line', () => socket.write(`${JSON.stringify({ ok: { pid: 4321, started_at: '2026-11-21T10:00:00Z', logins } })}\n`));
    });
    await mkdir(path.dirname(socketOf(paths)), { recursive: true, mode: 0o700 });
    await new Promise<void>((resolve) => server.listen(socketOf(paths), resolve));
    onTestFinished(async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(socketOf(paths), { force: true });
    });
  };

  it('with a lease shows the keeper as its owner, and until when it has access', async () => {
    await makeLogin('work');
    await writeLoginNote(paths, 'work', { refreshed_at: '2026-11-21T11:58:00Z', sent: null, ended: null });
    const [a, b] = [await withLease('1aaaaaaa', 'work'), await withLease('2bbbbbbb', 'work')];
    await keeperThatSays([{ account: 'work', state: 'live', why: null }]);
    const { instances, chains, keeper } = await statusData();
    expect(instances[0].agents).toMatchObject([{ agent: 'kimi', state: 'live', account: 'op@example.test', expires_at: ENDS, drift: null, owner: 'keeper', login: 'work', refreshed_at: '2026-11-21T11:58:00Z' }]);
    expect(chains).toEqual([{ agent: 'kimi', owner: 'keeper', account: 'op@example.test', login: 'work', holders: [a, b], expires_at: ENDS, refreshed_at: '2026-11-21T11:58:00Z', warning: null }]);
    expect(keeper).toEqual({ pid: 4321, started_at: '2026-11-21T10:00:00Z' });
    const { stdout } = await status();
    expect(stdout).toMatch(/^1aaaaaaa +agent-smith +kimi +sync +live +op@example\.test +until 2026-11-21 12:15Z +- +keeper, login work$/m);
    expect(stdout).toContain(`login kimi:work: op@example.test, access until 2026-11-21 12:15Z, renewed 2026-11-21 11:58Z, leases: ${a}, ${b}; the keeper runs (pid 4321)`);
    expect(stdout).not.toContain('To do');
  });

  it('that nobody renews any more say what to do', async () => {
    await makeLogin('work');
    await withLease('1aaaaaaa', 'work');
    expect((await statusData()).chains[0].warning).toBe(`The keeper does not run, so nobody renews the login work. Its access ends ${ENDS}. To do: \`jackin keeper run\`.`);
    await end('work', 'invalid_grant');
    const { chains, instances } = await statusData();
    expect(chains[0].warning).toBe('The login work is not renewed any more. The server does not renew it any more: invalid_grant. To do: `jackin login kimi --account work`.');
    expect(instances[0].agents).toMatchObject([{ state: 'dead', why: chains[0].warning }]);
    await rm(ownDir('work'), { recursive: true });
    expect((await status()).stdout).toMatch(/^kimi: There is no login work of jackin's own\. To do: `jackin login kimi --account work`\.$/m);
  });

  it('tells what the keeper has trouble with', async () => {
    await makeLogin('work');
    await withLease('1aaaaaaa', 'work');
    await keeperThatSays([{ account: 'work', state: 'trouble', why: 'The server did not answer.' }]);
    expect((await status()).stdout).toContain('kimi: The keeper has trouble with the login work: The server did not answer.');
  });

  it('counts who holds copies of one rotating login, the host among them', async () => {
    await logInOnHost();
    const [a, b] = [await withCopy('1aaaaaaa'), await withCopy('2bbbbbbb')];
    const { chains, keeper } = await statusData();
    expect(chains).toEqual([{
      agent: 'kimi', owner: 'copies', account: 'op@example.test', login: null, holders: ['host', a, b], expires_at: ENDS, refreshed_at: null,
      warning: expect.stringContaining(`3 hold the same login of op@example.test (host, ${a}, ${b}), and it rotates: whoever refreshes second is logged out.`),
    }]); // prettier-ignore
    expect(chains[0].warning).toContain('`jackin login kimi`');
    expect(keeper).toBeNull();
    expect((await status()).stdout.match(/whoever refreshes second/g)).toHaveLength(1);
  });

  it('counts no container whose login went its own way', async () => {
    await logInOnHost();
    const [a, b] = [await withCopy('1aaaaaaa'), await withCopy('2bbbbbbb')];
    await writeFiles(path.join(stateDir(b), 'home/.kimi-code'), kimiCodeFiles(credential({ refresh: 'fake-renewed-inside' })));
    await logInOnHost(credential({ refresh: 'fake-renewed-on-the-host' }));
    const { chains, instances } = await statusData();
    expect(instances.map(({ agents }: { agents: { drift: string }[] }) => agents[0]?.drift)).toEqual(['host newer', 'forked']);
    expect(chains).toMatchObject([{ holders: ['host', a] }]);
  });

  it('says nothing of copies where nobody else holds the login, or it is another account’s', async () => {
    const a = await withCopy('1aaaaaaa');
    expect((await statusData()).chains).toEqual([]);
    await logInOnHost(tombstone());
    expect((await statusData()).chains).toEqual([]);
    await logInOnHost(credential({ account: 'other@example.test' }));
    expect((await statusData()).chains).toEqual([]);
    await logInOnHost(credential({ refresh: '' }));
    expect((await statusData()).chains).toEqual([]);
    await logInOnHost();
    expect((await statusData()).chains[0].holders).toEqual(['host', a]);
  });
});
