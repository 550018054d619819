import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AGENT_SLUGS, AGENTS, type AgentSlug, type AuthMode } from '../../../src/agents/agents.ts';
import { provisionHandoff } from '../../../src/auth/handoff.ts';
import { sessionEnvironment } from '../../../src/capsule/environment.ts';
import { prepareHome } from '../../../src/capsule/home/prepare.ts';
import type { Deps } from '../../../src/launch/deps.ts';
import { readHandedOver } from '../../../src/launch/deliver.ts';
import type { LaunchPlan } from '../../../src/plan/plan.ts';
import { makeTemporaryDir } from '../../fixtures/kimi/tree.ts';
import { type Condition, FORMS, loginNumber, NOW, writeHostLogin } from '../../fixtures/logins/logins.ts';

/**
 * Every agent, in every mode, with every kind of host login, at a first start and
 * at those that follow: what would the agent in the container use? The host side
 * and the container side are the real ones; only the engine between them is not.
 */

const ME = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

let root: string;
let host: string;
let home: string;

beforeEach(async () => {
  root = await makeTemporaryDir();
  host = path.join(root, 'host');
  home = path.join(root, 'home');
});

afterEach(() => rm(root, { recursive: true }));

/** One start of the container: what the host hands over, then what the capsule makes of it. */
const start = async (agent: AgentSlug, mode: AuthMode): Promise<void> => {
  const auth = { agent, mode, source_dir: null, pinned_account: null };
  const deps = { home: host, env: {}, uid: ME.uid, now: () => NOW };
  const plan = { auth: [auth], github: { mode: 'ignore' } } as unknown as LaunchPlan;
  const { logins } = await readHandedOver(plan, undefined, deps as unknown as Deps, () => undefined);
  await provisionHandoff(path.join(root, 'handoff'), logins, ME);
  const roots = { home, handoff: path.join(root, 'handoff'), state: path.join(root, 'state'), defaultHome: path.join(root, 'none') };
  await prepareHome({ workdir: '/srv/app', agents: [{ slug: agent, mode }] }, roots, NOW);
};

/** The number of the login, or the name of the key, that the agent would use; undefined: it starts logged out. */
const used = async (agent: AgentSlug, mode: AuthMode): Promise<number | string | undefined> => {
  const key = AGENTS[agent].keys[mode];
  const keys = key === undefined ? {} : { [agent]: { [key]: 'fake-key' } };
  const env = sessionEnvironment({}, { env: {}, keys }, { id: `${agent}-1`, agent, cwd: '/', io: 'pty' }, home);
  const inside = await loginNumber(home, agent);
  if (key === undefined) return inside;
  // A key counts only when no login stands in its way.
  expect(inside).toBeUndefined();
  const alias = AGENTS[agent].runtime.keyAliases?.[key] ?? key;
  return env[alias] === 'fake-key' ? key : undefined;
};

const CONDITIONS: Condition[] = ['live', 'expired', 'dead', 'absent'];
const works = (condition: Condition): boolean => condition === 'live' || condition === 'expired';

const cases = AGENT_SLUGS.flatMap((agent) =>
  CONDITIONS.filter((condition) => condition !== 'expired' || FORMS[agent].expires).map((condition) => ({ agent, condition })),
);
const keyModes = (agent: AgentSlug): AuthMode[] => AGENTS[agent].modes.filter((mode) => mode !== 'sync');

describe.each(cases)('$agent with a login that is $condition on the host', ({ agent, condition }) => {
  test('copied at a first launch', async () => {
    await writeHostLogin(host, agent, 1, condition);
    await start(agent, 'sync');
    expect(await used(agent, 'sync')).toBe(works(condition) ? 1 : undefined);
  });

  test('started again after the host has got this one instead of an older one', async () => {
    await writeHostLogin(host, agent, 1, 'live');
    await start(agent, 'sync');
    await writeHostLogin(host, agent, 2, condition);
    await start(agent, 'sync');
    expect(await used(agent, 'sync')).toBe(works(condition) ? 2 : 1);
  });

  test('started again after the agent has renewed its login inside', async () => {
    await writeHostLogin(host, agent, 1, condition);
    await start(agent, 'sync');
    await writeHostLogin(home, agent, 3, 'live');
    await start(agent, 'sync');
    expect(await used(agent, 'sync')).toBe(3);
  });

  test.each(keyModes(agent))('with mode %s, at once and after it was copied, and copied again', async (mode) => {
    await writeHostLogin(host, agent, 1, condition);
    await start(agent, mode);
    const key = AGENTS[agent].keys[mode];
    expect(await used(agent, mode)).toBe(key);
    expect(await handedOver()).toEqual([]);

    await start(agent, 'sync');
    await start(agent, mode);
    expect(await used(agent, mode)).toBe(key);
    expect(await handedOver()).toEqual([]);

    await start(agent, 'sync');
    expect(await used(agent, 'sync')).toBe(works(condition) ? 1 : undefined);
  });
});

/** Files below the current generation of the handoff. */
const handedOver = async (): Promise<string[]> => {
  const entries = await readdir(path.join(root, 'handoff/current'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
};
