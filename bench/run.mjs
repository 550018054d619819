// What jackin costs on top of what cannot be avoided, as ratios: bare times say
// more about the machine than about the program. The two sides of a ratio are
// run by turns, so that whatever else the machine does weighs on both.
//
//   npm run bench [-- start] [load] [prepare] [config] [handoff] [auth] [sessions] [--check]
//
// --check exits 1 when a budget is exceeded.
import process from 'node:process';
import { ensureBuild, ensureDependencies } from '../scripts/lib/setup.mjs';

const BENCHES = {
  start: () => import('./start.mjs'),
  load: () => import('./load.mjs'),
  prepare: () => import('./prepare.mjs'),
  config: () => import('./config.mjs'),
  handoff: () => import('./handoff.mjs'),
  auth: () => import('./auth-status.mjs'),
  sessions: () => import('./sessions.mjs'),
};

const asked = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const unknown = asked.find((name) => !(name in BENCHES));
if (unknown) throw new Error(`there is no benchmark ${unknown}; there are ${Object.keys(BENCHES).join(', ')}`);

await ensureDependencies();
await ensureBuild();
let isWithin = true;
for (const [name, load] of Object.entries(BENCHES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const { measure } = await load();
  for (const { what, value, budget } of await measure()) {
    const isOver = budget !== undefined && budget.isExceeded;
    if (isOver) isWithin = false;
    const verdict = budget === undefined ? '' : `   budget ${budget.text}: ${isOver ? 'EXCEEDED' : 'kept'}`;
    console.log(`${name.padEnd(8)} ${what.padEnd(52)} ${value}${verdict}`);
  }
}
process.exitCode = !isWithin && process.argv.includes('--check') ? 1 : 0;
