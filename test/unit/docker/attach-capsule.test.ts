import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { FrameType, type LaunchRequest } from '../../../src/capsule/protocol.ts';
import { attachSession, openAttached, openDetached, openPiped, type Opening, type CapsuleStream } from '../../../src/docker/attach.ts';
import { bundleForTest, exitOf, launchRequest, runCapsule, type TestCapsule } from '../capsule/run-capsule.ts';
import { fakeTerminal } from './fake-terminal.ts';

/** Both sides for real: the host's functions, the connecting program, the capsule. Only the engine is not there. */
let bundle: string;
const running: TestCapsule[] = [];

beforeAll(async () => {
  bundle = await bundleForTest();
});
afterAll(() => rm(bundle, { recursive: true, force: true }));
afterEach(async () => {
  for (const capsule of running.splice(0)) await capsule.end();
});

const capsule = async (): Promise<TestCapsule> => {
  const started = await runCapsule(bundle);
  running.push(started);
  return started;
};
const stream = ({ stdin, stdout, stderr }: ChildProcess): CapsuleStream => ({
  stdin: stdin!,
  stdout: stdout!,
  stderr: stderr!,
  remedy: () => 'end it',
  fate: () => Promise.resolve({ where: 'connection' }),
});
/** The opening of an instance. */
const PLAIN = { instance: 'k7x2m9pq', strip: false, allowClipboard: false };
const launching = (request: LaunchRequest): Opening => ({ kind: 'launch', request });
const shell = (script: string) => ['sh', '-c', script];

it('a prompt runs on pipes: input, output, errors and exit code come through, and all ends', async () => {
  const one = await capsule();
  const child = one.startConnect();
  const gone = exitOf(child);
  const bytes = randomBytes(1_000_000);
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough(), signals: fakeTerminal().signals };
  const collected = [streams.stdout, streams.stderr].map((output) => {
    const chunks: Buffer[] = [];
    output.on('data', (chunk: Buffer) => chunks.push(chunk));
    return chunks;
  });
  const end = openPiped(stream(child), launching(launchRequest({ argv: shell('cat; echo oops >&2; exit 37') })), streams);
  streams.stdin.end(bytes);
  expect(await end).toEqual({ kind: 'exited', id: 'kimi-1', code: 37, left: 0 });
  const [output, errors] = collected.map((chunks) => Buffer.concat(chunks));
  expect(output?.equals(bytes)).toBe(true);
  expect(errors?.toString()).toBe('oops\n');
  // The host closed its side, so neither program has to be waited for.
  expect(await gone).toEqual({ code: 0, signal: null });
  expect(await one.exit).toEqual({ code: 37, signal: null });
});

it('a session is launched, left with the detach key, joined again, and ended', async () => {
  const one = await capsule();
  const first = fakeTerminal();
  const child = one.startConnect();
  const gone = exitOf(child);
  const argv = shell('printf "hello "; stty size; read x; echo "got $x"; read y; sleep 0.1; exit 5');
  const launched = openAttached(stream(child), launching(launchRequest({ argv, io: 'pty' })), { terminal: first, signals: first.signals, ...PLAIN });
  await expect.poll(() => first.shown()).toContain('hello 30 100');
  first.input.write('\x1c\x1c');
  expect(await launched).toEqual({ kind: 'detached', reason: 'key' });
  expect(await gone).toEqual({ code: 0, signal: null });

  const second = fakeTerminal();
  const joined = attachSession(stream(one.startConnect()), 'kimi-1', { terminal: second, signals: second.signals, ...PLAIN });
  await expect.poll(() => second.shown()).toContain('hello 30 100');
  second.input.write('input\r');
  await expect.poll(() => second.shown()).toContain('got input');
  second.input.write('\r');
  expect(await joined).toEqual({ kind: 'exited', id: 'kimi-1', code: 5, left: 0 });
  expect(await one.exit).toEqual({ code: 5, signal: null });
});

it('a session lives on when the host dies', async () => {
  const one = await capsule();
  const terminal = fakeTerminal();
  const child = one.startConnect();
  const argv = shell('echo here; read x; sleep 0.1; exit 6');
  const end = openAttached(stream(child), launching(launchRequest({ argv, io: 'pty' })), { terminal, signals: terminal.signals, ...PLAIN });
  await expect.poll(() => terminal.shown()).toContain('here');
  child.kill('SIGKILL');
  expect(await end).toMatchObject({ kind: 'lost' });
  const second = await one.connect();
  second.json(FrameType.attach, { size: { cols: 80, rows: 24 } });
  await second.sees('here');
  second.send(FrameType.input, Buffer.from('\r'));
  expect(await second.got(FrameType.exited)).toMatchObject({ code: 6 });
});

it('a detached launch returns while the session runs', async () => {
  const one = await capsule();
  const child = one.startConnect();
  const gone = exitOf(child);
  const reports: unknown[] = [];
  const end = openDetached(stream(child), launching(launchRequest({ argv: shell('read x'), io: 'pty' })), { onReady: (report) => reports.push(report) });
  expect(await end).toEqual({ kind: 'detached', reason: 'asked' });
  expect(reports).toEqual([{ logins: [{ slug: 'kimi', outcome: 'none', why: 'no login' }], github: 'no gh' }]);
  await gone;
  const client = await one.connect();
  expect(await client.got(FrameType.welcome)).toMatchObject({ sessions: [{ id: 'kimi-1', state: 'running', clients: 0 }] });
});

it('the connecting program waits for a capsule that is still starting', async () => {
  const one = await capsule();
  // Started in the same moment as the capsule, which needs longer.
  const end = openPiped(stream(one.startConnect()), launching(launchRequest({ argv: ['echo', 'hi'] })), {
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
    signals: fakeTerminal().signals,
  });
  expect(await end).toEqual({ kind: 'exited', id: 'kimi-1', code: 0, left: 0 });
});

it('the connecting program gives up when there is no capsule, in one line', { timeout: 30_000 }, async () => {
  const one = await capsule();
  one.child.kill('SIGKILL');
  await one.exit;
  const child = one.startConnect();
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  expect(await exitOf(child)).toEqual({ code: 1, signal: null });
  expect(said).toMatch(/^jackin: no capsule answers at .*capsule\.sock: [^\n]*\n$/);
});
