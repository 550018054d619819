// Everything that can be said about the code without running it. Every check
// runs, then the ones that failed are named. Installs nothing.
import process from 'node:process';
import { bin, ensureBuild, run } from './lib/setup.mjs';
import { checkPackage } from './lib/package-contents.mjs';

/** @type {[string, () => Promise<number>][]} */
const CHECKS = [
  ['types', () => run(bin('tsc'), ['--noEmit'])],
  ['lint', () => run(bin('oxlint'), ['--type-aware', '--deny-warnings'])],
  ['unused code', () => run(bin('knip'), ['--no-progress'])],
  ['schemas', () => run(process.execPath, ['scripts/schemas.mjs', '--check'])],
  ['mutants apply', () => run(process.execPath, ['scripts/mutants.mjs', '--check'])],
  ['package contents', async () => {
    await ensureBuild();
    const problems = await checkPackage();
    for (const problem of problems) console.error(problem);
    return problems.length;
  }],
];

const failed = [];
for (const [name, check] of CHECKS) {
  console.log(`— ${name}`);
  const code = await check().catch((error) => {
    console.error(error.message);
    return 1;
  });
  if (code !== 0) failed.push(name);
}
console.log(failed.length === 0 ? 'Every check passed.' : `Failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
