import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ContainerSpec } from '../../src/docker/engine.ts';
import { writeRecord } from '../../src/instances/record.ts';
import type { Verification } from '../../src/launch/verify.ts';
import { fakeEngine, type FakeEngine, type FakeExecRequest } from '../fakes/engine.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const HOME_ID = 'home-1';
const ID = '1aaaaaaa';
const NAME = `jk-${ID}-x`;

const ACCESS = 'fake-access-0123456789';
const REFRESH = 'fake-refresh-0123456789';
const KEY = 'fake-key/+= & 0123456789';
const GITHUB = 'fake_gho_0123456789';

let engine: FakeEngine;
let sandbox: Sandbox;
let environment: string;

const playEnv = ({ argv, stdout, stderr }: FakeExecRequest): number => {
  if (argv[0] !== 'env') return 126;
  stderr.write('a warning');
  stdout.write(environment);
  return 0;
};

beforeEach(async () => {
  environment = 'HOME=/home/agent\n';
  engine = fakeEngine({ images: ['image'], exec: playEnv });
  sandbox = await makeSandbox();
  await sandbox.write('jackin/home-id', `${HOME_ID}\n`);
});

/** A file as jackin leaves it: 0600 in 0700. */
const put = async (file: string, text: string, mode = 0o600): Promise<void> => {
  const full = path.join(sandbox.jackinHome, 'data', NAME, file);
  await mkdir(path.dirname(full), { recursive: true, mode: 0o700 });
  await writeFile(full, text, { mode });
};

const credential = (access: string): string => JSON.stringify({ access_token: access, refresh_token: REFRESH, token_type: 'Bearer' });

const spec = (name: string, labels: Record<string, string>): ContainerSpec => ({
  name, hostname: name, image: 'image', argv: ['capsule'], user: '0:0', workdir: '/', env: ['HOME=/home/agent'], labels,
  mounts: [{ kind: 'volume', source: 'agents', target: '/jackin/agents', readonly: true }], tmpfs: {},
  network: `${name}-net`, init: true, capDrop: [], noNewPrivileges: true, pidsLimit: 10,
}); // prettier-ignore

const addContainer = async (id = ID, name = NAME): Promise<void> => {
  const labels = { 'jackin.managed': 'true', 'jackin.kind': 'role', 'jackin.class': 'agent-smith', 'jackin.instance': id, 'jackin.home': HOME_ID, 'jackin.workspace': '' };
  await engine.createNetwork({ name: `${name}-net`, labels, subnet: `10.9.${id[0]}.0/28` });
  await engine.createContainer(spec(name, { ...labels }));
  await engine.startContainer(name);
};

const addRecord = async (id = ID, container = NAME): Promise<void> => {
  await mkdir(path.join(sandbox.jackinHome, 'data', container, '.jackin'), { recursive: true });
  await writeRecord(path.join(sandbox.jackinHome, 'data'), {
    version: 2, instance_id: id, container, network: `${container}-net`, created_at: '2026-11-21T10:00:00Z', updated_at: '2026-11-21T10:00:00Z',
    workspace_name: null, workdir: '/x', role_key: 'agent-smith', role_content: 'c', agent: 'kimi', agent_version: '2.1.0', supported_agents: ['kimi'],
    image_tag: 'image', status: 'running',
  }); // prettier-ignore
};

/** A running instance with a login of Kimi, one of gh, and a key in the configuration. */
const addInstance = async (): Promise<void> => {
  await mkdir(path.join(sandbox.jackinHome, 'data', NAME), { recursive: true, mode: 0o700 });
  await addContainer();
  await addRecord();
  await put('.jackin/passwd', `agent:x:${process.getuid!()}:0:agent:/home/agent:/bin/bash\n`, 0o644);
  await put('handoff/gen-1/kimi-code/credentials/kimi-code.json', credential(ACCESS));
  await symlink('gen-1', path.join(sandbox.jackinHome, 'data', NAME, 'handoff/current'));
  await put('home/.kimi-code/credentials/kimi-code.json', credential(ACCESS));
  await put('.config/gh/hosts.yml', `github.com:\n    oauth_token: ${GITHUB}\n    user: me\n`);
  await put('state/auth/kimi.json', '{"files":{}}');
  await sandbox.write('config/config.toml', 'version = "v1alpha6"\n\n[env]\nCANARY_KEY = "$CANARY_KEY"\n');
};

