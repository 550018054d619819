import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Terminal } from '@xterm/headless';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeFrame } from '../../../src/capsule/frames.ts';
import { FrameType, PROTOCOL_VERSION, MAX_FRAME_BYTES, type CapsuleFailure, type LaunchRequest, type SessionExit, type SessionList, type SessionRequest, type Welcome } from '../../../src/capsule/protocol.ts';
import { bundleForTest, launchRequest, runCapsule, type Client, type TestCapsule } from './run-capsule.ts';

let bundle: string;
const running: TestCapsule[] = [];

beforeAll(async () => {
  bundle = await bundleForTest();
});
afterAll(() => rm(bundle, { recursive: true, force: true }));
afterEach(async () => {
  for (const capsule of running.splice(0)) await capsule.end();
});

const capsule = async (env?: Record<string, string>): Promise<TestCapsule> => {
  const started = await runCapsule(bundle, env);
  running.push(started);
  return started;
};
const size = { cols: 100, rows: 30 };
const shell = (script: string) => ['sh', '-c', script];
/** Node 20 loses the end of a PTY's output when the program ends at once; the product runs on a newer one. */
const held = (script: string) => shell(`${script}; code=$?; sleep 0.1; exit $code`);
const exited = (client: Client) => client.got<SessionExit>(FrameType.exited);
const failed = (client: Client) => client.got<CapsuleFailure>(FrameType.failed);
const type = (client: Client, text: string) => client.send(FrameType.input, Buffer.from(text));

