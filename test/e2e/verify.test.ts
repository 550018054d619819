/** `jackin verify` on the real engine: clean after a launch, and every leak that is made on purpose is found where it is. */
import { spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectEngine } from '../../scripts/lib/engine-api.mjs';
import type { Verification } from '../../src/launch/verify.ts';
import { KIMI_BASE, makeWorld, writeLogin } from './world.ts';
import type { Login, World } from './world.ts';

const KEY = 'fake-canary/+= "quoted" <0123456789>';
const engine = connectEngine();

let world: World;
let login: Login;
/** Id of the instance, and of its container. */
let id: string;
let container: string;

beforeEach(async () => {
  world = await makeWorld('verify');
  login = await writeLogin(path.join(world.sandbox.dirs.userHome, '.kimi-code'));
  await world.config(`[env]\nKIMI_DISABLE_TELEMETRY = "1"\nKIMI_BASE_URL = "${KIMI_BASE}"\nCANARY_KEY = "$CANARY_KEY"\n`);
  await world.serve({ logins: [login] });
  const { code, stdout, stderr } = await world.jackin(['load', 'agent-smith', '--agent', 'kimi', '--detach', '--network', world.sandbox.network, '--no-input'], { CANARY_KEY: KEY });
  if (code !== 0) throw new Error(stderr);
  id = stdout.trim();
  [container = ''] = (await engine.labelled(`jackin.instance=${id}`)).containers;
});

afterEach(async () => {
  await world.remove();
});

const secrets = () => [login.accessToken, login.refreshToken, KEY];

const verify = async (): Promise<Verification & { code: number }> => {
  const { code, stdout, stderr } = await world.jackin(['verify', id, '--format', 'json'], { CANARY_KEY: KEY });
  for (const secret of secrets()) expect(stdout + stderr).not.toContain(secret);
  expect(stderr).toBe('');
  const { instances } = (JSON.parse(stdout) as { data: { instances: Verification[] } }).data;
  return { ...instances[0]!, code };
};