const run = async (args: string[] = [], options: RunOptions = {}): Promise<Run> =>
  await sandbox.run(['verify', ...args], { engine, env: { CANARY_KEY: KEY }, ...options });

const verified = async (args: string[] = [], options: RunOptions = {}): Promise<Verification & { code: number }> => {
  const { code, stdout, stderr } = await run([...args, '--format', 'json'], options);
  expect(stderr).toBe('');
  for (const secret of [ACCESS, REFRESH, KEY, GITHUB]) expect(stdout).not.toContain(secret);
  const { instances } = (JSON.parse(stdout) as { data: { instances: Verification[] } }).data;
  expect(instances).toHaveLength(1);
  return { ...instances[0]!, code };
};

const notClean = ({ places }: Verification) => places.filter(({ result }) => result !== 'clean').map(({ place, result }) => [place, result]);

describe('an instance that leaves no trace', () => {
  beforeEach(addInstance);

  it('is said to, with everything that was looked for and looked at', async () => {
    const { code, stdout, stderr } = await run([ID]);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toContain(`${NAME} (running)\n`);
    for (const name of ['kimi credentials/kimi-code.json access_token', 'kimi credentials/kimi-code.json refresh_token', 'github hosts.yml github.com.oauth_token', 'variable CANARY_KEY']) {
      expect(stdout).toContain(`looked for ${name}\n`);
    }
    expect(stdout).toMatch(/^processes +nothing +1 process$/m);
    expect(stdout).toMatch(/^modes +as they should be +3 files and 8 directories of credentials$/m);
    expect(stdout).toMatch(/\nnothing found: 4 secrets in 5 forms, 13 places\n$/);
    for (const secret of [ACCESS, REFRESH, KEY, GITHUB]) expect(stdout).not.toContain(secret);
  });

  it('as JSON, with names and no values', async () => {
    const result = await verified([ID]);
    expect(result).toMatchObject({ code: 0, ok: true, instance_id: ID, container: NAME, state: 'running', findings: [], not_looked_for: [] });
    expect(result.secrets).toHaveLength(4);
    expect(result.forms).toEqual(['plain', 'base64', 'URL', 'JSON', 'hex']);
    expect(result.places.map(({ place }) => place)).toEqual([
      'container', 'environment', 'processes', 'log', 'events', 'networks', 'volumes', 'image', 'image history', 'image layers', 'file system', 'state', 'jackin home',
    ]); // prettier-ignore
    expect(notClean(result)).toEqual([]);
  });

  it('is named by its role, its id or its container; without a name every one is verified', async () => {
    for (const selector of [['agent-smith'], [ID], [NAME], []]) expect((await verified(selector)).instance_id).toBe(ID);
    expect(await run(['nobody'])).toMatchObject({ code: 7, stderr: expect.stringContaining('nothing to verify for "nobody"') });
  });

  it('of several, the one that leaks is the one that is told', async () => {
    await addContainer('2aaaaaaa', 'jk-2aaaaaaa-x');
    await addRecord('2aaaaaaa', 'jk-2aaaaaaa-x');
    engine.planted.processes.set(NAME, [`curl ${ACCESS}`]);
    const { code, stdout } = await run(['agent-smith']);
    expect(code).toBe(1);
    const [one, other] = stdout.split('\n\n');
    expect(one).toContain('found 1 trace: 4 secrets');
    expect(other).toMatch(/^jk-2aaaaaaa-x \(running\)\n/);
    expect(other).toMatch(/nothing found: 1 secret in 5 forms/);
  });
});

