import { chmod, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { AGENTS, AGENT_SLUGS } from '../../src/agents/agents.ts';
import { printHosts, withLogin } from '../../src/agents/github-login.ts';
import { addKeyProvider, printKimiConfig } from '../../src/agents/kimi-config.ts';
import { provisionHandoff } from '../../src/auth/handoff.ts';
import type { ContainerSpec } from '../../src/docker/engine.ts';
import { writeRecord } from '../../src/instances/record.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import { credential, kimiCodeFiles, minutes, tombstone, writeFiles } from '../fixtures/kimi/login.ts';
import { type Condition, FORMS, writeHostLogin } from '../fixtures/logins/logins.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const ME = { uid: process.getuid!(), gid: process.getgid!() };
const HOME_ID = 'home-1';
const SECRETS = /access-secret|refresh-secret|fake-access|fake-refresh|canary|fake-key|[0-9a-f]{64}/;

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await makeSandbox();
});

/** Every output of the command is looked at for secrets. */
const status = async (args: string[] = [], options: RunOptions = {}): Promise<Run> => {
  const run = await sandbox.run(['auth', 'status', ...args], options);
  expect(run.stdout + run.stderr).not.toMatch(SECRETS);
  return run;
};

const dataOf = async (args: string[] = [], options: RunOptions = {}) => JSON.parse((await status([...args, '--format', 'json'], options)).stdout).data;

interface Cell {
  agent: string;
  state: string;
}

const cellOf = (context: { agents: Cell[] }, agent = 'kimi') => context.agents.find((cell) => cell.agent === agent)!;

const logIn = (text = credential()) => writeFiles(path.join(sandbox.home, '.kimi-code'), kimiCodeFiles(text));

const config = (text: string) => sandbox.write('config/config.toml', `version = "v1alpha6"\n\n${text}`);

const workspace = (name: string, text = '', top = '') =>
  sandbox.write(`config/workspaces/${name}.toml`, `version = "v1alpha6"\nworkdir = "/w"\n${top}\n[[mounts]]\nsrc = "/w"\ndst = "/w"\n\n${text}`);

describe('the login of the host', () => {
  it('is shown with its account and its end, and who decided that it is copied', async () => {
    await logIn();
    const { contexts, instances, logged_out: loggedOut } = await dataOf(['--agent', 'kimi', '--check']);
    expect(contexts).toEqual([
      {
        workspace: null, role: null, default_agent: null, github: null,
        agents: [
          {
            agent: 'kimi', mode: 'sync', decided_by: { layer: 'default', file: null, line: null }, source_dir: path.join(sandbox.home, '.kimi-code'),
            source_dir_decided_by: null, own_login: null, pinned_account: null, state: 'live', account: 'op@example.test', expires_at: '2026-11-21T12:15:00.000Z',
            key: null, why: 'credentials/kimi-code.json is live.',
          },
        ],
      },
    ]); // prettier-ignore
    expect([instances, loggedOut]).toEqual([[], []]);
    const { code, stdout } = await status(['--agent', 'kimi', '--check']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^any directory +kimi +sync +live +op@example\.test +until 2026-11-21 12:15Z +default +.*\.kimi-code$/m);
  });

  it.each([
    ['live', credential()],
    ['expired', credential({ expiresAt: minutes(-5) })],
    ['dead', tombstone()],
    ['dead', ''],
    ['dead', credential({ expiresAt: minutes(-5), refresh: '' })],
    ['unknown', '{"another": "form"}'],
  ])('is %s when its file says so', async (state, text) => {
    await logIn(text);
    const [context] = (await dataOf(['--agent', 'kimi'])).contexts;
    expect(cellOf(context).state).toBe(state);
  });

  it('says that the access is over and can be refreshed', async () => {
    await logIn(credential({ expiresAt: minutes(-5) }));
    const { stdout, code } = await status(['--agent', 'kimi', '--check']);
    expect(code).toBe(0);
    expect(stdout).toContain('ended 2026-11-21 11:55Z, can be refreshed');
    expect(stdout).toMatch(/^kimi: .*has expired and can be refreshed\.$/m);
  });

  it('is looked for where the configuration says, which is told with the line', async () => {
    await config('[kimi]\nsync_source_dir = "~/other"\n');
    await writeFiles(path.join(sandbox.home, 'other'), kimiCodeFiles());
    const [context] = (await dataOf(['--agent', 'kimi'])).contexts;
    const file = path.join(sandbox.config, 'config.toml');
    expect(cellOf(context)).toMatchObject({ state: 'live', source_dir: path.join(sandbox.home, 'other'), source_dir_decided_by: { layer: 'global', file, line: 4 } });
    expect((await status(['--agent', 'kimi'])).stdout).toContain(`/other, by global (${file}:4)`);
  });

  it('that is another account’s than the pinned one is refused', async () => {
    await config('[kimi]\naccount = "me@example.test"\n');
    await logIn();
    const { code, stdout, stderr } = await status(['--agent', 'kimi', '--check']);
    expect(code).toBe(4);
    expect(stdout).toMatch(/kimi +sync +wrong account +op@example\.test/);
    expect(stderr).toMatch(/is of the account op@example\.test, and global \(.*config\.toml:4\) allows me@example\.test only.*`kimi login` on the host, as me@example\.test/);
    await config('[kimi]\naccount = "op@example.test"\n');
    expect((await status(['--agent', 'kimi', '--check'])).code).toBe(0);
    // Nothing is handed over of a dead one: that it is dead says more.
    await logIn(tombstone());
    expect((await status(['--agent', 'kimi', '--check'])).stderr).toContain('(dead)');
  });

  it('that cannot be read spoils nothing else, and stops a check', async () => {
    await logIn();
    const options = { deps: { uid: ME.uid + 1 } };
    const { contexts } = await dataOf([], options);
    expect(contexts[0].agents).toHaveLength(AGENT_SLUGS.length);
    expect(cellOf(contexts[0])).toMatchObject({ state: 'unreadable', why: expect.stringContaining('belongs to another user') });
    expect((await status(['--agent', 'kimi', '--check'], options)).code).toBe(4);
  });

  it('of every agent has its row, and so has GitHub', async () => {
    const { contexts } = await dataOf();
    expect(contexts[0].agents.map(({ agent }: Cell) => agent)).toEqual(AGENT_SLUGS);
    expect(contexts[0].github).toMatchObject({ mode: 'sync', decided_by: { layer: 'default' } });
    expect((await status()).stdout).toMatch(/^ +github +sync/m);
  });
});

