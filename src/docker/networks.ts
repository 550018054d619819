import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { JackinError } from '../shared/errors.ts';
import type { Engine, Labels } from './engine.ts';

/** Sixteen addresses: the engine's own pools give 65,536 to each network, and are used up after about thirty. */
const PREFIX = 28;
const POOLS = ['10.0.0.0/8', '172.16.0.0/12'];
const TRIES_PER_POOL = 200;
const CREATE_TRIES = 5;

/** First and last address, as numbers. */
type Range = readonly [first: number, last: number];

const rangeOf = (cidr: string): Range | undefined => {
  const [, a, b, c, d, bits] = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr) ?? [];
  if (bits === undefined) return undefined;
  const address = ((Number(a) * 256 + Number(b)) * 256 + Number(c)) * 256 + Number(d);
  const size = 2 ** (32 - Number(bits));
  const first = address - (address % size);
  return [first, first + size - 1];
};

const overlap = (one: Range, other: Range): boolean => one[0] <= other[1] && other[0] <= one[1];

const cidrOf = (first: number): string =>
  `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')}/${PREFIX}`;

/**
 * A private /28 that overlaps none of the subnets that the engine uses and none that
 * the host reaches otherwise (CIDR; IPv6 is passed over). `random` gives [0, 1).
 * Throws `engine.failed` when there is none to be found.
 */
export const pickSubnet = (used: readonly string[], hostAddresses: readonly string[], random: () => number): string => {
  const taken = [...used, ...hostAddresses].flatMap((cidr) => {
    const range = rangeOf(cidr);
    return range === undefined ? [] : [range];
  });
  for (const pool of POOLS) {
    const [first, last] = rangeOf(pool) ?? [0, 0];
    const size = 2 ** (32 - PREFIX);
    for (let tries = 0; tries < TRIES_PER_POOL; tries += 1) {
      const start = first + Math.floor(random() * ((last - first + 1) / size)) * size;
      const candidate: Range = [start, start + size - 1];
      if (!taken.some((range) => overlap(range, candidate))) return cidrOf(start);
    }
  }
  throw new JackinError('engine.failed', 'there is no free private subnet for a network', {
    hint: 'remove networks that are no longer needed (docker network prune)',
  });
};

/** One line of /proc/net/route: destination and mask are little-endian hex. The default route is no subnet. */
const routeSubnet = (line: string): string[] => {
  const [, destination = '', , , , , , mask = ''] = line.split(/\s+/);
  if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask) || Number.parseInt(mask, 16) === 0) return [];
  const address = destination.match(/../g)?.reverse().map((byte) => Number.parseInt(byte, 16)) ?? [];
  const bits = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length;
  return [`${address.join('.')}/${bits}`];
};

/** The subnets that this machine is in or has a route to. */
export const hostSubnets = async (): Promise<string[]> => {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).flatMap(({ cidr }) => cidr ?? []));
  const routes = await readFile('/proc/net/route', 'utf8').catch(() => '');
  return [...addresses, ...routes.split('\n').slice(1).flatMap(routeSubnet)];
};

/** Makes a network with a small subnet of its own; another launch may take the same one at the same moment. */
export const createOwnNetwork = async (
  engine: Engine,
  network: { name: string; labels: Labels },
  random: () => number,
): Promise<{ subnet: string }> => {
  for (let tries = 0; tries < CREATE_TRIES; tries += 1) {
    const subnet = pickSubnet(await engine.networkSubnets(), await hostSubnets(), random);
    if ((await engine.createNetwork({ ...network, subnet })) === 'created') return { subnet };
  }
  throw new JackinError('engine.failed', `creating network ${network.name}: every subnet that was tried overlaps another one`);
};