const putInContainer = async (dir: string, name: string, content: string): Promise<void> => {
  const tar = pack();
  tar.entry({ name, mode: 0o644 }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  await engine.call('PUT', `/containers/${container}/archive?path=${encodeURIComponent(dir)}`, { tar: Buffer.concat(chunks) });
};

const base64Lines = (content: string): string => Buffer.from(content).toString('base64').replaceAll(/.{76}/g, '$&\n');

/** One leak of every kind that can be made from outside of jackin. */
const plantLeaks = async (): Promise<void> => {
  const [state = ''] = await world.stateDirs();
  await putInContainer('/usr/local', 'leak.txt', `before ${login.refreshToken} after`);
  // The engine takes this for the file system below the tmpfs: nobody in the container sees it.
  await putInContainer('/jackin/run', 'leak.b64', base64Lines(`{"token": "${login.accessToken}"}`));
  await writeFile(path.join(state, 'state/note.json'), JSON.stringify({ address: encodeURIComponent(KEY) }));
  const backups = path.join(world.sandbox.dirs.home, 'backups');
  await mkdir(backups);
  await writeFile(path.join(backups, 'old.toml'), Buffer.from(login.refreshToken).toString('hex'));
  await engine.exec(container, ['sh', '-c', 'cat /jackin/handoff/current/kimi-code/credentials/*.json > /proc/1/fd/1']);
  await chmod(path.join(state, 'home/.kimi-code/credentials'), 0o755);
  // Not waited for: an argument of a process that runs, and of an event.
  engine.exec(container, ['sh', '-c', `sleep 30; : ${login.accessToken}`]).catch(() => undefined);
  await sleep(500);
};

test('an instance is clean; every leak is found, named and told without the secret; an ejected one has its state', async () => {
  const clean = await verify();
  expect(clean.findings).toEqual([]);
  expect(clean.places.filter(({ result }) => result !== 'clean')).toEqual([]);
  expect(clean).toMatchObject({ code: 0, ok: true, modes: { problems: [] } });
  expect(clean.secrets).toEqual(['variable CANARY_KEY', expect.stringMatching(/^kimi .*access_token$/), expect.stringMatching(/^kimi .*refresh_token$/)]);
  // It does look into files: an image of a few hundred megabytes, and what the container is made of.
  expect(clean.places.find(({ place }) => place === 'image layers')?.what).toMatch(/^\d{2,4} MB, \d{4,} files in \d+ layers$/);

  await plantLeaks();
  const leaky = await verify();
  expect(leaky).toMatchObject({ code: 1, ok: false });
  const found = leaky.findings.map(({ place, where, secret, form }) => `${place}, ${where}: ${secret.split(' ').at(-1)}, ${form}`);
  expect(found.sort()).toEqual([
    'events, exec_create: access_token, plain',
    'events, exec_start: access_token, plain',
    'file system, /jackin/run/leak.b64: access_token, base64',
    'file system, /usr/local/leak.txt: refresh_token, plain',
    'jackin home, backups/old.toml: refresh_token, hex',
    'log, log: access_token, plain',
    'log, log: refresh_token, plain',
    'processes, process sh: access_token, plain',
    'state, state/note.json: CANARY_KEY, URL',
  ]);
  expect(leaky.modes.problems).toEqual([{ path: 'home/.kimi-code/credentials', problem: 'mode 0755 instead of 0700' }]);

  expect((await world.jackin(['eject', id])).code).toBe(0);
  const ejected = await verify();
  expect(ejected.places.map(({ place, result }) => [place, result])).toEqual([['engine', 'absent'], ['state', 'found'], ['jackin home', 'found']]);
});

test('a secret that somebody has built into the image is found in its layers, labels and history', async () => {
  const tag = `${world.sandbox.id}-leaky:one`;
  const { Image } = (await engine.get(`/containers/${container}/json`)) as { Image: string };
  const tar = pack();
  tar.entry({ name: 'leak' }, `x${login.refreshToken}`);
  tar.entry({ name: 'Dockerfile' }, `FROM ${Image}\nUSER 0\nCOPY leak /root/leak\nRUN rm /root/leak\nLABEL token=${login.accessToken}\n`);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  await engine.call('POST', `/build?t=${tag}&rm=1&forcerm=1&labels=${encodeURIComponent('{}')}`, { tar: Buffer.concat(chunks) });
  try {
    // The instance as it would be on such an image: its own container goes, one with its labels comes.
    const { Name, Config, NetworkSettings } = (await engine.get(`/containers/${container}/json`)) as {
      Name: string;
      Config: { Labels: Record<string, string> };
      NetworkSettings: { Networks: Record<string, unknown> };
    };
    await engine.removeContainer(container);
    container = await engine.run(Name.slice(1), {
      Image: tag,
      Entrypoint: ['/usr/bin/sleep', '60'],
      Labels: Config.Labels,
      HostConfig: { NetworkMode: Object.keys(NetworkSettings.Networks)[0], Init: true },
    });
    const { code, findings } = await verify();
    expect(code).toBe(1);
    const found = findings.map(({ place, where, secret }) => `${place}, ${where.replace(/layer [0-9a-f]{12}/, 'layer …')}: ${secret.split(' ').at(-1)}`);
    // A file that a later layer removes is still in an earlier one.
    expect(found).toContain('image layers, layer …/root/leak: refresh_token');
    // The label of an image is its containers', too, and the engine tells of it whenever it tells of them.
    const places = findings.filter(({ secret }) => secret.endsWith('access_token')).map(({ place }) => place);
    expect([...new Set(places)].sort()).toEqual(['container', 'events', 'image', 'image history', 'image layers']);
  } finally {
    await engine.removeContainer(container);
    await engine.removeImage(tag);
  }
});

test('Ctrl-C ends it at once, in the middle of an image', async () => {
  const child = spawn(process.execPath, [world.sandbox.cli, 'verify', id], { cwd: world.sandbox.dirs.project, env: world.sandbox.env, stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await sleep(2500);
  const start = performance.now();
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expect(performance.now() - start).toBeLessThan(1500);
});
