import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { decodeJson, encodeData, encodeFrame, encodeJson, frameReader, type Frame } from '../../../src/capsule/frames.ts';
import { FrameType, PROTOCOL_VERSION, type LaunchRequest } from '../../../src/capsule/protocol.ts';
import { attachSession, openAttached, openDetached, openPiped, type Opening, type CapsuleStream, type SessionEnd } from '../../../src/docker/attach.ts';
import type { Fate } from '../../../src/docker/container-fate.ts';
import { JackinError } from '../../../src/shared/errors.ts';
import { launchRequest } from '../capsule/run-capsule.ts';
import { fakeTerminal } from './fake-terminal.ts';

/** The opening of an instance. */
const PLAIN = { instance: 'k7x2m9pq', strip: false, allowClipboard: false };
const launching = (request: LaunchRequest): Opening => ({ kind: 'launch', request });

/** A pipe into a container that runs on, whatever happens to the pipe. */
const pipes = (fate: Fate = { where: 'connection' }) => ({
  stdin: new PassThrough(),
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  remedy: () => 'get rid of it with `jackin eject`',
  fate: () => Promise.resolve(fate),
});

/** A capsule that says what the test tells it to. */
const fakeCapsule = (protocol = PROTOCOL_VERSION) => {
  const stream = pipes();
  const frames: Frame[] = [];
  const read = frameReader((frame) => frames.push(frame));
  stream.stdin.on('data', read);
  stream.stdin.on('end', () => stream.stdout.end());
  const say = (type: FrameType, value: unknown) => stream.stdout.write(encodeJson(type, value));
  say(FrameType.welcome, { protocol, sessions: [] });
  return {
    stream: stream satisfies CapsuleStream,
    say,
    frames,
    said: (type: FrameType) => frames.filter((frame) => frame.type === type),
    heard: async (type: FrameType): Promise<Frame> => {
      await expect.poll(() => frames.map((frame) => frame.type)).toContain(type);
      return frames.find((frame) => frame.type === type) as Frame;
    },
    start: () => say(FrameType.started, { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 0, io: 'pty' }),
    output: (text: string) => stream.stdout.write(encodeData(FrameType.output, Buffer.from(text))),
  };
};

const failure = async (end: Promise<SessionEnd>): Promise<JackinError> => {
  const error: unknown = await end.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(JackinError);
  return error as JackinError;
};

const RESTORED = ['\x1b[?1049l', '\x1b[?25h', '\x1b[?1000l', '\x1b[?1002l', '\x1b[?1003l', '\x1b[?1006l', '\x1b[?2004l', '\x1b[?1004l', '\x1b[<u', '\x1b[>4;0m', '\x1b[0m'];