describe('a trace', () => {
  beforeEach(addInstance);

  const base64 = Buffer.from(`{"t":"${REFRESH}"}`).toString('base64');
  const state = (file: string, text: string) => sandbox.write(path.join('jackin', file), text);
  const container = () => engine.containers()[0]!;
  const file = (content: string) => ({ content: Buffer.from(content), mode: 0o644 });

  const leaks: Record<string, { plant: () => unknown; finding: [place: string, where: string, form: string] }> = {
    "in a container's variables": { plant: () => container().spec.env.push(`A=${ACCESS}`), finding: ['container', 'inspect', 'plain'] },
    "in a container's labels": { plant: () => Object.assign(container().spec.labels, { a: base64 }), finding: ['container', 'inspect', 'base64'] },
    'in what a new program finds': { plant: () => (environment += `B=${ACCESS}`), finding: ['environment', 'env', 'plain'] },
    'in an argument of a process': { plant: () => engine.planted.processes.set(NAME, [`/usr/bin/curl -H ${ACCESS}`]), finding: ['processes', 'process /usr/bin/curl', 'plain'] },
    'in the log': { plant: () => container().log.push('before', `x ${JSON.stringify(KEY)} ${encodeURIComponent(KEY)}`), finding: ['log', 'log', 'URL'] },
    'in an event': { plant: () => engine.planted.events.set(NAME, [`{"Action":"exec_create: sh -c ${ACCESS}"}`]), finding: ['events', 'exec_create', 'plain'] },
    'in the history of the image': { plant: () => engine.planted.history.set('image', [`ENV A=${GITHUB}`]), finding: ['image history', 'history of image', 'plain'] },
    'in a layer of the image': { plant: () => engine.planted.layers.set('image', [{ a: 'x' }, { 'root/.netrc': `x${GITHUB}` }]), finding: ['image layers', `layer ${'b'.repeat(12)}/root/.netrc`, 'plain'] },
    "in the container's files": { plant: () => container().files.set('usr/local/leak', file(base64)), finding: ['file system', '/usr/local/leak', 'base64'] },
    'in the state': { plant: () => state(`data/${NAME}/state/note.json`, Buffer.from(ACCESS).toString('hex')), finding: ['state', 'state/note.json', 'hex'] },
    'in the record': { plant: () => state(`data/${NAME}/.jackin/more.json`, ACCESS), finding: ['state', '.jackin/more.json', 'plain'] },
    'in a name': { plant: () => state(`data/${NAME}/state/${ACCESS}`, ''), finding: ['state', 'name state/[secret]', 'plain'] },
    'in the target of a link': { plant: () => symlink(ACCESS, path.join(sandbox.jackinHome, 'data', NAME, 'state/link')), finding: ['state', 'name state/link', 'plain'] },
    'in the journal': { plant: () => state('journal/old.json', ACCESS), finding: ['jackin home', 'journal/old.json', 'plain'] },
    'in a backup of the configuration': { plant: () => state('backups/config.toml', `K = ${JSON.stringify(GITHUB)}`), finding: ['jackin home', 'backups/config.toml', 'plain'] },
  };

  it.each(Object.entries(leaks))('%s', async (_name, { plant, finding: [place, where, form] }) => {
    await plant();
    const result = await verified([ID]);
    expect(result).toMatchObject({ code: 1, ok: false });
    expect(result.findings.map((one) => [one.place, one.where.replace(/ sha256:.*/, ''), one.form])).toContainEqual([place, where, form]);
    expect(notClean(result)).toEqual([[place, 'found']]);
    const { stdout } = await run([ID]);
    expect(stdout).toMatch(/^found .+ \(.+\) in .+: .+$/m);
    expect(stdout).toMatch(/\nfound \d traces?: 4 secrets in 5 forms, 13 places\n$/);
    for (const secret of [ACCESS, REFRESH, KEY, GITHUB]) expect(stdout).not.toContain(secret);
  });

  it('in the labels of its network or of a volume', async () => {
    const [network] = await engine.listNetworks({});
    Object.assign(network!.labels, { leak: ACCESS });
    await engine.createVolume('more', { leak: REFRESH });
    container().spec.mounts.push({ kind: 'volume', source: 'more', target: '/more', readonly: false });
    const { findings } = await verified([ID]);
    const found = findings.map(({ place, where, secret }) => [place, where, secret.split(' ').at(-1)]);
    expect(found).toContainEqual(['networks', `network ${NAME}-net`, 'access_token']);
    expect(found).toContainEqual(['volumes', 'volume more', 'refresh_token']);
  });

  it('of a token that was handed over and has been renewed inside since counts as well', async () => {
    await put('home/.kimi-code/credentials/kimi-code.json', credential('fake-renewed-0123456789'));
    container().log.push(ACCESS);
    expect((await verified([ID])).findings).toMatchObject([{ place: 'log', secret: 'kimi credentials/kimi-code.json access_token (handed over in gen-1)' }]);
  });

  it('of what renews the login that the instance has a lease of counts as well', async () => {
    await put('.jackin/lease.json', JSON.stringify({ agent: 'kimi', login: 'work' }));
    await sandbox.write(path.join('jackin/logins/kimi', 'work', 'credentials/kimi-code.json'), JSON.stringify({ access_token: ACCESS, refresh_token: 'fake-of-the-owner-0123' }));
    expect((await verified([ID])).findings).toEqual([]);
    await sandbox.write('jackin/keeper/log', 'fake-of-the-owner-0123');
    container().log.push('fake-of-the-owner-0123');
    expect((await verified([ID])).findings).toMatchObject([
      { place: 'log', secret: 'login kimi:work credentials/kimi-code.json refresh_token' },
      { place: 'jackin home', where: 'keeper/log' },
    ]);
  });

  it('of a token in a backup of an earlier login counts as well', async () => {
    await put('home/.kimi-code/.jackin/backups/2026-0/.kimi-code/credentials/kimi-code.json', credential('fake-earlier-0123456789'));
    container().log.push('fake-earlier-0123456789');
    expect((await verified([ID])).findings).toMatchObject([{ place: 'log', secret: expect.stringContaining('.jackin/backups/2026-0') }]);
  });

  it('is told without a secret that the agent has made a name of', async () => {
    await put('home/.kimi-code/credentials/kimi-code.json', JSON.stringify({ [REFRESH]: { access_token: ACCESS }, refresh_token: REFRESH }));
    await put(`home/.kimi-code/credentials/${REFRESH}.json`, 'x'.repeat(9 * 1024 * 1024));
    container().log.push(ACCESS, REFRESH);
    const { findings, not_looked_for: left } = await verified([ID]);
    expect(findings).toHaveLength(2);
    expect(left).toEqual([{ names: ['kimi credentials/[secret]'], why: 'the file is larger than 8 MiB' }]);
  });
});

