import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LoginView } from '../../../../src/agents/placed-login.ts';
import { decide } from '../../../../src/capsule/home/decide.ts';
import { minutes } from '../../../fixtures/kimi/login.ts';

const live = (digest: string, more: Partial<LoginView> = {}): LoginView => ({
  digest,
  state: 'live',
  refreshable: true,
  expiresAt: minutes(15),
  account: 'op',
  ...more,
});
const dead = (digest: string): LoginView => ({ digest, state: 'dead', refreshable: false });

describe('the login that the agent starts with', () => {
  test.each<[string, string | undefined, LoginView | undefined, LoginView | undefined, string]>([
    ['first launch', undefined, live('h'), undefined, 'handoff'],
    ['nothing changed', 'x', live('x'), live('x'), 'same'],
    ['the same, but the record is lost', undefined, live('x'), live('x'), 'same'],
    ['only the host changed', 'x', live('h'), live('x'), 'handoff'],
    ['only the host changed, and ends sooner', 'x', live('h', { expiresAt: minutes(1) }), live('x'), 'handoff'],
    ['only the container changed', 'x', live('x'), live('c'), 'home'],
    ['only the container changed, and has expired since', 'x', live('x'), live('c', { state: 'expired-refreshable', expiresAt: minutes(-9) }), 'home'],
    ['both changed, the container lives longer', 'x', live('h'), live('c', { expiresAt: minutes(20) }), 'home'],
    ['both changed, the host lives longer', 'x', live('h', { expiresAt: minutes(20) }), live('c'), 'handoff'],
    ['both changed, both end together', 'x', live('h'), live('c'), 'handoff'],
    ['both changed, no end known', 'x', live('h', { expiresAt: undefined }), live('c'), 'handoff'],
    ['both changed, only the container’s can be refreshed', 'x', live('h', { refreshable: false, expiresAt: minutes(60) }), live('c'), 'home'],
    ['both changed, only the host’s can be refreshed', 'x', live('h'), live('c', { refreshable: false, expiresAt: minutes(60) }), 'handoff'],
    ['both changed, the host’s is a key', 'x', live('h', { refreshable: false, expiresAt: undefined }), live('c'), 'handoff'],
    ['both changed, other account', 'x', live('h', { account: 'else' }), live('c', { expiresAt: minutes(60) }), 'handoff'],
    ['both changed, account known on one side only', 'x', live('h', { account: undefined }), live('c', { expiresAt: minutes(60) }), 'handoff'],
    ['both changed, a form we do not know', 'x', { digest: 'h', state: 'unknown', refreshable: false }, live('c', { account: undefined }), 'handoff'],
    ['the record is lost', undefined, live('h'), live('c', { expiresAt: minutes(20) }), 'home'],
    ['the host’s is dead', 'x', dead('h'), live('x'), 'home'],
    ['the container’s is dead', 'x', live('x'), dead('c'), 'handoff'],
    ['both are dead', 'x', dead('h'), dead('c'), 'none'],
    ['the host’s is dead and there is no other', 'x', dead('h'), undefined, 'none'],
    ['the host has none', 'x', undefined, live('x'), 'home'],
    ['neither has one', undefined, undefined, undefined, 'none'],
  ])('%s', (_what, base, handoff, home, winner) => {
    const decision = decide(base, handoff, home);
    expect(decision.winner).toBe(winner);
    expect(decision.why).toMatch(/^[A-Z][^\n]+\.$/);
  });
});

const views = fc.option(
  fc.record({
    digest: fc.constantFrom('a', 'b', 'c', 'd'),
    state: fc.constantFrom('live', 'expired-refreshable', 'dead', 'absent', 'unknown'),
    refreshable: fc.boolean(),
    expiresAt: fc.option(fc.integer({ min: -5, max: 5 }).map(minutes), { nil: undefined }),
    account: fc.constantFrom('one', 'two', undefined),
  }),
  { nil: undefined },
) as fc.Arbitrary<LoginView | undefined>;

const canWork = (view: LoginView | undefined): boolean => view !== undefined && view.state !== 'dead' && view.state !== 'absent';

test('a login that cannot work never wins, and one that can never loses to it', () => {
  fc.assert(
    fc.property(fc.constantFrom('a', 'b', undefined), views, views, (base, handoff, home) => {
      const { winner } = decide(base, handoff, home);
      const mayWin = { handoff: canWork(handoff), home: canWork(home), same: canWork(home), none: !canWork(handoff) && !canWork(home) };
      expect(mayWin).toHaveProperty(winner, true);
    }),
  );
});

test('without a record, sides that swap their logins swap the answer or the host wins both times', () => {
  fc.assert(
    fc.property(views, views, (one, two) => {
      const answers = [decide(undefined, one, two).winner, decide(undefined, two, one).winner].sort().join();
      expect(['handoff,home', 'handoff,handoff', 'same,same', 'none,none']).toContain(answers);
    }),
  );
});

/** A host and a container over days: who renews, logs in or is thrown out, and what each start makes of it. */
type Event = 'host renews' | 'host is rejected' | 'host logs in again' | 'container renews' | 'container is rejected' | 'start';

test('over any history, a start never undoes a renewal inside and never misses a newer login of the host', () => {
  const events = fc.array(
    fc.constantFrom<Event>('host renews', 'host is rejected', 'host logs in again', 'container renews', 'container is rejected', 'start'),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(events, (history) => {
      let clock = 0;
      const issue = (): LoginView => live(`login ${(clock += 1)}`, { expiresAt: minutes(clock) });
      let host = issue();
      let home: LoginView | undefined;
      let base: string | undefined;
      for (const event of history) {
        if (event === 'host renews' && host.state === 'live') host = issue();
        if (event === 'host is rejected') host = dead(`rejected ${(clock += 1)}`);
        if (event === 'host logs in again') host = issue();
        if (event === 'container renews' && home?.state === 'live') home = issue();
        if (event === 'container is rejected' && home) home = dead(`rejected ${(clock += 1)}`);
        if (event !== 'start') continue;
        const before = home;
        const { winner } = decide(base, host, home);
        if (winner === 'handoff') home = host;
        if (winner === 'handoff' || winner === 'same') base = host.digest;

        // Times only grow here, so of two that live the later one must be there.
        const ends = [host, before].flatMap((view) => (view?.state === 'live' ? (view.expiresAt ?? []) : []));
        const best = ends.length === 0 ? undefined : Math.max(...ends);
        expect(home?.state === 'live' ? home.expiresAt : undefined).toBe(best);
      }
    }),
  );
});
