import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { LoginState } from '../../../src/agents/login-facts.ts';
import { type ComparedLogin, type Drift, driftOf } from '../../../src/auth/drift.ts';

const login = (digest: string, state: LoginState = 'live', account?: string): ComparedLogin => ({ state, digest, ...(account !== undefined && { account }) });

describe('the login of the host against that of a container', () => {
  test.each<[string, ComparedLogin | undefined, ComparedLogin | undefined, string | undefined, Drift | null]>([
    ['nothing happened since it was copied', login('a'), login('a'), 'a', 'same'],
    ['the host has logged in again', login('b'), login('a'), 'a', 'host newer'],
    ['it was renewed in the container', login('a'), login('b'), 'a', 'container newer'],
    ['both were renewed', login('b'), login('c'), 'a', 'forked'],
    ['both were renewed to the same', login('b'), login('b'), 'a', 'same'],
    ['both have one, and none was ever copied', login('a'), login('b'), undefined, 'forked'],
    ['the host is somebody else now', login('b', 'live', 'you'), login('a', 'live', 'me'), 'a', 'forked'],
    ['the container is somebody else now', login('a', 'live', 'me'), login('b', 'live', 'you'), 'a', 'forked'],
    ['only one side tells whose it is', login('b'), login('a', 'live', 'me'), 'a', 'host newer'],
    ['the access of the copy is over', login('b'), login('a', 'expired-refreshable'), 'a', 'host newer'],
    ['the container was logged out', login('a'), login('b', 'dead'), 'a', 'host newer'],
    ['the host was logged out', { state: 'dead' }, login('a'), 'a', 'container newer'],
    ['both were logged out', { state: 'dead' }, login('b', 'dead'), 'a', null],
    ['the host has none', { state: 'absent' }, login('a'), 'a', null],
    ['the container has none', login('a'), undefined, 'a', null],
    ['the host is not looked at', undefined, login('a'), 'a', null],
  ])('%s', (_what, host, container, base, drift) => {
    expect(driftOf(host, container, base)).toBe(drift);
  });
});

const digest = fc.constantFrom('a', 'b', 'c');
const compared: fc.Arbitrary<ComparedLogin> = fc
  .record({
    state: fc.constantFrom<LoginState>('live', 'expired-refreshable', 'dead', 'absent', 'unknown'),
    digest,
    account: fc.option(fc.constantFrom('me', 'you'), { nil: undefined }),
  })
  // One credential has one account.
  .map((one) => ({ ...one, account: one.account && `${one.account}-${one.digest}` }));
const perhaps = fc.option(compared, { nil: undefined });
const base = fc.option(digest, { nil: undefined });

const MIRROR: Record<Drift, Drift> = { same: 'same', forked: 'forked', 'host newer': 'container newer', 'container newer': 'host newer' };

const works = (one: ComparedLogin | undefined): boolean => one !== undefined && one.state !== 'dead' && one.state !== 'absent';

it('has the same answer seen from the other side', () => {
  fc.assert(
    fc.property(perhaps, perhaps, base, (host, container, before) => {
      const drift = driftOf(host, container, before);
      expect(driftOf(container, host, before)).toBe(drift === null ? null : MIRROR[drift]);
    }),
  );
});

it('says something of any two logins of which one could work, and nothing when one is missing', () => {
  fc.assert(
    fc.property(perhaps, perhaps, base, (host, container, before) => {
      const areThere = [host, container].every((one) => one !== undefined && one.state !== 'absent');
      const drift = driftOf(host, container, before);
      expect(drift !== null).toBe(areThere && (works(host) || works(container)));
    }),
  );
});

it('never calls a login newer that is the one that was copied, or that is dead', () => {
  fc.assert(
    fc.property(compared, compared, base, (host, container, before) => {
      const drift = driftOf(host, container, before);
      const newer = { 'host newer': [host, container], 'container newer': [container, host] }[drift as string];
      fc.pre(newer !== undefined);
      const [better, other] = newer as [ComparedLogin, ComparedLogin];
      expect(works(better)).toBe(true);
      expect(!works(other) || (better.digest !== before && other.digest === before)).toBe(true);
    }),
  );
});