describe('the places where credentials belong', () => {
  beforeEach(addInstance);

  const at = (file: string) => path.join(sandbox.jackinHome, 'data', NAME, file);
  const problems = async () => {
    const { code, modes } = await verified([ID]);
    return [code, ...modes.problems.map(({ path: file, problem }) => `${file}: ${problem}`)];
  };

  it('may be read by nobody else', async () => {
    await mkdir(at('handoff/gen-1/nothing'), { mode: 0o711 });
    await chmod(at('handoff/gen-1/kimi-code/credentials/kimi-code.json'), 0o640);
    await chmod(at('home/.kimi-code'), 0o755);
    await chmod(at('.config/gh/hosts.yml'), 0o644);
    expect(await problems()).toEqual([
      1,
      'handoff/gen-1/kimi-code/credentials/kimi-code.json: mode 0640 instead of 0600',
      'handoff/gen-1/nothing: mode 0711 instead of 0700',
      'home/.kimi-code: mode 0755 instead of 0700',
      '.config/gh/hosts.yml: mode 0644 instead of 0600',
    ]);
    const { stdout } = await run([ID]);
    expect(stdout).toMatch(/^modes +WRONG/m);
    expect(stdout).toContain('\nwrong home/.kimi-code: mode 0755 instead of 0700\n');
    expect(stdout).toMatch(/\nnothing found: .*; 4 wrong modes\n$/);
  });

  it('hold other files of the agents, which may be open as long as they hold no secret', async () => {
    await put('home/.kimi-code/logs/kimi.log', 'nothing', 0o644);
    await chmod(at('home/.kimi-code/logs'), 0o755);
    expect(await problems()).toEqual([0]);
    await put('home/.kimi-code/logs/kimi.log', `Bearer ${ACCESS}`);
    await chmod(at('home/.kimi-code/logs/kimi.log'), 0o644);
    expect(await problems()).toEqual([1, 'home/.kimi-code/logs/kimi.log: mode 0644 instead of 0600', 'home/.kimi-code/logs: mode 0755 instead of 0700']);
  });

  it('belong to the user of the container', async () => {
    await put('.jackin/passwd', 'agent:x:4321:4321:agent:/home/agent:/bin/bash\n');
    const [code, first] = await problems();
    expect([code, first]).toEqual([1, `handoff/gen-1/kimi-code/credentials/kimi-code.json: belongs to uid ${process.getuid!()} instead of 4321`]);
  });

  it('hold no links but the one to the newest handoff, and are none', async () => {
    await symlink('/etc/passwd', at('handoff/gen-1/link'));
    await rm(at('.config/gh'), { recursive: true });
    await symlink('/', at('.config/gh'));
    expect(await problems()).toEqual([1, 'handoff/gen-1/link: is neither a file nor a directory', '.config/gh: is not a directory']);
  });
});

