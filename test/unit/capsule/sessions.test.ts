/** Several sessions in one capsule, on the real program. */
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  FrameType,
  SHELL,
  type CapsuleFailure,
  type SessionExit,
  type SessionInfo,
  type SessionList,
  type SpawnRequest,
} from '../../../src/capsule/protocol.ts';
import { bundleForTest, runCapsule, type Client, type TestCapsule } from './run-capsule.ts';

let bundle: string;
const running: TestCapsule[] = [];

beforeAll(async () => {
  bundle = await bundleForTest();
});
afterAll(() => rm(bundle, { recursive: true, force: true }));
afterEach(async () => {
  for (const capsule of running.splice(0)) await capsule.end();
});

const size = { cols: 100, rows: 30 };
const sh = (script: string) => ['sh', '-c', script];
const WAITS = sh('echo waiting; read x; sleep 0.1; exit 3');

/** A capsule in which `kimi-1` waits for a line and then ends with 3. */
const launched = async (): Promise<{ one: TestCapsule; first: Client }> => {
  const one = await runCapsule(bundle);
  running.push(one);
  const first = await one.connect();
  first.launch({ argv: WAITS, io: 'pty', env: { SHARED: 'one' }, keys: { kimi: { KIMI_API_KEY: 'fake-kimi' }, claude: { ANTHROPIC_API_KEY: 'fake-claude' } } });
  await first.sees('waiting');
  return { one, first };
};

const spawn = async (one: TestCapsule, session: Partial<SpawnRequest['session']>, more: Partial<SpawnRequest> = {}): Promise<Client> => {
  const client = await one.connect();
  client.json(FrameType.spawn, { session: { agent: SHELL, argv: [], cwd: '/', io: 'pty', size, ...session }, detached: false, ...more });
  return client;
};

const failed = (client: Client) => client.got<CapsuleFailure>(FrameType.failed);
const started = (client: Client) => client.got<SessionInfo>(FrameType.started);
const exited = (client: Client) => client.got<SessionExit>(FrameType.exited);
const type = (client: Client, text: string) => client.send(FrameType.input, Buffer.from(text));
const list = async (one: TestCapsule): Promise<SessionInfo[]> => {
  const client = await one.connect();
  client.send(FrameType.list);
  const { sessions } = await client.got<SessionList>(FrameType.sessions);
  client.socket.destroy();
  return sessions;
};
const states = async (one: TestCapsule) => Object.fromEntries((await list(one)).map(({ id, state, code }) => [id, state === 'exited' ? code : state]));