describe.each(AGENT_SLUGS)('the login of %s', (agent) => {
  it.each<Condition>(['live', 'expired', 'dead', 'absent'])('is told to be %s, and the check goes by it', async (condition) => {
    await writeHostLogin(sandbox.home, agent, 1, condition);
    const expected = condition === 'expired' && !FORMS[agent].expires ? 'live' : condition;
    const { code, stdout, stderr } = await status(['--agent', agent, '--check', '--format', 'json']);
    const [context] = JSON.parse(stdout).data.contexts;
    expect(context.agents).toMatchObject([{ agent, mode: 'sync', state: expected }]);
    const isLoggedOut = expected === 'dead' || expected === 'absent';
    expect([code, stderr.includes(`run \`${AGENTS[agent].loginCommand}\` on the host`)]).toEqual(isLoggedOut ? [4, true] : [0, false]);
  });
});

describe('GitHub', () => {
  const hosts = 'home/.config/gh/hosts.yml';

  it('is shown as gh keeps it, without asking gh', async () => {
    const [context] = (await dataOf()).contexts;
    expect(context.github).toMatchObject({ mode: 'sync', state: 'absent', account: null });
    await sandbox.write(hosts, printHosts(withLogin(new Map(), { user: 'someone', token: 'canary-token' })));
    const github = (await dataOf()).contexts[0].github;
    expect(github).toMatchObject({ state: 'live', account: 'someone', source_dir: path.join(sandbox.home, '.config/gh') });
    expect((await status()).stdout).toMatch(/^ +github +sync +live +someone /m);
    // gh may keep the token elsewhere: then only gh knows.
    await sandbox.write(hosts, 'github.com:\n    user: someone\n');
    await sandbox.write('bin/gh', '#!/bin/sh\necho asked > "$(dirname "$0")/asked"\n');
    await chmod(path.join(sandbox.root, 'bin/gh'), 0o755);
    expect((await dataOf([], { env: { PATH: path.join(sandbox.root, 'bin') } })).contexts[0].github).toMatchObject({ state: 'unknown', account: 'someone' });
    expect(await readdir(path.join(sandbox.root, 'bin'))).toEqual(['gh']);
  });

  it('without its token stops a launch, without a login it stops none', async () => {
    await logIn();
    await workspace('app', '', 'default_agent = "kimi"');
    expect((await status(['--workspace', 'app', '--check'])).code).toBe(0);
    await config('[github]\nauth_forward = "token"\n');
    const { code, stderr } = await status(['--workspace', 'app', '--check']);
    expect([code, stderr]).toEqual([4, 'app: a launch would stop for GitHub (key missing). No [github.env] table sets GH_TOKEN. To do: set GH_TOKEN in a [github.env] table.\n']);
    expect((await status(['--workspace', 'app', '--agent', 'kimi', '--check'])).code).toBe(0);
  });
});