describe('a session on a PTY', () => {
  it('has the size of the terminal, also after a resize, and the usual umask', async () => {
    const client = await (await capsule()).connect();
    client.launch({ argv: shell('stty size; umask; read x; stty size; sleep 0.1'), io: 'pty' });
    await client.sees('30 100\r\n0022');
    client.json(FrameType.resize, { cols: 132, rows: 40 });
    type(client, '\n');
    expect(await exited(client)).toMatchObject({ code: 0 });
    expect(client.output().toString()).toContain('40 132');
  });

  it.each([
    ['0', 'true', { code: 0 }],
    ['37', 'exit 37', { code: 37 }],
    ['that of a signal', 'kill -9 $$', { code: 137, signal: 'SIGKILL' }],
  ])('gives its exit code: %s', async (_, script, expected) => {
    const one = await capsule();
    const client = await one.connect();
    client.launch({ argv: shell(script), io: 'pty' });
    expect(await exited(client)).toEqual({ id: 'kimi-1', ...expected, left: 0 });
    await client.closed;
    expect(await one.exit).toEqual({ code: expected.code, signal: null });
  });

  it('looks the same to a client that comes after another was killed', async () => {
    const one = await capsule();
    const first = await one.connect();
    const draw = `printf 'shell\\r\\n\\033[?1049h\\033[2J\\033[5;10H\\033[1;33mGr\\303\\274\\303\\237e \\346\\274\\242\\033[0m\\033[20;3H\\033[7mmenu\\033[0m\\033[8;4H\\033[?25l'`;
    first.launch({ argv: shell(`${draw}; read x; echo after; read x; exit 5`), io: 'pty' });
    await first.sees('\x1b[?25l');
    first.socket.destroy();
    await first.closed;
    await expect.poll(async () => (await welcome(one)).sessions[0]?.clients).toBe(0);

    const second = await one.connect();
    second.json(FrameType.attach, { size });
    await second.sees('\x1b[?25l');
    const [was, is] = [await show(first.output()), await show(second.output())];
    expect(is).toEqual(was);
    expect(was.lines[4]).toContain('Grüße 漢');

    type(second, '\n');
    await second.sees('after');
    type(second, '\n');
    expect(await exited(second)).toMatchObject({ code: 5 });
    await second.closed;
    expect(await one.exit).toEqual({ code: 5, signal: null });
  });

  it('loses and doubles nothing for a client that joins in the middle of a flood', async () => {
    const one = await capsule();
    const first = await one.connect();
    const count = 20_000;
    first.launch({ argv: shell(`i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo "line $i."; done; sleep 0.3`), io: 'pty' });
    await first.sees('line 500.');
    const second = await one.connect();
    second.json(FrameType.attach, { size });
    await Promise.all([exited(first), exited(second)]);
    const numbers = (client: Client) => [...client.output().toString().matchAll(/line (\d+)\./g)].map(([, number]) => Number(number));
    expect(numbers(first)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    const joined = numbers(second);
    expect(joined).toEqual(numbers(first).slice(-joined.length));
    expect(joined.length).toBeGreaterThan(30);
  });

  it('is shared by two clients, and the last one to join or resize decides its size', async () => {
    const one = await capsule();
    const first = await one.connect();
    first.launch({ argv: shell(`while read x; do echo "<$x $(stty size)>"; done`), io: 'pty' });
    await first.got(FrameType.started);
    type(first, 'a\n');
    await first.sees('<a 30 100>');
    const second = await one.connect();
    second.json(FrameType.attach, { size: { cols: 90, rows: 20 } });
    await second.sees('<a 30 100>');
    type(second, 'b\n');
    await Promise.all([first.sees('<b 20 90>'), second.sees('<b 20 90>')]);
    first.json(FrameType.resize, { cols: 80, rows: 25 });
    type(first, 'c\n');
    await Promise.all([first.sees('<c 25 80>'), second.sees('<c 25 80>')]);
    second.send(FrameType.list);
    expect(await second.got(FrameType.sessions)).toMatchObject({ sessions: [{ clients: 2 }] });
  });

  it('lives on when a client detaches, and counts who is there', async () => {
    const one = await capsule();
    const first = await one.connect();
    first.launch({ argv: shell('read x; echo done; sleep 0.1; exit 3'), io: 'pty' });
    await first.got(FrameType.started);
    first.send(FrameType.detach);
    await first.closed;
    const second = await one.connect();
    second.send(FrameType.list);
    expect(await second.got<SessionList>(FrameType.sessions)).toEqual({
      sessions: [{ id: 'kimi-1', agent: 'kimi', state: 'running', clients: 0, io: 'pty' }],
    });
    second.json(FrameType.attach, { session: 'kimi-1', size });
    type(second, '\n');
    expect(await exited(second)).toMatchObject({ code: 3 });
  });

  it('gets answers to its questions while nobody is attached, and one answer when somebody is', async () => {
    const one = await capsule();
    const first = await one.connect();
    // Reads the terminal's attributes (ESC [ ? … c) and shows them without the escape.
    const ask = `stty raw -echo; printf '\\033[c'; answer=$(head -c 7 | tail -c 6); stty sane; echo "got $answer"`;
    const answered = path.join(one.dir, 'answered');
    first.launch({ argv: shell(`${ask}; touch ${answered}; read x; ${ask}; sleep 0.1`), io: 'pty' }, { detached: true });
    await first.got(FrameType.started);
    first.socket.destroy();
    await expect.poll(() => existsSync(answered), { timeout: 5000 }).toBe(true);
    const second = await one.connect();
    second.json(FrameType.attach, { size });
    await second.sees('got [?1;2c');
    type(second, '\n');
    await second.sees('\x1b[c');
    await sleep(200);
    // Only this terminal may answer now: what it says is what the program gets.
    type(second, '\x1b[?9;9c');
    await second.sees('got [?9;9c');
    expect(await exited(second)).toMatchObject({ code: 0 });
  });

  it('waits for a client that does not read, and then loses nothing', async () => {
    const one = await capsule();
    const client = await one.connect();
    client.launch({ argv: shell('head -c 3000000 /dev/zero | tr "\\0" x; printf END; sleep 0.1; exit 4'), io: 'pty' });
    await client.got(FrameType.started);
    client.socket.pause();
    await sleep(1500);
    client.socket.resume();
    expect(await exited(client)).toMatchObject({ code: 4 });
    expect(client.output().byteLength).toBe(3_000_003);
    expect(client.output().subarray(-4).toString()).toBe('xEND');
  });
});

describe('a session on pipes', () => {
  it('carries input, output and errors byte for byte, and the exit code', async () => {
    const one = await capsule();
    const client = await one.connect();
    const bytes = randomBytes(1_000_003);
    client.launch({ argv: shell('copy=$(mktemp); cat > $copy; cat $copy; cat $copy >&2; rm $copy; exit 37') });
    await client.got(FrameType.started);
    for (let at = 0; at < bytes.length; at += 60_000) client.send(FrameType.input, bytes.subarray(at, at + 60_000));
    client.send(FrameType.inputEnd);
    expect(await exited(client)).toEqual({ id: 'kimi-1', code: 37, left: 0 });
    expect(client.output().equals(bytes)).toBe(true);
    expect(client.errorOutput().equals(bytes)).toBe(true);
    await client.closed;
    expect(await one.exit).toEqual({ code: 37, signal: null });
  });

  it('delivers everything before the exit, from a program that ends at once', async () => {
    const client = await (await capsule()).connect();
    client.launch({ argv: ['seq', '300000'] });
    expect(await exited(client)).toMatchObject({ code: 0 });
    expect(client.output().toString() === Array.from({ length: 300_000 }, (_, index) => `${index + 1}\n`).join('')).toBe(true);
  });

  it('takes signals for the program and its children', async () => {
    const client = await (await capsule()).connect();
    const child = `trap 'echo child; exit' TERM; echo ready; sleep 60 & wait`;
    client.launch({ argv: shell(`sh -c "${child}" & trap 'wait; exit 9' TERM; wait`) });
    await client.sees('ready');
    client.json(FrameType.signal, { signal: 'SIGTERM' });
    expect(await exited(client)).toMatchObject({ code: 9 });
    expect(client.output().toString()).toBe('ready\nchild\n');
  });

  it('tells a kill as a signal', async () => {
    const client = await (await capsule()).connect();
    client.launch({ argv: shell('sleep 60; echo never') });
    await client.got(FrameType.started);
    client.json(FrameType.signal, { signal: 'SIGKILL' });
    expect(await exited(client)).toEqual({ id: 'kimi-1', code: 137, signal: 'SIGKILL', left: 0 });
  });

  it('ends although a child in the background holds its output open', async () => {
    const client = await (await capsule()).connect();
    client.launch({ argv: shell('setsid sleep 15 & echo bye; exit 2') });
    expect(await exited(client)).toMatchObject({ code: 2 });
    expect(client.output().toString()).toBe('bye\n');
  });

  it('goes on when its only client dies at any byte of a frame', async () => {
    const one = await capsule();
    const first = await one.connect();
    first.launch({ argv: shell('read x; echo "said $x"; exit 6') });
    await first.got(FrameType.started);
    first.socket.write(encodeFrame(FrameType.input, Buffer.from('lost\n')).subarray(0, 7));
    first.socket.destroy();
    const second = await one.connect();
    second.json(FrameType.attach, { size });
    type(second, 'hello\n');
    await second.sees('said hello');
    expect(await exited(second)).toMatchObject({ code: 6 });
  });
});

describe('the environment of a session', () => {
  it('has no keys of other agents, no loader tricks, and nothing of it is logged', async () => {
    const one = await capsule({ NODE_OPTIONS: '--no-warnings', LD_LIBRARY_PATH: '/nowhere', FROM_IMAGE: 'yes' });
    const client = await one.connect();
    const keys = { kimi: { KIMI_API_KEY: 'canary-kimi' }, claude: { ANTHROPIC_API_KEY: 'canary-claude' } };
    client.launch({ argv: ['env'], env: { EDITOR: 'canary-env' }, keys });
    await exited(client);
    const env = client.output().toString();
    for (const line of ['KIMI_API_KEY=canary-kimi', 'EDITOR=canary-env', 'FROM_IMAGE=yes', `HOME=${one.dir}/home`]) expect(env).toContain(line);
    for (const text of ['canary-claude', 'NODE_OPTIONS', 'LD_LIBRARY_PATH']) expect(env).not.toContain(text);
    expect(one.log()).not.toContain('canary');
  });
});

describe('a launch', () => {
  it('reports the home, then the start', async () => {
    const client = await (await capsule()).connect();
    client.launch({});
    expect(await client.got(FrameType.welcome)).toEqual({ protocol: PROTOCOL_VERSION, sessions: [] });
    expect(await client.got(FrameType.ready)).toEqual({ logins: [{ slug: 'kimi', outcome: 'none', why: 'no login' }], github: 'no gh' });
    expect(await client.got(FrameType.started)).toMatchObject({ id: 'kimi-1', state: 'running', io: 'pipe' });
  });

  it('happens once', async () => {
    const one = await capsule();
    const first = await one.connect();
    first.launch({ argv: shell('read x') });
    await first.got(FrameType.started);
    const second = await one.connect();
    second.launch({});
    expect(await failed(second)).toMatchObject({ code: 'busy' });
    await second.closed;
  });

  it.each<[string, Partial<LaunchRequest> | { session: Partial<SessionRequest> }, string, string]>([
    ['a program that is not there', { session: { argv: ['no-such-agent'] } }, 'agent-missing', 'no-such-agent'],
    ['a directory that is not there', { session: { cwd: '/no/such/directory' } }, 'setup', '/no/such/directory'],
    ['a home that cannot be prepared', { setup: { workdir: '/refuse', agents: [], git: { github: { mode: 'ignore' } }, hooks: [] } }, 'setup', 'the disk is full'],
  ])('of %s is refused, and can be tried again', async (_, request, code, says) => {
    const { session = {}, ...more } = request as { session?: Partial<SessionRequest> };
    const one = await capsule();
    const first = await one.connect();
    first.launch(session, more);
    expect(await failed(first)).toEqual({ code, message: expect.stringContaining(says) as string });
    await first.closed;
    const second = await one.connect();
    second.launch({ argv: ['echo', 'here'] });
    expect(await exited(second)).toMatchObject({ code: 0 });
  });

  it('needs the complete volume of the agent', async () => {
    const one = await capsule();
    const script = path.join(one.dir, 'agents/kimi/main.mjs');
    await mkdir(path.dirname(script), { recursive: true });
    await writeFile(script, 'console.log("kimi here")');
    const argv = [process.execPath, script];
    const first = await one.connect();
    first.launch({ argv });
    expect(await failed(first)).toMatchObject({ code: 'agent-missing', message: expect.stringContaining('not complete') as string });
    await writeFile(path.join(path.dirname(script), '.jackin-complete'), '');
    const second = await one.connect();
    second.launch({ argv });
    await exited(second);
    expect(second.output().toString()).toBe('kimi here\n');
  });
});

describe('the capsule', () => {
  it('keeps its socket to its own user', async () => {
    const one = await capsule();
    await one.connect();
    const modes = await Promise.all(['run', 'run/capsule.sock'].map(async (name) => ((await stat(path.join(one.dir, name))).mode & 0o777).toString(8)));
    expect(modes).toEqual(['700', '600']);
  });

  it('takes garbage from some clients without harm to another', async () => {
    const one = await capsule();
    const good = await one.connect();
    good.launch({ argv: shell('read x; echo "said $x"') });
    await good.got(FrameType.started);
    const oversize = Buffer.alloc(5, FrameType.input);
    oversize.writeUInt32BE(MAX_FRAME_BYTES + 1, 1);
    const secret = 'canary-secret';
    const garbage = [
      randomBytes(5000).fill(0xff, 0, 5),
      oversize,
      encodeFrame(FrameType.launch, Buffer.from(`{"${secret}`)),
      encodeFrame(FrameType.launch, Buffer.from(JSON.stringify({ setup: secret }))),
      encodeFrame(FrameType.attach, Buffer.from('{"size":{"cols":1e9,"rows":1e9}}')),
      encodeFrame(FrameType.attach, Buffer.from('null')),
      encodeFrame(FrameType.input, Buffer.from('too early')),
      encodeFrame(FrameType.welcome),
      encodeFrame(FrameType.started, Buffer.from('{}')),
    ];
    for (const bytes of garbage) {
      const bad = await one.connect();
      bad.socket.write(bytes);
      expect(await failed(bad)).toMatchObject({ code: 'protocol' });
      await bad.closed;
    }
    const stranger = await one.connect();
    stranger.json(FrameType.attach, { session: 'claude-1', size });
    expect(await failed(stranger)).toMatchObject({ code: 'no-session' });
    expect(one.log()).toContain('refused (protocol)');
    expect(one.log()).not.toContain(secret);
    type(good, 'hello\n');
    await good.sees('said hello');
    expect(await exited(good)).toMatchObject({ code: 0 });
  });

  it.each([
    ['argv', { argv: [] }],
    ['argv', { argv: ['a\0b'] }],
    ['agent', { agent: '../up' }],
    ['cwd', { cwd: 'relative' }],
    ['io', { io: 'telepathy' }],
    ['env', { env: { 'A=B': 'x' } }],
    ['env', { env: { A: 1 } }],
    ['keys', { keys: { kimi: { K: 'a\0b' } } }],
    ['size', { size: { cols: 0, rows: 1 } }],
  ])('names the part of a launch that is wrong: %s', async (part, session) => {
    const client = await (await capsule()).connect();
    client.json(FrameType.launch, { ...launchRequest({}), session: { ...launchRequest({}).session, ...session } });
    expect(await failed(client)).toEqual({ code: 'protocol', message: expect.stringContaining(`session.${part}`) as string });
  });

  it('ends its sessions when it is told to stop, those that ignore it too', async () => {
    const one = await capsule();
    const client = await one.connect();
    client.launch({ argv: held(`trap '' TERM HUP; echo ready; sleep 60`), io: 'pty' });
    await client.sees('ready');
    one.child.kill('SIGTERM');
    expect(await exited(client)).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await client.closed;
    expect(await one.exit).toEqual({ code: 137, signal: null });
  });

  it('stops at once when nothing runs, and soon when something does', async () => {
    const idle = await capsule();
    await idle.connect();
    idle.child.kill('SIGTERM');
    expect(await idle.exit).toEqual({ code: 143, signal: null });

    const busy = await capsule();
    const client = await busy.connect();
    client.launch({ argv: shell('echo ready; exec sleep 60'), io: 'pty' });
    await client.sees('ready');
    const before = Date.now();
    busy.child.kill('SIGTERM');
    expect((await busy.exit).code).toBe(129);
    expect(Date.now() - before).toBeLessThan(2000);
  });

  it('does not wait for ever for a client that takes nothing', async () => {
    const one = await capsule();
    const client = await one.connect();
    client.launch({ argv: ['true'] });
    client.socket.pause();
    expect(await one.exit).toEqual({ code: 0, signal: null });
  });
});

/** What the capsule tells somebody who only looks. */
const welcome = async (one: TestCapsule): Promise<Welcome> => {
  const client = await one.connect();
  const said = await client.got<Welcome>(FrameType.welcome);
  client.socket.destroy();
  return said;
};

/** What a terminal shows that got these bytes. */
const show = async (bytes: Buffer): Promise<{ lines: string[]; cursor: number[]; colour: number | undefined; buffer: string }> => {
  const terminal = new Terminal({ ...size, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(bytes, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: size.rows }, (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '');
  const colour = active.getLine(active.baseY + 4)?.getCell(9)?.getFgColor();
  return { lines, cursor: [active.cursorX, active.cursorY], colour, buffer: active.type };
};