describe('what is not looked for is said', () => {
  beforeEach(addInstance);

  const configured = (lines: string[]) => sandbox.write('config/config.toml', `version = "v1alpha6"\n\n[env]\n${lines.join('\n')}\n`);

  it('values that are short, ordinary, or not set any more', async () => {
    await configured(['SHORT_KEY = "1234567"', 'LANG = "en_US.UTF-8"', 'GONE_KEY = "$NO_SUCH_VARIABLE"', 'LITERAL_KEY = "fake-literal-key"']);
    const { code, secrets, not_looked_for: left } = await verified([ID]);
    expect(code).toBe(0);
    expect(secrets).toContain('variable LITERAL_KEY');
    expect(left).toEqual([
      { names: ['GONE_KEY'], why: '$NO_SUCH_VARIABLE is not set on the host now' },
      { names: ['SHORT_KEY'], why: 'shorter than 8 characters' },
      { names: ['LANG'], why: expect.stringContaining('ordinary') },
    ]);
    expect((await run([ID])).stdout).toContain('not looked for SHORT_KEY: shorter than 8 characters\n');
  });

  it('values in 1Password, which is asked only when that is wanted', async () => {
    await configured(['ONE_KEY = "op://vault/one/field"', 'TWO_KEY = "op://vault/two/field"']);
    const op = await sandbox.write('bin/op', '#!/bin/sh\nprintf "fake-value-of-%s" "$(echo "$4" | tr -d :/)"\n');
    await chmod(op, 0o700);
    const env = { PATH: `${path.dirname(op)}:${process.env.PATH}`, CANARY_KEY: KEY };
    expect((await verified([ID], { env })).not_looked_for).toEqual([{ names: ['ONE_KEY', 'TWO_KEY'], why: 'their values are in 1Password; --with-op reads them' }]);
    engine.containers()[0]!.log.push('fake-value-of-opvaultonefield');
    const asked = await verified([ID, '--with-op'], { env });
    expect(asked).toMatchObject({ code: 1, not_looked_for: [], findings: [{ place: 'log', secret: 'variable ONE_KEY' }] });
  });

  it('values of a mode that is not in force', async () => {
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\n\n[github]\nauth_forward = "token"\n\n[github.env]\nGH_TOKEN = "fake-gh-token-1"\n\n[env]\nKIMI_API_KEY = "fake-kimi-key-1"\n');
    const { secrets } = await verified([ID]);
    expect(secrets).toContain('variable GH_TOKEN');
    expect(secrets).not.toContain('variable KIMI_API_KEY');
  });

  it('files that cannot be read, in the place of a credential', async () => {
    await rm(path.join(sandbox.jackinHome, 'data', NAME, '.config/gh/hosts.yml'));
    await put('.config/gh/hosts.yml', 'x'.repeat(9 * 1024 * 1024));
    expect((await verified([ID])).not_looked_for).toEqual([{ names: ['github hosts.yml'], why: 'the file is larger than 8 MiB' }]);
  });

  it('a link, in the place of a credential', async () => {
    await rm(path.join(sandbox.jackinHome, 'data', NAME, '.config/gh/hosts.yml'));
    await symlink('/etc/passwd', path.join(sandbox.jackinHome, 'data', NAME, '.config/gh/hosts.yml'));
    expect((await verified([ID])).not_looked_for).toEqual([{ names: ['github hosts.yml'], why: 'the file is a link, which is not followed' }]);
  });

  it('what comes after a thousand secrets, which are never those that were handed over', async () => {
    const flood = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`${index}_token`, `fake-flood-${String(index).padStart(4, '0')}`]));
    await put('home/.kimi-code/credentials/a.json', JSON.stringify(flood));
    engine.containers()[0]!.log.push(ACCESS);
    const { findings, secrets, not_looked_for: left } = await verified([ID]);
    expect(secrets).toHaveLength(1000);
    expect(left).toEqual([{ names: ['1004 more secrets'], why: 'only the first 1000 are looked for' }]);
    expect(findings).toMatchObject([{ place: 'log', secret: expect.stringContaining('access_token') }]);
  });

  it('variables of a launch that left no record, or of a workspace that is gone', async () => {
    const record = path.join('jackin/data', NAME, '.jackin/instance.json');
    await sandbox.write(record, (await sandbox.read(record)).replace('"workspace_name": null', '"workspace_name": "app"'));
    expect((await verified([ID])).not_looked_for).toEqual([{ names: ['all variables'], why: 'the workspace app of the instance is gone' }]);
    await rm(path.join(sandbox.jackinHome, 'data', NAME, '.jackin/instance.json'));
    expect((await verified([ID])).not_looked_for).toEqual([{ names: ['all variables'], why: 'there is no record of the launch' }]);
  });

  it('and a configuration that cannot be read is no configuration without values', async () => {
    await sandbox.write('config/config.toml', 'version = "v1alpha6"\nnonsense = 1\n');
    expect(await run([ID])).toMatchObject({ code: 3 });
  });
});