describe('another session', () => {
  it('has a name of its own, runs beside the others, and each is found by its name', async () => {
    const { one, first } = await launched();
    const shell = await spawn(one, { argv: sh('echo "in $JACKIN_SESSION_ID"; read x; sleep 0.1; exit 7') });
    expect(await started(shell)).toMatchObject({ id: 'shell-1', agent: 'shell', state: 'running' });
    await shell.sees('in shell-1');
    const kimi = await spawn(one, { agent: 'kimi', argv: WAITS }, { detached: true });
    expect(await started(kimi)).toMatchObject({ id: 'kimi-2' });
    expect(await states(one)).toEqual({ 'kimi-1': 'running', 'shell-1': 'running', 'kimi-2': 'running' });
    const back = await one.connect();
    back.json(FrameType.attach, { session: 'shell-1', size });
    await back.sees('in shell-1');
    type(shell, '\n');
    expect(await exited(shell)).toEqual({ id: 'shell-1', code: 7, left: 2 });
    expect(await exited(back)).toMatchObject({ code: 7 });
    type(first, '\n');
    expect(await exited(first)).toEqual({ id: 'kimi-1', code: 3, left: 1 });
    expect(await states(one)).toEqual({ 'kimi-1': 3, 'shell-1': 7, 'kimi-2': 'running' });
  });

  it('keeps the capsule alive when the first one ends; the code is that of the first one', async () => {
    const { one, first } = await launched();
    const shell = await spawn(one, { argv: sh('read x; sleep 0.1; exit 9') });
    await started(shell);
    type(first, '\n');
    expect(await exited(first)).toMatchObject({ code: 3, left: 1 });
    type(shell, '\n');
    expect(await exited(shell)).toMatchObject({ code: 9, left: 0 });
    expect(await one.exit).toEqual({ code: 3, signal: null });
  });

  it('of an agent gets the keys that come with it alone, a shell gets none; both get what all have', async () => {
    const { one } = await launched();
    const print = sh('echo "[$SHARED|$KIMI_API_KEY|$ANTHROPIC_API_KEY|$JACKIN_AGENT]"');
    const shell = await spawn(one, { argv: print, io: 'pipe' });
    await shell.sees('[one|||]');
    expect(shell.output().toString()).not.toContain('fake');
    for (const agent of ['kimi', 'claude']) {
      const without = await spawn(one, { agent, argv: print, io: 'pipe' });
      await without.sees(`[one|||${agent}]`);
    }
    const setup = { workdir: '/', agents: [], git: { github: { mode: 'ignore' as const } }, hooks: [] };
    const keys = { kimi: { KIMI_API_KEY: 'fake-other' }, claude: { ANTHROPIC_API_KEY: 'fake-newer' } };
    const claude = await spawn(one, { agent: 'claude', argv: print, io: 'pipe' }, { fresh: { setup, env: { SHARED: 'two' }, keys } });
    await claude.sees('[two||fake-newer|claude]');
  });

  it('takes what the host has read anew for it, and so do those that come later', async () => {
    const { one } = await launched();
    const setup = { workdir: '/', agents: [], git: { github: { mode: 'ignore' as const } }, hooks: [] };
    const print = sh('echo "[$SHARED|$KIMI_API_KEY]"');
    const fresh = await spawn(one, { agent: 'kimi', argv: print, io: 'pipe' }, { fresh: { setup, env: { SHARED: 'two' }, keys: { kimi: { KIMI_API_KEY: 'fake-newer' } } } });
    await fresh.got(FrameType.ready);
    await fresh.sees('[two|fake-newer]');
    const later = await spawn(one, { argv: print, io: 'pipe' });
    expect(await exited(later)).toMatchObject({ code: 0 });
    expect(later.output().toString()).toBe('[two|]\n');
  });

  it('is refused before the launch, of a program that is not there, and when its home cannot be prepared; nothing of it stays', async () => {
    const one = await runCapsule(bundle);
    running.push(one);
    expect(await failed(await spawn(one, {}))).toMatchObject({ code: 'no-session' });
    const first = await one.connect();
    first.launch({ argv: WAITS, io: 'pty' });
    await first.sees('waiting');
    expect(await failed(await spawn(one, { argv: ['no-such-program'] }))).toMatchObject({ code: 'program-missing', message: expect.stringContaining('no-such-program') as string });
    const setup = { workdir: '/refuse', agents: [], git: { github: { mode: 'ignore' as const } }, hooks: [] };
    expect(await failed(await spawn(one, { agent: 'kimi', argv: WAITS }, { fresh: { setup, env: {}, keys: {} } }))).toMatchObject({ code: 'setup' });
    expect(await states(one)).toEqual({ 'kimi-1': 'running' });
    expect(await started(await spawn(one, { agent: 'kimi', argv: WAITS }))).toMatchObject({ id: 'kimi-2' });
  });

  it('without a program is the best shell that there is', async () => {
    const { one } = await launched();
    const shell = await spawn(one, {});
    await started(shell);
    type(shell, 'echo "it is $0"; exit 5\n');
    await shell.sees('it is');
    expect(await exited(shell)).toMatchObject({ code: 5 });
  });

  it('is not started for a client that has left', async () => {
    const { one } = await launched();
    const setup = { workdir: '/slow', agents: [], git: { github: { mode: 'ignore' as const } }, hooks: [] };
    const client = await spawn(one, { agent: 'kimi', argv: WAITS }, { fresh: { setup, env: {}, keys: {} } });
    await expect.poll(() => states(one)).toEqual({ 'kimi-1': 'running', 'kimi-2': 'starting' });
    client.socket.destroy();
    await expect.poll(() => states(one), { timeout: 5000 }).toEqual({ 'kimi-1': 'running' });
  });

  it('is one of a bounded number', async () => {
    const { one } = await launched();
    for (let count = 0; count < 31; count += 1) await started(await spawn(one, { argv: ['sleep', '60'], io: 'pipe' }, { detached: true }));
    expect(await failed(await spawn(one, { argv: ['true'] }))).toMatchObject({ code: 'busy' });
  }, 30_000);
});

