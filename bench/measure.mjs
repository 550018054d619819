import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';

export const median = (/** @type {number[]} */ values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Milliseconds that `act` takes. */
export const time = async (/** @type {() => unknown} */ act) => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};

/**
 * Medians in milliseconds of several acts, run by turns. The first turn is not counted.
 * @param {number} turns
 * @param {Record<string, (turn: number) => number | Promise<number>>} acts each gives its own time
 * @returns {Promise<Record<string, number>>}
 */
export const interleave = async (turns, acts) => {
  const times = Object.fromEntries(Object.keys(acts).map((name) => [name, /** @type {number[]} */ ([])]));
  for (let turn = 0; turn <= turns; turn += 1) {
    for (const [name, act] of Object.entries(acts)) {
      const took = await act(turn);
      if (turn > 0) times[name].push(took);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
};

/** Runs a program to its end; throws with what it said when it fails. */
export const runQuietly = (/** @type {string} */ program, /** @type {string[]} */ args, /** @type {object} */ options = {}) => {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}\n${stderr}`);
  return stdout;
};

export const ratio = (/** @type {number} */ value, /** @type {number} */ floor) => `${(value / floor).toFixed(2)} ×`;
