/** Whole days of one login: nobody is ever logged out, however many use it. */
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createKeeper } from '../../../src/keeper/keeper.ts';
import { sendTo } from '../../fakes/kimi-client.ts';
import { makeClock, makeDayWorld, runUntil, seeded } from '../../fakes/kimi-day.ts';
import { makeKimi } from '../../fakes/kimi-server.mjs';

const FULL = process.env.JACKIN_TEST_FULL === '1';
const HOUR = 3600;
/** The rest of the day is more of the same. */
const HOURS = FULL ? 24 : 6;
const CONTAINERS = 50;
/** The hardest server: what it ever takes back, it takes back from everybody. */
const STRICT = { expiresIn: 900, rotation: 'revokes-family' } as const;

let clock: ReturnType<typeof makeClock>;
let world: Awaited<ReturnType<typeof makeDayWorld>>;

beforeEach(async () => {
  clock = makeClock();
  world = await makeDayWorld(clock);
});

afterEach(() => world.remove());

const names = Array.from({ length: CONTAINERS }, (_, at) => `jk-day-${at}`);

describe(`${HOURS} hours, 50 containers and a kimi on the host`, { timeout: 300_000 }, () => {
  test('on one login of jackin’s own: every request is served, nobody is logged out, nothing is renewed in vain', async () => {
    const random = seeded(1);
    const login = await world.writeLogin(world.loginDir);
    const hostHome = path.join(world.paths.dataDir, '../kimi-of-the-host');
    const hosts = await world.writeLogin(hostHome);
    const kimi = makeKimi({ ...STRICT, logins: [login, hosts], now: clock.now });
    const send = sendTo(kimi, clock.pass);
    for (const name of names) await world.addInstance(name);
    const keeper = createKeeper(world.keeperOptions(send, random, FULL));
    const clients = [hostHome, ...names.map(world.kimiHome)].map((home) => world.client(home, send));
    const failures: string[] = [];
    let requests = 0;

    const users = clients.map((client) => ({
      first: clock.start + random() * 600,
      act: async () => {
        requests += 1;
        const failure = await client.ask();
        if (failure) failures.push(failure);
        return random() * 1200;
      },
    }));
    await runUntil(clock, clock.start + HOURS * HOUR, [{ first: clock.start, act: async () => (await keeper.step()) / 1000 }, ...users]);

    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(CONTAINERS * HOURS * 5);
    const { rejected, chains } = kimi.report();
    expect(rejected).toBe(0);
    expect(chains.map(({ live }) => live)).toEqual([true, true]);
    for (const client of clients) expect(await client.isLoggedOut()).toBe(false);
    for (const name of names) expect(await world.credentialOf(name)).toMatchObject({ refresh_token: '', expires_at: 0 });
    const least = (HOURS * HOUR) / (STRICT.expiresIn / 2);
    expect(chains[0]?.refreshes).toBeGreaterThanOrEqual(least - 1);
    expect(chains[0]?.refreshes).toBeLessThanOrEqual(least + 2);
  });

  test('on copies of one login: they log each other out', async () => {
    const random = seeded(2);
    const hostHome = path.join(world.paths.dataDir, '../kimi-of-the-host');
    const kimi = makeKimi({ ...STRICT, logins: [await world.writeLogin(hostHome)], now: clock.now });
    const send = sendTo(kimi, clock.pass);
    for (const name of names) await cp(hostHome, world.kimiHome(name), { recursive: true });
    const clients = [hostHome, ...names.map(world.kimiHome)].map((home) => world.client(home, send));
    const users = clients.map((client) => ({
      first: clock.start + random() * 600,
      act: async () => {
        await client.ask();
        return random() * 1200;
      },
    }));
    await runUntil(clock, clock.start + 2 * HOUR, users);

    expect(kimi.report()).toMatchObject({ live: 0, chains: [{ live: false }] });
    expect(kimi.report().rejected).toBeGreaterThan(0);
    const loggedOut = await Promise.all(clients.map((client) => client.isLoggedOut()));
    expect(loggedOut.filter(Boolean)).toHaveLength(CONTAINERS + 1);
  });
});