describe('a key', () => {
  it('is set or missing, and says where it comes from', async () => {
    await config(
      [
        '[claude]\nauth_forward = "oauth_token"\n\n[codex]\nauth_forward = "api_key"\n\n[amp]\nauth_forward = "api_key"\n\n[kimi]\nauth_forward = "api_key"\n',
        '[opencode]\nauth_forward = "ignore"\n\n[github]\nauth_forward = "token"\n\n[github.env]\nGH_TOKEN = "canary-token"\n',
        '[env]\nCLAUDE_CODE_OAUTH_TOKEN = "canary-literal"\nOPENAI_API_KEY = "op://Personal/openai/key"\nAMP_API_KEY = "$MY_AMP"\nKIMI_API_KEY = "$MY_KIMI"\n',
      ].join('\n'),
    );
    const options = { env: { MY_KIMI: 'fake-key' } };
    const [context] = (await dataOf([], options)).contexts;
    const states = context.agents.map(({ agent, state, key }: Cell & { key: { from: string } | null }) => [agent, state, key?.from ?? null]);
    expect(states).toEqual([
      ['claude', 'key set', 'literal'],
      ['codex', 'key set', 'op'],
      ['amp', 'key missing', 'host'],
      ['kimi', 'key set', 'host'],
      ['opencode', 'ignored', null],
    ]);
    expect(context.github).toMatchObject({ mode: 'token', state: 'key set', key: { name: 'GH_TOKEN', from: 'literal' } });
    const { stdout, stderr, code } = await status(['--check'], options);
    expect(code).toBe(4);
    expect(stdout).toMatch(/codex: OPENAI_API_KEY comes from 1Password; whether it is there, only a launch asks\./);
    expect(stderr).toBe('any directory: amp would start logged out (key missing). AMP_API_KEY comes from $MY_AMP, which is not set on the host. To do: set the variable that AMP_API_KEY comes from.\n');
  });

  it('that nobody sets comes with the command that sets it', async () => {
    await config('[kimi]\nauth_forward = "api_key"\n');
    const { stderr, code } = await status(['--check', '--agent', 'kimi']);
    expect(code).toBe(4);
    expect(stderr).toContain('No [env] table sets KIMI_API_KEY. To do: set it with `jackin config env set KIMI_API_KEY --stdin`.');
  });

  it('of one role counts for this role alone', async () => {
    await config('[kimi]\nauth_forward = "api_key"\n\n[roles.agent-smith.env]\nKIMI_API_KEY = "canary"\n');
    const { contexts } = await dataOf(['--agent', 'kimi']);
    expect(contexts.map((context: { role: string; agents: Cell[] }) => [context.role, cellOf(context).state])).toEqual([[null, 'key missing'], ['agent-smith', 'key set']]);
  });
});

