import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOwnNetwork, hostSubnets, pickSubnet } from '../../../src/docker/networks.ts';
import { fakeEngine } from '../../fakes/engine.ts';

const rangeOf = (cidr: string): [number, number] => {
  const [address = '', bits = ''] = cidr.split('/');
  const value = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const size = 2 ** (32 - Number(bits));
  return [value - (value % size), value - (value % size) + size - 1];
};

const cidr = fc
  .tuple(fc.constantFrom(10, 172, 192), fc.nat(255), fc.nat(255), fc.nat(255), fc.integer({ min: 10, max: 32 }))
  .map(([a, b, c, d, bits]) => `${a}.${b}.${c}.${d}/${bits}`);

const random = (seed: number) => () => (seed = (seed * 16807) % 2147483647) / 2147483647;

describe('the subnet of a new network', () => {
  test('is a private /28 that overlaps nothing that is used', () => {
    fc.assert(
      fc.property(fc.array(cidr), fc.array(cidr), fc.integer({ min: 1, max: 1e9 }), (used, host, seed) => {
        const picked = pickSubnet([...used, 'fd00::/64'], host, random(seed));
        expect(picked).toMatch(/^10\..*\/28$/);
        const [first, last] = rangeOf(picked);
        expect(first % 16).toBe(0);
        for (const [from, to] of [...used, ...host].map(rangeOf)) expect(last < from || first > to).toBe(true);
      }),
    );
  });

  test('comes from 172.16.0.0/12 where all of 10.0.0.0/8 is routed elsewhere', () => {
    const [first, last] = rangeOf(pickSubnet([], ['10.3.2.1/8'], random(7)));
    const [from, to] = rangeOf('172.16.0.0/12');
    expect(first >= from && last <= to).toBe(true);
  });

  test('cannot be found when everything is used', () => {
    expect(() => pickSubnet(['10.0.0.0/8'], ['172.16.0.0/12'], random(1))).toThrow(expect.objectContaining({ code: 'engine.failed' }));
  });

  test('two launches that pick the same one at once both get a network', async () => {
    const engine = fakeEngine();
    const same = () => [random(5), random(5)];
    const [one, two] = same();
    const blind = { ...engine, networkSubnets: async () => [] };
    const first = await createOwnNetwork(engine, { name: 'one', labels: {} }, one ?? Math.random);
    const second = await createOwnNetwork(blind, { name: 'two', labels: {} }, two ?? Math.random);
    expect(second.subnet).not.toBe(first.subnet);
    expect(engine.calls).toEqual(['createNetwork one', 'createNetwork two', 'createNetwork two']);
  });

  test('this machine\'s own addresses are known', async () => {
    expect(await hostSubnets()).toContain('127.0.0.1/8');
    for (const subnet of await hostSubnets()) expect(subnet).not.toMatch(/\/0$/);
  });
});
