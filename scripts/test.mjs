// Runs the tests and says at the very end how many passed and failed.
//
//   npm test [-- --full] [-- any argument of vitest]
//
// --full runs the long suites whole; without it they take a seeded sample.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { bin, ensureBuild, ensureDependencies, ensureEngine, run } from './lib/setup.mjs';

const NEEDS_ENGINE = ['contract', 'e2e'];
const PROJECTS = ['unit', 'cli', ...NEEDS_ENGINE];

const args = process.argv.slice(2).filter((arg) => arg !== '--full');
const isFull = process.argv.includes('--full');
const chosen = args.flatMap((arg, at) => {
  if (arg.startsWith('--project=')) return [arg.slice('--project='.length)];
  return arg === '--project' ? [args[at + 1]] : [];
});
const projects = chosen.length > 0 ? chosen : PROJECTS;

/** Counts a test file that could not even be loaded as one failed test. */
const countTests = (report) => {
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
};

const runVitest = async () => {
  const temp = await mkdtemp(path.join(os.tmpdir(), 'jackin-test-'));
  try {
    const file = path.join(temp, 'report.json');
    const defaults = chosen.length > 0 ? [] : PROJECTS.map((project) => `--project=${project}`);
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const env = { ...process.env, ...(isFull && { JACKIN_TEST_FULL: '1' }) };
    const code = await run(bin('vitest'), ['run', ...reporters, ...defaults, ...args], { env });
    const report = await readFile(file, 'utf8').then(JSON.parse, () => undefined);
    return { code, counts: report ? countTests(report) : { passed: 0, failed: 0, skipped: 0 } };
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
};

const main = async () => {
  await ensureDependencies();
  const stopEngine = projects.some((project) => NEEDS_ENGINE.includes(project)) ? await ensureEngine() : async () => {};
  try {
    await ensureBuild();
    const { code, counts } = await runVitest();
    const { passed, skipped } = counts;
    let { failed } = counts;
    if (failed === 0 && (code !== 0 || passed === 0)) {
      failed = 1;
      console.error(passed === 0 ? 'No test ran.' : `vitest failed outside of every test (exit ${code}).`);
    }
    return { passed, failed, skipped };
  } finally {
    await stopEngine();
  }
};

// Ctrl-C reaches vitest as well; this process stays to stop what it has started.
process.on('SIGINT', () => {});

const { passed, failed, skipped } = await main().catch((error) => {
  console.error(`Tests could not run: ${error.message}`);
  return { passed: 0, failed: 1, skipped: 0 };
});
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;