describe('workspaces', () => {
  it('that say nothing of their own are summed up in one line', async () => {
    await logIn();
    for (const name of ['a', 'b', 'c']) await workspace(name);
    await workspace('special', '[kimi]\nauth_forward = "ignore"\n');
    const { stdout } = await status(['--agent', 'kimi']);
    const lines = stdout.split('\n');
    expect(lines[1]).toMatch(/^any directory +kimi +sync +live/);
    expect(lines[2]).toBe('3 workspaces as above: a, b, c');
    expect(lines[3]).toMatch(/^special +kimi +ignore +ignored .*workspace \(.*special\.toml:9\)/);
    expect((await dataOf()).contexts).toHaveLength(5);
    await workspace('two', '[roles.other.env]\nA = "canary"\n');
    expect((await status(['--agent', 'kimi', '--workspace', 'two'])).stdout).toContain('\n1 workspace as above: two × other\n');
  });

  it('of which there are many are not all named', async () => {
    for (let n = 10; n < 30; n += 1) await workspace(`w${n}`);
    expect((await status()).stdout).toMatch(/^20 workspaces as above: w10, .*w19 and 10 more$/m);
  });

  it('are shown with the role of a load there, and with those that have settings of their own', async () => {
    await workspace('app', '[roles.agent-smith.kimi]\nauth_forward = "ignore"\n\n[roles.other.github]\nauth_forward = "ignore"\n\n[roles.third.env]\nA = "canary"\n\n[roles.plain]\n', 'default_role = "agent-smith"');
    const { contexts } = await dataOf(['--workspace', 'app']);
    const seen = contexts.map((context: { role: string; github: { mode: string }; agents: Cell[] }) => [context.role, cellOf(context).state, context.github.mode]);
    expect(seen).toEqual([
      ['agent-smith', 'ignored', 'sync'],
      ['other', 'absent', 'ignore'],
      ['third', 'absent', 'sync'],
    ]);
    expect((await status(['--workspace', 'app'])).stdout).toMatch(/^app +claude[^]*^app × other +claude[^]*^app × third +claude/m);
    const named = (await dataOf(['--workspace', 'app', '--role', 'other', '--agent', 'kimi'])).contexts;
    expect(named).toMatchObject([{ workspace: 'app', role: 'other', github: null, agents: [{ state: 'absent' }] }]);
  });

  it('that are not there are not found', async () => {
    await workspace('app');
    const { code, stderr } = await status(['--workspace', 'ap']);
    expect(code).toBe(7);
    expect(stderr).toContain('did you mean "app"?');
  });

  it('whose files are invalid stop everything, with all problems of all files', async () => {
    await config('[kimi]\nauth_forward = "nonsense"\n');
    await workspace('app', '[kimmi]\nauth_forward = "sync"\n');
    const { code, stderr } = await status();
    expect(code).toBe(3);
    expect(stderr).toMatch(/config\.toml:4:/);
    expect(stderr).toMatch(/app\.toml:8:/);
  });
});

describe('--check', () => {
  it('asks for the agent that a workspace starts, and for all that are not ignored elsewhere', async () => {
    await logIn();
    await workspace('app', '', 'default_agent = "kimi"');
    await workspace('dark', '[kimi]\nauth_forward = "ignore"\n', 'default_agent = "kimi"');
    expect((await status(['--workspace', 'app', '--check'])).code).toBe(0);
    expect((await status(['--workspace', 'dark', '--check'])).code).toBe(0);
    const isAsked = (agent: string) => new RegExp(`^any directory(, \\w+)*: ${agent} would start logged out`, 'm');
    await config('[claude]\nauth_forward = "api_key"\n\n[codex]\nauth_forward = "ignore"\n');
    const { code, stderr } = await status(['--check']);
    expect(code).toBe(4);
    expect(stderr).toMatch(isAsked('claude'));
    expect(stderr).not.toMatch(isAsked('codex'));
    expect(stderr).not.toMatch(isAsked('kimi'));
    expect(stderr).not.toMatch(/app|dark/);
    expect((await status(['--workspace', 'app', '--agent', 'kimi', '--check'])).code).toBe(0);
  });

  it('prints the result as well, and says the same of several places once', async () => {
    await workspace('app');
    const { code, stdout, stderr } = await status(['--agent', 'kimi', '--check', '--format', 'json']);
    expect(code).toBe(4);
    expect(JSON.parse(stdout).data.logged_out).toMatchObject([
      { workspace: null, agent: 'kimi', state: 'absent' },
      { workspace: 'app', agent: 'kimi', state: 'absent', remedy: 'run `kimi login` on the host' },
    ]);
    expect(stderr).toMatch(/^any directory, app: kimi would start logged out \(absent\).*To do: run `kimi login` on the host\.\n$/);
    expect((await status(['--agent', 'kimi'])).code).toBe(0);
  });

  it('names the directory that the login has to be in', async () => {
    await config('[kimi]\nsync_source_dir = "~/other"\n');
    expect((await status(['--agent', 'kimi', '--check'])).stderr).toContain(`run \`kimi login\` on the host, so that its login is in ${path.join(sandbox.home, 'other')}`);
  });
});

