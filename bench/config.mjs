// What many workspaces cost: to a launch that uses one of them, to a list and to a check of all.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { makeSandbox, removeSandbox, writeConfig } from '../scripts/lib/sandbox.mjs';
import { interleave, ratio, runQuietly, time } from './measure.mjs';

const TURNS = 9;
const COUNTS = [1, 250, 500, 1000];
const MOST = 1000;
const LIST_BUDGET_MS = 150;
/** Twice the files may take twice the time, and what a noisy machine adds. */
const GROWTH_BUDGET = 2.6;
const AGENTS = ['claude', 'codex', 'amp', 'kimi', 'opencode'];
const ROLES = 10;

/** A workspace that says something about every agent, and about ten roles. */
const workspaceText = (/** @type {string} */ project) => {
  const agents = AGENTS.map((slug) => `[${slug}]\nauth_forward = "sync"\n`);
  const roles = Array.from({ length: ROLES }, (_, n) => `[roles.role-${n}.kimi]\nauth_forward = "ignore" # not here\n`);
  return [`version = "v1alpha6"\nworkdir = "${project}"\n`, `[[mounts]]\nsrc = "${project}"\ndst = "${project}"\n`, ...agents, ...roles].join('\n');
};

const makePlace = async (/** @type {number} */ workspaces) => {
  const sandbox = await makeSandbox('bench');
  await writeConfig(sandbox, '');
  const dir = path.join(sandbox.dirs.config, 'workspaces');
  await mkdir(dir, { recursive: true });
  const text = workspaceText(sandbox.dirs.project);
  for (let n = 0; n < workspaces; n += 1) await writeFile(path.join(dir, `project-${n}.toml`), text);
  return sandbox;
};

/** @typedef {import('../scripts/lib/sandbox.mjs').Sandbox} Sandbox */

const run = ({ cli, env, dirs }, /** @type {string[]} */ ...args) =>
  time(() => runQuietly(process.execPath, [cli, ...args], { env, cwd: dirs.project }));

/**
 * Milliseconds of a command for each number of workspaces, above those of `--version`: of the
 * fastest run each, which is the one that the rest of the machine disturbed least.
 */
const growthOf = async (/** @type {Map<number, Sandbox>} */ places, /** @type {string[]} */ args) => {
  const fastest = new Map();
  const noting = (/** @type {number} */ count, /** @type {string[]} */ ...words) => async () => {
    const took = await run(places.get(count || 1), ...words);
    fastest.set(count, Math.min(took, fastest.get(count) ?? Infinity));
    return took;
  };
  const acts = Object.fromEntries(COUNTS.map((count) => [`${count}`, noting(count, ...args)]));
  await interleave(TURNS, { start: noting(0, '--version'), ...acts });
  return new Map(COUNTS.map((count) => [count, fastest.get(count) - fastest.get(0)]));
};

const steps = (/** @type {Map<number, number>} */ above) => [...above].map(([count, ms]) => `${count}: ${ms.toFixed(0)}`).join(', ');

const measureLaunch = async (/** @type {Map<number, Sandbox>} */ places) => {
  const args = ['load', 'agent-smith', 'project-0', '--agent', 'kimi', '--dry-run', '--format', 'json'];
  const times = await interleave(TURNS, { one: () => run(places.get(1), ...args), many: () => run(places.get(MOST), ...args) });
  return { what: `load --dry-run with ${MOST} workspaces against 1`, value: ratio(times.many, times.one), budget: { text: '1.2 ×', isExceeded: times.many > 1.2 * times.one } };
};

const measureList = async (/** @type {Map<number, Sandbox>} */ places) => {
  const above = await growthOf(places, ['workspace', 'list']);
  const isExceeded = above.get(MOST) > LIST_BUDGET_MS;
  return { what: 'workspace list, ms above --version by workspaces', value: steps(above), budget: { text: `${LIST_BUDGET_MS} ms for ${MOST}`, isExceeded } };
};

const measureValidate = async (/** @type {Map<number, Sandbox>} */ places) => {
  const above = await growthOf(places, ['config', 'validate']);
  const growth = (above.get(MOST) - above.get(1)) / (above.get(MOST / 2) - above.get(1));
  return {
    what: 'config validate, ms above --version by workspaces',
    value: `${steps(above)}; twice as many take ${growth.toFixed(2)} ×`,
    budget: { text: `${GROWTH_BUDGET} ×`, isExceeded: growth > GROWTH_BUDGET },
  };
};

export const measure = async () => {
  const places = new Map();
  try {
    for (const count of COUNTS) places.set(count, await makePlace(count));
    return [await measureLaunch(places), await measureList(places), await measureValidate(places)];
  } finally {
    for (const sandbox of places.values()) await removeSandbox(sandbox);
  }
};
