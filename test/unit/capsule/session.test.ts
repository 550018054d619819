import { describe, expect, it } from 'vitest';
import { frameReader } from '../../../src/capsule/frames.ts';
import { FrameType } from '../../../src/capsule/protocol.ts';
import { startSession, type Session, type Viewer } from '../../../src/capsule/session.ts';

const start = (script: string): Session =>
  startSession({
    id: 'kimi-1',
    agent: 'kimi',
    io: 'pty',
    file: '/bin/sh',
    args: ['-c', script],
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '' },
    size: { cols: 80, rows: 24 },
    changed: () => {},
    left: () => 0,
  });

/** A viewer that takes everything at once; `onOutput` is called when it is given some. */
const viewer = (onOutput: () => void = () => {}) => {
  const seen = { output: '', exited: false, finished: false };
  const read = frameReader(({ type, payload }) => {
    expect(seen.exited).toBe(false);
    if (type === FrameType.exited) seen.exited = true;
    if (type !== FrameType.output) return;
    seen.output += payload.toString('latin1');
    onOutput();
  });
  const face: Viewer = { send: read, backlog: () => 0, drop: () => {}, finish: () => (seen.finished = true) };
  return { face, seen };
};

const numbers = (text: string): number[] => [...text.matchAll(/<(\d+)>/g)].map(([, number]) => Number(number));

describe('viewers of a session', () => {
  it('get the picture and what follows without a gap or a repetition, whenever they join', async () => {
    const count = 20_000;
    const late: ReturnType<typeof viewer>[] = [];
    const first = viewer(() => {
      const joining = viewer();
      late.push(joining);
      queueMicrotask(() => session.join(joining.face));
    });
    const session = start(`i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo "<$i>"; done; sleep 0.2`);
    session.join(first.face);
    await session.ended;
    await expect.poll(() => late.filter(({ seen }) => !seen.finished)).toEqual([]);
    expect(numbers(first.seen.output)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    for (const { seen } of late) {
      const got = numbers(seen.output);
      expect(got).toEqual(Array.from(got, (_, index) => (got[0] ?? 0) + index));
      expect([got.at(-1), seen.exited]).toEqual([count, true]);
    }
    expect(late.length).toBeGreaterThan(10);
  });

  it('get the last picture and the exit when they join after the end', async () => {
    const session = start('echo the end; sleep 0.1; exit 4');
    await session.ended;
    const { face, seen } = viewer();
    session.join(face);
    await expect.poll(() => seen.finished).toBe(true);
    expect(seen.output).toContain('the end');
    expect(session.info()).toEqual({ id: 'kimi-1', agent: 'kimi', state: 'exited', code: 4, clients: 0, io: 'pty' });
  });
});
