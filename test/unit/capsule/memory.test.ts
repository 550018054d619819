/** What the capsule still holds of secrets, by what Node itself says of its memory. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrameType, type SessionList } from '../../../src/capsule/protocol.ts';
import { bundleForTest, runCapsule, type TestCapsule } from './run-capsule.ts';

let bundle: string;
const running: TestCapsule[] = [];

beforeAll(async () => {
  bundle = await bundleForTest();
});
afterAll(() => rm(bundle, { recursive: true, force: true }));
afterEach(async () => {
  for (const capsule of running.splice(0)) await capsule.end();
});

const WAITS = ['sh', '-c', 'echo waiting; read x'];
const SETUP = { workdir: '/', agents: [], git: { github: { mode: 'ignore' as const } }, hooks: [] };
const canary = () => `fake-${randomBytes(18).toString('hex')}`;

/** Everything that can still be reached from the program, garbage left out. */
const heapOf = async ({ dir, child }: TestCapsule): Promise<string> => {
  const snapshots = async () => (await readdir(dir)).filter((name) => name.endsWith('.heapsnapshot'));
  const before = await snapshots();
  child.kill('SIGUSR2');
  let heap = '';
  const isWhole = async (): Promise<boolean> => {
    const [name] = (await snapshots()).filter((one) => !before.includes(one));
    heap = name === undefined ? '' : await readFile(path.join(dir, name), 'utf8');
    // It is written piece by piece.
    return heap.trimEnd().endsWith('}');
  };
  await expect.poll(isWhole, { timeout: 15_000, interval: 100 }).toBe(true);
  return heap;
};

const keysOf = (key: string) => ({ claude: { ANTHROPIC_API_KEY: key } });

const startClaude = async (one: TestCapsule, io: 'pty' | 'pipe', env: Record<string, string>, key: string) => {
  const client = await one.connect();
  const session = { agent: 'claude', argv: WAITS, cwd: '/', io, size: { cols: 200, rows: 30 } };
  client.json(FrameType.spawn, { session, detached: true, fresh: { setup: SETUP, env, keys: keysOf(key) } });
  await client.got(FrameType.started);
};

const stateOf = async (one: TestCapsule, id: string): Promise<string | undefined> => {
  const client = await one.connect();
  client.send(FrameType.list);
  const { sessions } = await client.got<SessionList>(FrameType.sessions);
  client.socket.destroy();
  return sessions.find((session) => session.id === id)?.state;
};

describe.each(['pty', 'pipe'] as const)('the key of a session on a %s', (io) => {
  it('is forgotten once the session has it; what all sessions get is not', async () => {
    const [key, first, shared] = [canary(), canary(), canary()];
    const one = await runCapsule(bundle, {}, ['--heapsnapshot-signal=SIGUSR2']);
    running.push(one);
    const launched = await one.connect();
    launched.launch({ agent: 'claude', argv: WAITS, io, keys: keysOf(first) });
    await launched.sees('waiting');
    await startClaude(one, io, { SHARED: shared }, key);
    const found = (heap: string) => [first, key, shared].map((secret) => heap.includes(secret));
    const hasNoKey = [false, false, true];
    expect(found(await heapOf(one))).toEqual(hasNoKey);

    const end = await one.connect();
    end.json(FrameType.kill, { session: 'claude-2' });
    await expect.poll(() => stateOf(one, 'claude-2'), { timeout: 10_000 }).toBe('exited');
    expect(found(await heapOf(one))).toEqual(hasNoKey);
  }, 60_000);
});