describe('what cannot be looked at is said', () => {
  beforeEach(addInstance);

  it('an ejected instance has only its state', async () => {
    await sandbox.run(['eject', ID], { engine });
    const result = await verified([ID]);
    expect(result).toMatchObject({ code: 0, ok: true, state: 'ejected' });
    expect(result.places.map(({ place, result: found }) => [place, found])).toEqual([['engine', 'absent'], ['state', 'clean'], ['jackin home', 'clean']]);
    expect((await run([ID])).stdout).toContain('the container is gone: only the state is looked at');
    await sandbox.write(`jackin/data/${NAME}/state/note`, ACCESS);
    expect((await verified([ID])).code).toBe(1);
  });

  it('a stopped container has no processes', async () => {
    engine.exit(NAME, 0);
    const result = await verified([ID]);
    expect(result.code).toBe(0);
    expect(notClean(result)).toEqual([['environment', 'absent'], ['processes', 'absent']]);
  });

  it('an engine that keeps no log has none', async () => {
    engine.planted.failing.set('wholeLog', 'configured logging driver does not support reading');
    const result = await verified([ID]);
    expect([result.code, ...notClean(result)]).toEqual([0, ['log', 'absent']]);
  });

  it.each(['commandLines', 'events', 'wholeLog', 'exportContainer', 'saveImage'] as const)('a failing %s is no proof: exit 1, and the rest is looked at', async (call) => {
    engine.planted.failing.set(call, 'the disk is gone');
    const result = await verified([ID]);
    expect([result.code, result.ok]).toEqual([1, false]);
    expect(notClean(result)).toHaveLength(1);
    const { stdout } = await run([ID]);
    expect(stdout).toMatch(/NOT LOOKED AT +after 0 bytes: the disk is gone/);
    expect(stdout).toMatch(/\nnothing found: 4 secrets in 5 forms, 12 places; not every place could be looked at\n$/);
  });

  it('a volume that is gone, and a container without `env`', async () => {
    engine.containers()[0]!.spec.mounts.push({ kind: 'volume', source: 'never-made', target: '/gone', readonly: false });
    environment = '';
    const result = await verified([ID]);
    expect(notClean(result)).toEqual([['volumes', 'failed']]);
    const without = fakeEngine({ images: ['image'] });
    engine = without;
    await addContainer();
    expect(notClean(await verified([ID]))).toEqual([['environment', 'failed']]);
  });
});

it('without instances there is nothing to do', async () => {
  expect(await run()).toEqual({ code: 0, stdout: 'no instances\n', stderr: '' });
});

it('an instance without any secret says so, and its modes count all the same', async () => {
  await addContainer();
  await mkdir(path.join(sandbox.jackinHome, 'data', NAME, 'handoff'), { recursive: true, mode: 0o700 });
  await addRecord();
  expect((await run([ID])).stdout).toMatch(/\nnothing to look for: the instance holds no secret that jackin knows of\n$/);
  await chmod(path.join(sandbox.jackinHome, 'data', NAME, 'handoff'), 0o755);
  expect(await run([ID])).toMatchObject({ code: 1, stdout: expect.stringContaining('wrong handoff: mode 0755 instead of 0700') });
});

it('Ctrl-C ends it at once, without a verdict', { timeout: 5000 }, async () => {
  await addInstance();
  const interruption = new AbortController();
  engine.events = async (_container, _since, { signal }) => {
    interruption.abort();
    return await new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true }));
  };
  engine.wholeLog = async (_container, { signal }) => {
    signal.throwIfAborted();
    throw new Error('not reached');
  };
  const { code, stdout } = await run([ID], { signal: interruption.signal });
  expect([code, stdout]).toEqual([130, '']);
});