describe('a client', () => {
  it('changes over to another session and back, and sees each screen', async () => {
    const { one } = await launched();
    const shell = await spawn(one, { argv: sh('echo over here; read x; sleep 0.1') });
    await shell.sees('over here');
    const before = shell.output().length;
    shell.json(FrameType.attach, { session: 'kimi-1', size });
    await expect.poll(() => shell.output().subarray(before).toString()).toContain('waiting');
    expect(await states(one)).toMatchObject({ 'shell-1': 'running' });
    // What it types goes to the session that it sees.
    type(shell, '\n');
    expect(await exited(shell)).toMatchObject({ id: 'kimi-1', code: 3, left: 1 });
  });

  it('that watches is told when sessions start, are joined, and end', async () => {
    const { one, first } = await launched();
    const watcher = await one.connect();
    watcher.send(FrameType.watch);
    const last = () => watcher.all<SessionList>(FrameType.sessions).at(-1)?.sessions.map(({ id, state, clients }) => `${id} ${state} ${clients}`);
    await expect.poll(last).toEqual(['kimi-1 running 1']);
    const shell = await spawn(one, { argv: sh('read x; sleep 0.1') });
    await expect.poll(last).toEqual(['kimi-1 running 1', 'shell-1 running 1']);
    shell.send(FrameType.detach);
    await expect.poll(last).toEqual(['kimi-1 running 1', 'shell-1 running 0']);
    type(first, '\n');
    await expect.poll(last).toEqual(['kimi-1 exited 0', 'shell-1 running 0']);
  });

  it('ends a session by its name, also one that ignores it; a wrong name is refused', async () => {
    const { one } = await launched();
    const stubborn = await spawn(one, { argv: sh('trap "" TERM HUP; echo deaf; while :; do sleep 0.1; done') });
    await stubborn.sees('deaf');
    const client = await one.connect();
    client.json(FrameType.kill, { session: 'shell-1' });
    expect(await exited(stubborn)).toMatchObject({ code: 137, signal: 'SIGKILL', left: 1 });
    client.json(FrameType.kill, { session: 'shell-9' });
    expect(await failed(client)).toMatchObject({ code: 'no-session', message: expect.stringContaining('kimi-1') as string });
  }, 15_000);
});

/** File descriptors and children of the capsule. */
const held = (one: TestCapsule) => {
  const pid = one.child.pid!;
  return { files: readdirSync(`/proc/${pid}/fd`).length, children: readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).length };
};

describe('a capsule under stress', () => {
  it('leaks nothing in 100 attaches one after another, and 10 at once', async () => {
    const { one, first } = await launched();
    first.send(FrameType.detach);
    await first.closed;
    const attach = async (end: 'detach' | 'destroy') => {
      const client = await one.connect();
      client.json(FrameType.attach, { size });
      await client.sees('waiting');
      if (end === 'detach') client.send(FrameType.detach);
      else client.socket.destroy();
      await client.closed;
    };
    await attach('detach');
    await expect.poll(async () => (await list(one))[0]?.clients).toBe(0);
    const before = held(one);
    for (let count = 0; count < 100; count += 1) await attach(count % 2 ? 'detach' : 'destroy');
    await Promise.all(Array.from({ length: 10 }, () => attach('destroy')));
    await expect.poll(async () => (await list(one))[0]?.clients).toBe(0);
    await expect.poll(() => held(one).files).toBeLessThanOrEqual(before.files);
    expect(held(one).children).toBe(before.children);
  }, 30_000);

  it('takes 1,000 resizes, and the last one counts', async () => {
    const { one, first } = await launched();
    const sized = await spawn(one, { argv: sh('while :; do stty size; sleep 0.1; done') });
    await sized.sees('30 100');
    for (let count = 0; count < 1000; count += 1) sized.json(FrameType.resize, { cols: 20 + (count % 180), rows: 5 + (count % 50) });
    sized.json(FrameType.resize, { cols: 133, rows: 44 });
    await sized.sees('44 133');
    type(first, '\n');
    expect(await exited(first)).toMatchObject({ code: 3 });
  }, 20_000);

  it('passes 50 MB without a line break, and keeps little of it', async () => {
    const { one } = await launched();
    const flood = await spawn(one, { argv: sh('head -c 50000000 /dev/zero | tr "\\0" x; printf "<end>"; sleep 0.2; exit 4') });
    expect(await exited(flood)).toMatchObject({ code: 4 });
    expect(flood.output().length).toBeGreaterThanOrEqual(50_000_000);
    expect(flood.output().subarray(-100).toString()).toContain('<end>');
    const { files } = held(one);
    expect(files).toBeLessThan(60);
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one.child.pid}/status`, 'utf8'))?.[1]) / 1024;
    expect(resident).toBeLessThan(250);
  }, 60_000);

  it('passes bytes that are no UTF-8 as they are', async () => {
    const { one } = await launched();
    const binary = await spawn(one, { argv: sh('printf "a\\377\\300\\200b\\342\\202c"; read x; sleep 0.1') });
    await binary.sees('b');
    await expect.poll(() => binary.output().toString('latin1')).toContain('a\xff\xc0\x80b\xe2\x82c');
  });

  it('hangs up on a program that closes its terminal; one that does not mind is kept until it ends', async () => {
    const { one } = await launched();
    const gone = await spawn(one, { argv: sh('exec <&- >&- 2>&-; sleep 60') });
    expect(await exited(gone)).toMatchObject({ code: 129, signal: 'SIGHUP' });
    const silent = await spawn(one, { argv: sh('trap "" HUP; exec <&- >&- 2>&-; sleep 0.7; exit 6') });
    await started(silent);
    expect(await states(one)).toMatchObject({ 'shell-2': 'running' });
    expect(await exited(silent)).toMatchObject({ code: 6 });
  });
});
