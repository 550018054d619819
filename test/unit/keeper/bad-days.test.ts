/** Days on which everything goes wrong: whatever the server, the network, the disk and the clocks do, a login ends only when its token was really lost. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Send } from '../../../src/auth/kimi-requests.ts';
import { SendError } from '../../../src/auth/kimi-requests.ts';
import { createKeeper } from '../../../src/keeper/keeper.ts';
import { sendTo } from '../../fakes/kimi-client.ts';
import { makeClock, makeDayWorld, makeMortalDisk, runUntil, seeded } from '../../fakes/kimi-day.ts';
import type { Fault } from '../../fakes/kimi-faults.mjs';
import { makeKimi } from '../../fakes/kimi-server.mjs';

const DAYS = process.env.JACKIN_TEST_FULL === '1' ? 150 : 8;
const HOUR = 3600;
const HOURS = 4;
const CONTAINERS = ['jk-bad-1', 'jk-bad-2'];
const ROTATIONS = ['single-use', 'revokes-family', 'grace', 'non-rotating'] as const;
const FAULTS: Fault[] = [
  { do: 'delay', seconds: 5 },
  { do: 'status', status: 429, retryAfter: 40 },
  { do: 'status', status: 500 },
  { do: 'status', status: 502 },
  { do: 'status', status: 503 },
  { do: 'reset' },
];
/** With these the server has renewed the login, and nobody has what it gave. */
const LOSSES: Fault[] = [{ do: 'delay', seconds: 100 }, { do: 'reset after' }, { do: 'cut' }, { do: 'junk' }];

/** What was sent for each refresh token: when, and whether the answer said what is to become of it. */
const watchTokens = (send: Send, now: () => number) => {
  const sent = new Map<string, { at: number; final: boolean; refused: boolean }[]>();
  const newest = { refreshToken: '' };
  const watched: Send = async (request, signal) => {
    const token = new URLSearchParams(request.body).get('refresh_token');
    if (token === null) return send(request, signal);
    const entry = { at: now(), final: false, refused: false };
    sent.set(token, [...(sent.get(token) ?? []), entry]);
    const answer = await send(request, signal);
    const isWhole = answer.body.startsWith('{');
    entry.refused = answer.status === 400 && isWhole;
    entry.final = entry.refused || (answer.status === 200 && isWhole);
    if (answer.status === 200 && entry.final) newest.refreshToken = (JSON.parse(answer.body) as { refresh_token: string }).refresh_token;
    return answer;
  };
  return { sent, newest, watched };
};

interface Day {
  seed: number;
  rotation: (typeof ROTATIONS)[number];
  /** Answers of the server may be lost. */
  losses: boolean;
}

