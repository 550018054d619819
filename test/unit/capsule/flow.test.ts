import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { holdBack } from '../../../src/capsule/flow.ts';

const MIB = 1024 * 1024;

const taker = (backlog: number) => ({ size: backlog, dropped: false, backlog() { return this.size; }, drop() { this.dropped = true; } });

const setUp = (...takers: ReturnType<typeof taker>[]) => {
  const state = { paused: false, model: 0 };
  const tap = { pause: () => void (state.paused = true), resume: () => void (state.paused = false) };
  const flow = holdBack(tap, () => state.model, () => takers.filter(({ dropped }) => !dropped));
  return { state, flow };
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('a source waits while a taker is far behind, and goes on when it has caught up', () => {
  const slow = taker(2 * MIB);
  const { state, flow } = setUp(slow, taker(0));
  flow.check();
  expect(state.paused).toBe(true);
  slow.size = MIB;
  vi.advanceTimersByTime(100);
  expect(state.paused).toBe(true);
  slow.size = 0;
  vi.advanceTimersByTime(100);
  expect(state.paused).toBe(false);
});

it('a source waits for the screen model as well', () => {
  const { state, flow } = setUp();
  state.model = 2 * MIB;
  flow.check();
  expect(state.paused).toBe(true);
  state.model = 0;
  vi.advanceTimersByTime(100);
  expect(state.paused).toBe(false);
});

it('a taker that takes nothing any more is dropped when another one waits for it', () => {
  const dead = taker(2 * MIB);
  const { state, flow } = setUp(dead, taker(0));
  flow.check();
  vi.advanceTimersByTime(9000);
  expect([dead.dropped, state.paused]).toEqual([false, true]);
  vi.advanceTimersByTime(2000);
  expect([dead.dropped, state.paused]).toEqual([true, false]);
});

it('a taker that takes a little now and then is waited for', () => {
  const slow = taker(2 * MIB);
  const { flow } = setUp(slow, taker(0));
  flow.check();
  for (let round = 0; round < 5; round += 1) {
    vi.advanceTimersByTime(9000);
    slow.size -= 1;
  }
  expect(slow.dropped).toBe(false);
});

it('the only taker may stall for as long as it likes', () => {
  const only = taker(2 * MIB);
  const { state, flow } = setUp(only);
  flow.check();
  vi.advanceTimersByTime(3_600_000);
  expect([only.dropped, state.paused]).toEqual([false, true]);
  flow.stop();
});