describe('a terminal that is attached', () => {
  const attached = async () => {
    const capsule = fakeCapsule();
    const terminal = fakeTerminal();
    const end = attachSession(capsule.stream, undefined, { terminal, signals: terminal.signals, ...PLAIN });
    await capsule.heard(FrameType.attach);
    expect(terminal.raw).toEqual([]);
    capsule.start();
    await expect.poll(() => terminal.raw).toEqual([true]);
    return { capsule, terminal, end };
  };
  const expectRestored = async ({ terminal }: Awaited<ReturnType<typeof attached>>) => {
    expect(terminal.raw).toEqual([true, false]);
    await expect.poll(() => RESTORED.filter((sequence) => !terminal.shown().includes(sequence))).toEqual([]);
    expect(terminal.signals.eventNames()).toEqual([]);
    expect(terminal.input.isPaused()).toBe(true);
    expect([terminal.input, terminal.output].map((stream) => stream.listenerCount('data') + stream.listenerCount('resize'))).toEqual([0, 1]);
  };

  it('is restored when the session ends', async () => {
    const all = await attached();
    all.capsule.output('bye');
    all.capsule.say(FrameType.exited, { id: 'kimi-1', code: 37, left: 0 });
    expect(await all.end).toEqual({ kind: 'exited', id: 'kimi-1', code: 37, left: 0 });
    await expectRestored(all);
    expect(all.terminal.shown()).toMatch(/^bye/);
  });

  it('is restored when the person detaches, and the session is left, not ended', async () => {
    const all = await attached();
    all.terminal.input.write('x\x1cd');
    expect(await all.end).toEqual({ kind: 'detached', reason: 'key' });
    await expectRestored(all);
    await all.capsule.heard(FrameType.detach);
    expect(all.capsule.said(FrameType.input).map(({ payload }) => payload.toString())).toEqual(['x']);
    expect(all.capsule.said(FrameType.signal)).toEqual([]);
  });

  it('is told in words when the container has no room for another process', async () => {
    const { capsule, end } = await attached();
    capsule.stream.stderr.write('#  node[7]: void uv_thread_create(…) Assertion failed\n 1: 0x8d0c86 [/jackin/runtime/bin/node]');
    capsule.stream.stdout.end();
    expect(await end).toMatchObject({ kind: 'lost', why: expect.stringMatching(/^no more processes can be started/) as string });
  });

  it('is restored when the connection is lost', async () => {
    const all = await attached();
    all.capsule.stream.stdout.end();
    expect(await all.end).toEqual({ kind: 'lost', where: 'connection', why: 'the connection to the container ended' });
    await expectRestored(all);
  });

  it.each(['SIGTERM', 'SIGHUP', 'SIGINT'] as const)('is restored when this process gets %s', async (signal) => {
    const all = await attached();
    all.terminal.signals.emit(signal, signal);
    expect(await all.end).toEqual({ kind: 'detached', reason: signal });
    await expectRestored(all);
  });

  it('is restored when this process ends for another reason', async () => {
    const all = await attached();
    all.terminal.signals.emit('exit', 1);
    expect(all.terminal.raw).toEqual([true, false]);
    await expectRestored(all);
  });

  it('is restored when the terminal has no more input', async () => {
    const all = await attached();
    all.terminal.input.end();
    expect(await all.end).toEqual({ kind: 'detached', reason: 'input-ended' });
    expect(all.terminal.raw).toContain(false);
  });

  it('is restored when the capsule says something senseless', async () => {
    for (const nonsense of [encodeFrame(FrameType.attach), encodeFrame(FrameType.exited, Buffer.from('{}')), Buffer.alloc(5, 0xff)]) {
      const all = await attached();
      all.capsule.stream.stdout.write(nonsense);
      expect((await failure(all.end)).message).toContain('does not speak as expected');
      await expectRestored(all);
    }
  });

  it('changes over to another session with the keys, on an empty screen, and what it types goes there', async () => {
    const { capsule, terminal, end } = await attached();
    await capsule.heard(FrameType.watch);
    const info = (id: string, state = 'running') => ({ id, agent: id.split('-')[0], state, clients: 1, io: 'pty' });
    capsule.say(FrameType.sessions, { sessions: [info('kimi-1'), info('claude-1', 'exited'), info('shell-1')] });
    capsule.output('first\x1b[?1000h');
    await expect.poll(() => terminal.shown()).toContain('first');
    const asked = () => capsule.said(FrameType.attach).map((frame) => (decodeJson(frame) as { session?: string }).session);
    terminal.input.write('\x1cn');
    // What has ended is passed over.
    await expect.poll(asked).toEqual([undefined, 'shell-1']);
    capsule.say(FrameType.started, info('shell-1'));
    capsule.output('second');
    await expect.poll(() => terminal.shown()).toContain('second');
    expect(terminal.shown().slice(terminal.shown().indexOf('first'))).toMatch(/\x1b\[\?1000l[^]*\x1b\[H\x1b\[J[^]*second/);
    terminal.input.write('\x1c1');
    await expect.poll(asked).toEqual([undefined, 'shell-1', 'kimi-1']);
    capsule.say(FrameType.exited, { id: 'shell-1', code: 5, left: 1 });
    expect(await end).toEqual({ kind: 'exited', id: 'shell-1', code: 5, left: 1 });
  });

  it('passes input and output on untouched, and tells its size as often as it changes', async () => {
    const { capsule, terminal, end } = await attached();
    expect(decodeJson(await capsule.heard(FrameType.attach))).toEqual({ size: { cols: 100, rows: 30 } });
    Object.assign(terminal.output, { columns: 132, rows: 40 });
    terminal.output.emit('resize');
    terminal.input.write(Buffer.from([0, 3, 26, 255, 27]));
    await expect.poll(() => Buffer.concat(capsule.said(FrameType.input).map(({ payload }) => payload))).toEqual(Buffer.from([0, 3, 26, 255, 27]));
    expect(capsule.said(FrameType.resize).map(decodeJson).at(-1)).toEqual({ cols: 132, rows: 40 });
    capsule.output('\x1b[31mred');
    await expect.poll(() => terminal.shown()).toBe('\x1b[31mred');
    capsule.say(FrameType.exited, { id: 'kimi-1', code: 0, left: 0 });
    await end;
  });
});

describe('a launch', () => {
  it('on a terminal uses its size, and tells the report and the start', async () => {
    const capsule = fakeCapsule();
    const terminal = fakeTerminal();
    const told: unknown[] = [];
    const options = { onReady: (report: unknown) => told.push(report), onStarted: (session: unknown) => told.push(session) };
    const end = openAttached(capsule.stream, launching(launchRequest({ io: 'pty', size: { cols: 1, rows: 1 } })), { terminal, signals: terminal.signals, ...PLAIN }, options);
    expect(decodeJson(await capsule.heard(FrameType.launch))).toMatchObject({ session: { size: { cols: 100, rows: 30 } }, detached: false });
    capsule.say(FrameType.ready, { logins: [{ slug: 'kimi', outcome: 'handoff', why: 'fresh \x1b[2Jlogin' }] });
    capsule.start();
    capsule.say(FrameType.exited, { id: 'kimi-1', code: 0, left: 0 });
    await end;
    expect(told).toEqual([
      { logins: [{ slug: 'kimi', outcome: 'handoff', why: 'fresh  [2Jlogin' }] },
      { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 0, io: 'pty' },
    ]);
  });

  it('that is detached leaves at once', async () => {
    const capsule = fakeCapsule();
    const end = openDetached(capsule.stream, launching(launchRequest({})));
    expect(decodeJson(await capsule.heard(FrameType.launch))).toMatchObject({ detached: true });
    capsule.start();
    expect(await end).toEqual({ kind: 'detached', reason: 'asked' });
    await expect.poll(() => capsule.stream.stdin.readableEnded).toBe(true);
  });

  it('can be interrupted until the session runs', async () => {
    const capsule = fakeCapsule();
    const abort = new AbortController();
    const end = openDetached(capsule.stream, launching(launchRequest({})), { signal: abort.signal });
    await capsule.heard(FrameType.launch);
    abort.abort();
    expect((await failure(end)).exitCode).toBe(130);
  });

  it.each([
    [{ code: 'agent-missing', message: 'there is no kimi' }, 1, /agent.*there is no kimi/],
    [{ code: 'busy', message: 'launched already' }, 8, /launched already/],
    [{ code: 'no-session', message: 'nothing' }, 7, /nothing/],
    [{ code: 'setup', message: 'the disk\x1b is full' }, 1, /the disk {2}is full/],
  ])('that is refused is an error: %o', async (refusal, exitCode, says) => {
    const capsule = fakeCapsule();
    const end = openDetached(capsule.stream, launching(launchRequest({})));
    capsule.say(FrameType.failed, refusal);
    const error = await failure(end);
    expect(error.exitCode).toBe(exitCode);
    expect(error.message).toMatch(says);
  });

  it('says what to do when the container is of another version', async () => {
    const capsule = fakeCapsule(99);
    const error = await failure(openDetached(capsule.stream, launching(launchRequest({}))));
    expect(error.message).toContain('99');
    expect(error.hint).toContain('jackin eject');
    expect(capsule.frames).toEqual([]);
  });

  it('gives the words of the connecting program when there is no capsule', async () => {
    const stream = pipes();
    const end = openDetached(stream, launching(launchRequest({})));
    stream.stdout.end();
    stream.stderr.end('jackin: no capsule answers\n');
    expect(await end).toEqual({ kind: 'lost', where: 'connection', why: 'jackin: no capsule answers' });
  });
});

describe('a launch on pipes', () => {
  const piped = async (stdin?: PassThrough) => {
    const capsule = fakeCapsule();
    const terminal = fakeTerminal();
    const streams = { stdin, stdout: new PassThrough(), stderr: new PassThrough(), signals: terminal.signals };
    const end = openPiped(capsule.stream, launching(launchRequest({})), streams);
    await capsule.heard(FrameType.launch);
    capsule.start();
    await expect.poll(() => terminal.signals.listenerCount('SIGINT')).toBe(1);
    return { capsule, signals: terminal.signals, streams, end };
  };

  it('interrupts the program at the first signal, kills it at the second, gives up at the third', async () => {
    const { capsule, signals, end } = await piped();
    for (const signal of ['SIGINT', 'SIGTERM']) signals.emit(signal);
    await expect.poll(() => capsule.said(FrameType.signal).map(decodeJson)).toEqual([{ signal: 'SIGINT' }, { signal: 'SIGKILL' }]);
    signals.emit('SIGINT');
    expect(await end).toMatchObject({ kind: 'lost' });
    expect(signals.eventNames()).toEqual([]);
  });

  it('ends the input when there is none, or when it ends', async () => {
    const none = await piped();
    await none.capsule.heard(FrameType.inputEnd);
    const stdin = new PassThrough();
    const some = await piped(stdin);
    expect(some.capsule.said(FrameType.inputEnd)).toEqual([]);
    stdin.end('text');
    await some.capsule.heard(FrameType.inputEnd);
    expect(some.capsule.said(FrameType.input).map(({ payload }) => payload.toString())).toEqual(['text']);
  });

  it('does not read faster than the output takes', async () => {
    const { capsule, streams, end } = await piped();
    const bytes = Buffer.alloc(4 * 1024 * 1024, 'x');
    for (let at = 0; at < bytes.length; at += 65_536) capsule.stream.stdout.write(encodeData(FrameType.output, bytes.subarray(at, at + 65_536)));
    capsule.say(FrameType.exited, { id: 'kimi-1', code: 0, signal: 'SIGTERM', left: 0 });
    await sleep(100);
    expect(streams.stdout.readableLength + streams.stdout.writableLength).toBeLessThan(bytes.length);
    const got: Buffer[] = [];
    streams.stdout.on('data', (chunk: Buffer) => got.push(chunk));
    expect(await end).toEqual({ kind: 'exited', id: 'kimi-1', code: 0, signal: 'SIGTERM', left: 0 });
    await expect.poll(() => Buffer.concat(got).length).toBe(bytes.length);
  });

  it('tells the program to end when nobody takes its output any more', async () => {
    const { capsule, streams } = await piped();
    streams.stdout.destroy(new Error('EPIPE'));
    expect(decodeJson(await capsule.heard(FrameType.signal))).toEqual({ signal: 'SIGTERM' });
    capsule.output('more');
  });
});

describe('a capsule that was taken over', () => {
  const info = { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 1, io: 'pty' };
  const attached = async () => {
    const capsule = fakeCapsule();
    const terminal = fakeTerminal();
    const end = attachSession(capsule.stream, undefined, { terminal, signals: terminal.signals, ...PLAIN, strip: true });
    capsule.start();
    await capsule.heard(FrameType.watch);
    return { capsule, terminal, end };
  };

  it('is left when it tells lists without end, and the terminal is restored', async () => {
    const { capsule, terminal, end } = await attached();
    const told = failure(end);
    for (let count = 0; count < 2000; count += 1) capsule.say(FrameType.sessions, { sessions: [{ ...info, id: `kimi-${count}` }] });
    expect((await told).message).toBe('the container does not speak as expected: it says more than 1000 things in 10 s');
    expect(terminal.raw).toEqual([true, false]);
    expect(terminal.shown()).toContain('kimi-900');
    expect(terminal.shown()).not.toContain('kimi-1900');
  });

  it('is left when it shows a session that was not asked for', async () => {
    const { capsule, terminal, end } = await attached();
    const told = failure(end);
    capsule.say(FrameType.started, { ...info, id: 'shell-9' });
    expect((await told).message).toContain('out of turn');
    expect(terminal.raw).toEqual([true, false]);
  });

  it('cannot fill the memory of this process while the terminal is stopped', async () => {
    const { capsule, terminal } = await attached();
    const waiting = () => terminal.output.writableLength + terminal.output.readableLength;
    terminal.output.pause();
    const list = (count: number) => ({ sessions: [{ ...info, id: `kimi-${count}-${'x'.repeat(40)}` }] });
    for (let count = 0; count < 900; count += 1) capsule.stream.stdout.write(encodeJson(FrameType.sessions, list(count)));
    await sleep(200);
    expect(capsule.stream.stdout.isPaused()).toBe(true);
    // Two buffers of a stream, and no more.
    expect(waiting()).toBeLessThan(4 * terminal.output.writableHighWaterMark);
    terminal.output.resume();
    await expect.poll(() => terminal.shown()).toContain('kimi-899');
  });
});