const live = async ({ seed, rotation, losses }: Day) => {
  const random = seeded(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const clock = makeClock();
  const world = await makeDayWorld(clock);
  try {
    const login = await world.writeLogin(world.loginDir);
    const kimi = makeKimi({ expiresIn: 900, rotation, graceSeconds: 24 * HOUR, oldTokenLives: random() < 0.5, clockOffset: pick([0, -7200, 7200]), logins: [login], now: clock.now });
    const network = { isDown: false };
    const reached = sendTo(kimi, clock.pass);
    const { sent, newest, watched } = watchTokens(async (request, signal) => {
      if (network.isDown) throw new SendError('no route', false);
      return reached(request, signal);
    }, clock.now);
    for (const name of CONTAINERS) await world.addInstance(name);

    const state = { deaths: 0, pairsLost: 0, asks: 0, isSick: false };
    const born = () => {
      const disk = makeMortalDisk();
      return { disk, keeper: createKeeper({ ...world.keeperOptions(watched, random), fs: disk.fs }) };
    };
    let current = born();
    /** A new pair that stands in no file is lost with the process that had it. */
    const replaceKeeper = async () => {
      state.deaths += 1;
      const dir = path.join(world.loginDir, 'credentials');
      const texts = await Promise.all((await readdir(dir)).map((name) => readFile(path.join(dir, name), 'utf8')));
      if (newest.refreshToken && !texts.some((text) => text.includes(newest.refreshToken))) state.pairsLost += 1;
      state.isSick = false;
      current = born();
    };
    /** A disk that is only full for a while kills nobody. */
    const buryTheDead = async () => {
      if (!current.disk.isDead() || state.isSick) return false;
      await replaceKeeper();
      return true;
    };
    const step = async () => {
      const wait = await current.keeper.step();
      return (await buryTheDead()) ? 1 : wait / 1000;
    };
    const spoil = async () => {
      const what = random();
      if (state.isSick) current.disk.heal();
      state.isSick = false;
      if (what < 0.45) kimi.schedule(...Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(losses && random() < 0.3 ? LOSSES : FAULTS)));
      else if (what < 0.6) network.isDown = !network.isDown;
      else if (what < 0.72) {
        state.isSick = random() < 0.5;
        current.disk.dieAfter(Math.floor(random() * 25));
      }
      else if (what < 0.75) await replaceKeeper();
      else if (what < 0.85) clock.at.wallAhead = pick([0, -2 * HOUR, 3 * HOUR, 30, -500]);
      else if (what < 0.9) {
        const hours = 1 + random() * 3;
        clock.pass(hours * HOUR);
        clock.at.slept += hours * HOUR;
      } else {
        state.asks += 1;
        await current.keeper.ensureFresh('work').catch(() => undefined);
        await buryTheDead();
      }
      return random() * 900;
    };
    await runUntil(clock, clock.start + HOURS * HOUR, [{ first: clock.start, act: step }, { first: clock.start + 300, act: spoil }]);

    kimi.calm();
    network.isDown = false;
    await replaceKeeper();
    await runUntil(clock, clock.now() + HOUR, [{ first: clock.now(), act: step }]);
    const [status] = (await current.keeper.status()).logins;
    const clients = CONTAINERS.map((name) => world.client(world.kimiHome(name), watched));
    const answers = await Promise.all(clients.map((client) => client.ask()));
    const hasTheNewest = (await readFile(path.join(world.loginDir, 'credentials', `${login.slot}.json`), 'utf8')).includes(newest.refreshToken || login.refreshToken);
    return { report: kimi.report(), status, answers, hasTheNewest, sent, state };
  } finally {
    await world.remove();
  }
};

const days = Array.from({ length: DAYS }, (_, at) => ({ seed: 100 + at, rotation: ROTATIONS[at % ROTATIONS.length]!, losses: at % 8 >= 4 }));

type Lived = Awaited<ReturnType<typeof live>>;

/** Who was told what becomes of a token does not send it again, unless it died of that; and nobody hurries. */
const expectPatience = ({ sent, state }: Lived): void => {
  let again = 0;
  for (const tries of sent.values()) {
    again += tries.filter((_, at) => tries.slice(0, at).some(({ final }) => final)).length;
    const hours = ((tries.at(-1)?.at ?? 0) - (tries[0]?.at ?? 0)) / HOUR;
    expect(tries.length).toBeLessThanOrEqual(12 + 15 * hours + 10 * state.deaths + state.asks);
  }
  expect(again).toBeLessThanOrEqual(state.deaths);
};

const expectLive = ({ status, answers, hasTheNewest }: Lived, { rotation }: Day): void => {
  expect(status).toMatchObject({ state: 'live', why: null });
  expect(answers).toEqual([undefined, undefined]);
  expect(hasTheNewest || rotation === 'non-rotating').toBe(true);
};

/** Only an answer that was lost ends a login, it is said, and that is that. */
const expectEnded = ({ status, sent, state }: Lived, { rotation, losses }: Day): void => {
  expect(losses || state.pairsLost > 0).toBe(true);
  expect(['single-use', 'revokes-family']).toContain(rotation);
  expect(status).toMatchObject({ state: 'ended', next_refresh_at: null });
  expect([...sent.values()].flat().filter(({ refused }) => refused).length).toBeLessThanOrEqual(1 + state.deaths);
};

test.each(days)('day $seed: $rotation, answers lost: $losses', { timeout: 60_000 }, async (day) => {
  const lived = await live(day);
  expect(lived.report.chains).toHaveLength(1);
  // Where a token is good for ever, it is sent for ever.
  if (day.rotation !== 'non-rotating') expectPatience(lived);
  const wasRefused = lived.report.rejected > 0;
  (wasRefused ? expectEnded : expectLive)(lived, day);
});