describe('instances', () => {
  let engine: FakeEngine;

  beforeEach(async () => {
    engine = fakeEngine({ images: ['image'] });
    await sandbox.write('jackin/home-id', `${HOME_ID}\n`);
  });

  const stateDir = (container: string) => path.join(sandbox.jackinHome, 'data', container);

  const start = async (id: string, name: string | null = null, running = true): Promise<string> => {
    const container = `jk-${id}-x`;
    const labels = { 'jackin.managed': 'true', 'jackin.kind': 'role', 'jackin.class': 'agent-smith', 'jackin.instance': id, 'jackin.home': HOME_ID, 'jackin.workspace': name ?? '' };
    await engine.createNetwork({ name: `${container}-net`, labels, subnet: `10.9.${id[0]}.0/28` });
    const spec: ContainerSpec = {
      name: container, hostname: container, image: 'image', argv: ['x'], user: '0:0', workdir: '/', env: [], labels, mounts: [], tmpfs: {},
      network: `${container}-net`, init: true, capDrop: [], noNewPrivileges: true, pidsLimit: 10,
    }; // prettier-ignore
    await engine.createContainer(spec);
    if (running) await engine.startContainer(container);
    for (const folder of ['home', '.jackin']) await mkdir(path.join(stateDir(container), folder), { recursive: true });
    await writeRecord(path.join(sandbox.jackinHome, 'data'), {
      version: 2, instance_id: id, container, network: `${container}-net`, created_at: `2026-11-21T0${id[0]}:00:00Z`, updated_at: '2026-11-21T00:00:00Z',
      workspace_name: name, workdir: '/w', role_key: 'agent-smith', role_content: 'c', agent: 'kimi', agent_version: '2.1.0', supported_agents: [...AGENT_SLUGS],
      image_tag: 'image', status: 'running',
    }); // prettier-ignore
    return container;
  };

  const handOver = (container: string, text: string) =>
    provisionHandoff(
      path.join(stateDir(container), 'handoff'),
      [{ name: 'kimi-code', action: 'replace', files: Object.entries(kimiCodeFiles(text)).map(([file, content]) => ({ path: file, bytes: Buffer.from(content) })) }],
      ME,
    );

  const inside = (container: string, text: string) => writeFiles(path.join(stateDir(container), 'home/.kimi-code'), kimiCodeFiles(text));

  it.each([
    ['same', 1, 1, 'host'],
    ['host newer', 2, 1, 'host'],
    ['container newer', 1, 2, 'container'],
    ['forked', 2, 3, 'container'],
  ])('that were given a login say how it stands to the host’s: %s', async (drift, onHost, inContainer, owner) => {
    const container = await start('1aaaaaaa');
    await handOver(container, credential({ serial: 1 }));
    await logIn(credential({ serial: onHost }));
    await inside(container, credential({ serial: inContainer, expiresAt: minutes(20) }));
    if (drift === 'same') await inside(container, credential({ serial: 1 }));
    if (drift === 'host newer') await handOver(container, credential({ serial: 1, expiresAt: minutes(20) }));
    const { instances } = await dataOf([], { engine });
    expect(instances).toMatchObject([
      { instance_id: '1aaaaaaa', container, role: 'agent-smith', workspace: null, running: true, agents: [{ agent: 'kimi', mode: 'sync', state: 'live', account: 'op@example.test', drift }] },
    ]);
    const { stdout } = await status([], { engine });
    expect(stdout).toMatch(new RegExp(`^1aaaaaaa +agent-smith +kimi +sync +live +op@example\\.test +until 2026-11-21 12:\\d\\dZ +${drift} +${owner}$`, 'm'));
    expect(stdout.includes('whichever refreshes second is logged out')).toBe(drift === 'forked');
  });

  it('whose login is gone or dead say so', async () => {
    await logIn();
    const container = await start('1aaaaaaa');
    await handOver(container, credential());
    expect((await dataOf([], { engine })).instances[0].agents).toMatchObject([{ agent: 'kimi', state: 'absent', drift: null }]);
    await inside(container, tombstone());
    expect((await dataOf([], { engine })).instances[0].agents).toMatchObject([{ agent: 'kimi', state: 'dead', drift: 'host newer' }]);
  });

  it('show the GitHub login in them', async () => {
    const container = await start('1aaaaaaa');
    await sandbox.write(`jackin/data/${container}/.config/gh/hosts.yml`, printHosts(withLogin(new Map(), { user: 'someone', token: 'canary-token' })));
    expect((await dataOf([], { engine })).instances[0].github).toMatchObject({ mode: 'sync', state: 'live', account: 'someone' });
    expect((await status([], { engine })).stdout).toMatch(/^1aaaaaaa +agent-smith +github +sync +live +someone/m);
  });

  it('are compared with the login that their workspace and role are set to', async () => {
    await logIn(credential({ serial: 9, account: 'other@example.test' }));
    await workspace('app', '[kimi]\nsync_source_dir = "~/other"\n');
    await writeFiles(path.join(sandbox.home, 'other'), kimiCodeFiles());
    const container = await start('1aaaaaaa', 'app');
    await handOver(container, credential());
    await inside(container, credential());
    expect((await dataOf([], { engine })).instances[0].agents[0]).toMatchObject({ drift: 'same', account: 'op@example.test' });
    await workspace('app', '[kimi]\nauth_forward = "ignore"\n');
    expect((await dataOf([], { engine })).instances[0].agents[0]).toMatchObject({ mode: 'ignore', drift: null });
  });

  it('that use a key have no login for it', async () => {
    const provider = addKeyProvider({}, { ...AGENTS.kimi.apiKeyProvider! });
    const container = await start('1aaaaaaa');
    await writeFiles(path.join(stateDir(container), 'home/.kimi-code'), { 'config.toml': printKimiConfig(provider.config) });
    await config('[kimi]\nauth_forward = "api_key"\n');
    expect((await dataOf([], { engine })).instances[0].agents).toEqual([]);
    await inside(container, credential());
    expect((await dataOf([], { engine })).instances[0].agents).toMatchObject([{ mode: 'api_key', state: 'live', drift: null }]);
  });

  it('that do not run are left out, and so are those of other workspaces, roles and agents', async () => {
    for (const [id, name] of [['1aaaaaaa', 'app'], ['2aaaaaaa', null]] as const) await inside(await start(id, name), credential());
    await start('3aaaaaaa', null, false);
    await workspace('app');
    const ids = async (...args: string[]) => (await dataOf(args, { engine })).instances.map((one: { instance_id: string }) => one.instance_id);
    expect(await ids()).toEqual(['1aaaaaaa', '2aaaaaaa']);
    expect(await ids('--workspace', 'app')).toEqual(['1aaaaaaa']);
    expect(await ids('--role', 'other')).toEqual([]);
    expect((await dataOf(['--agent', 'codex'], { engine })).instances[0].agents).toEqual([]);
    expect((await status(['--agent', 'codex'], { engine })).stdout).toMatch(/^1aaaaaaa +app × agent-smith +no login/m);
  });

  it('with a broken home hide no other, and no link of theirs is followed', async () => {
    await logIn();
    const [first, second] = [await start('1aaaaaaa'), await start('2aaaaaaa')];
    await inside(first, credential());
    await rm(path.join(stateDir(first), 'home/.kimi-code'), { recursive: true });
    await symlink(path.join(sandbox.home, '.kimi-code'), path.join(stateDir(first), 'home/.kimi-code'));
    await sandbox.write(`jackin/data/${second}/.jackin/instance.json`, 'nonsense');
    await inside(second, credential());
    const { instances } = await dataOf([], { engine });
    const seen = instances.map(({ instance_id: id, agents }: { instance_id: string; agents: Cell[] }) => [id, agents.map(({ agent, state }) => [agent, state])]);
    expect(seen).toEqual(expect.arrayContaining([['1aaaaaaa', []], ['2aaaaaaa', [['kimi', 'live']]]]));
  });

  it('are shown without their engine as what was last known', async () => {
    const container = await start('1aaaaaaa');
    await inside(container, credential());
    const { instances, instances_note: note } = await dataOf();
    expect(instances).toMatchObject([{ instance_id: '1aaaaaaa', running: null, agents: [{ state: 'live' }] }]);
    expect(note).toMatch(/^Whether the instances run is not known: this test has no engine\./);
    const { code, stdout } = await status();
    expect(code).toBe(0);
    expect(stdout).toContain('Whether the instances run is not known');
  });

  it('of which there are none cost no question to an engine, and nothing is written', async () => {
    await rm(sandbox.jackinHome, { recursive: true });
    const connectEngine = () => Promise.reject(new Error('the engine was asked'));
    expect((await dataOf([], { deps: { connectEngine } })).instances_note).toBeNull();
    await expect(readdir(sandbox.jackinHome)).rejects.toThrow(/ENOENT/);
  });
});
