// How long `jackin --help` takes to say it, against a Node that does nothing.
import path from 'node:path';
import process from 'node:process';
import { root } from '../scripts/lib/setup.mjs';
import { interleave, ratio, runQuietly, time } from './measure.mjs';

const TURNS = 20;
const BUDGET_MS = 30;

export const measure = async () => {
  const cli = path.join(root, 'dist/main.js');
  // Extra certificates cost some Node versions more at every start than anything here.
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const node = (/** @type {string[]} */ ...args) => time(() => runQuietly(process.execPath, args, { env }));
  const times = await interleave(TURNS, {
    bare: () => node('-e', '0'),
    help: () => node(cli, '--help'),
    version: () => node(cli, '--version'),
  });
  return ['help', 'version'].map((flag) => {
    const above = times[flag] - times.bare;
    return {
      what: `--${flag} against node -e 0, median of ${TURNS}`,
      value: `${ratio(times[flag], times.bare)} (${above.toFixed(1)} ms above)`,
      budget: { text: `${BUDGET_MS} ms above`, isExceeded: above > BUDGET_MS },
    };
  });
};
