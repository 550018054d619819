// Breaks the code on purpose, one patch at a time, in throwaway copies of the
// tree, and sees whether the tests named in the patch notice.
//
//   npm run mutants [name…]     run all, or those whose file name contains a name or begins with a number
//   npm run mutants -- --check  only see that every patch still applies
import { spawn } from 'node:child_process';
import { access, chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { bin, root } from './lib/setup.mjs';

if (process.argv.includes('--help')) {
  console.log('npm run mutants [-- name…]   run all, or those whose file name contains a name or begins with a number\nnpm run mutants -- --check   only see that every patch still applies');
  process.exit(0);
}

const patches = path.join(root, 'test/mutants');
const COPIED = [
  'src', 'test', 'roles', 'construct', 'schemas', 'scripts', 'package.json', 'tsconfig.json', 'vitest.config.ts',
];
/** The tests of one mutant together; one that makes them hang is not a good one. */
const LIMIT_MS = 120_000;
/** All tests without any mutant, on a machine that may be slow. */
const WHOLE_LIMIT_MS = 900_000;

/** @typedef {{ name: string, property: string, tests: string[], only: string | undefined, file: string }} Mutant */

/** @returns {Promise<Mutant>} */
const readMutant = async (/** @type {string} */ name) => {
  const file = path.join(patches, name);
  const text = await readFile(file, 'utf8');
  const header = (/** @type {string} */ key) => [...text.matchAll(new RegExp(`^# ${key}: (.+)$`, 'gm'))].map(([, value = '']) => value.trim());
  const [property = ''] = header('property');
  const tests = header('test');
  if (property !== (/^\d+/.exec(name)?.[0] ?? '-') || tests.length === 0) {
    throw new Error(`test/mutants/${name} needs the lines "# property: N", N as in its name, and "# test: path"`);
  }
  for (const test of tests) await access(path.join(root, test));
  return { name: name.replace(/\.patch$/, ''), property, tests, only: header('only')[0], file };
};

/** Runs a program to its end, at most for the limit; -1 when it was killed. Says nothing. */
const run = (/** @type {string} */ program, /** @type {string[]} */ args, /** @type {string} */ cwd, limit = LIMIT_MS) =>
  /** @type {Promise<number>} */ (
    new Promise((resolve, reject) => {
      // Outside of any repository, so that git looks at plain files; and what tests leave behind that are cut short goes with the copy.
      const env = { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(cwd), ...(cwd !== root && { TMPDIR: path.join(cwd, 'tmp') }) };
      const child = spawn(program, args, { cwd, env, stdio: 'ignore', timeout: limit, killSignal: 'SIGKILL' });
      child.on('error', reject);
      child.on('close', (code) => resolve(code ?? -1));
    })
  );

/** True when the patch goes in, or with `--reverse` out, as a whole. */
const patch = async (/** @type {string} */ tree, /** @type {string} */ file, /** @type {string[]} */ ...flags) =>
  (await run('git', ['apply', '--unidiff-zero', ...flags, file], tree)) === 0;

const makeCopy = async () => {
  const copy = await mkdtemp(path.join(os.tmpdir(), 'jackin-mutants-'));
  // Some tests that root runs become somebody else, who must get at their files below.
  await chmod(copy, 0o755);
  for (const name of COPIED) await cp(path.join(root, name), path.join(copy, name), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  await mkdir(path.join(copy, 'tmp'));
  return copy;
};

/**
 * What became of the tests in these files: full names that passed and that
 * failed, and files that could not even be loaded.
 */
const runTests = async (/** @type {string} */ copy, /** @type {string[]} */ files, /** @type {string[]} */ flags, limit = LIMIT_MS) => {
  const output = path.join(copy, 'report.json');
  await rm(output, { force: true });
  await run(bin('vitest'), ['run', '--no-cache', '--reporter=json', `--outputFile=${output}`, ...flags, ...files], copy, limit);
  const report = await readFile(output, 'utf8').then(JSON.parse, () => ({ testResults: [] }));
  /** @type {{ status: string, name: string, assertionResults: { status: string, fullName: string }[] }[]} */
  const results = report.testResults;
  const named = (/** @type {string} */ status) =>
    results.flatMap(({ assertionResults }) => assertionResults.filter((test) => test.status === status).map(({ fullName }) => fullName));
  const unloadable = results.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  return { passed: named('passed'), failed: named('failed'), unloadable: unloadable.map(({ name }) => path.relative(copy, name)) };
};

/**
 * What became of one mutant: `caught` is the only good answer, and needs a test
 * that passes without the patch and fails with it.
 */
const tryMutant = async (/** @type {string} */ copy, /** @type {Mutant} */ mutant, /** @type {Set<string>} */ good) => {
  if (!(await patch(copy, mutant.file))) return { verdict: 'DOES NOT APPLY', by: '' };
  const only = mutant.only === undefined ? [] : ['-t', mutant.only];
  const { passed, failed, unloadable } = await runTests(copy, mutant.tests, ['--bail=1', ...only]);
  if (!(await patch(copy, mutant.file, '--reverse'))) throw new Error(`${mutant.name} cannot be taken out again`);
  const [by] = failed.filter((test) => good.has(test));
  if (by !== undefined) return { verdict: 'caught', by };
  if (unloadable.length > 0) return { verdict: 'BREAKS THE TEST FILE', by: unloadable.join() };
  if (failed.length > 0) return { verdict: 'ITS TEST FAILS WITHOUT IT', by: failed.join() };
  return { verdict: passed.length > 0 ? 'NOT CAUGHT' : 'NO TEST RAN', by: '' };
};

/**
 * Full names of the tests that pass without any mutant. Of a file from which every
 * mutant needs only some tests, only those run: the others are the slow ones.
 */
const passingTests = async (/** @type {string[]} */ copies, /** @type {Mutant[]} */ mutants) => {
  const whole = new Set(mutants.filter(({ only }) => only === undefined).flatMap(({ tests }) => tests));
  const parts = mutants.filter(({ only, tests }) => only !== undefined && !tests.every((test) => whole.has(test)));
  const some = new Set(parts.flatMap(({ tests }) => tests).filter((test) => !whole.has(test)));
  const pattern = parts.map(({ only }) => only).join('|');
  const results = await Promise.all([
    whole.size === 0 ? undefined : runTests(copies[0] ?? '', [...whole], [], WHOLE_LIMIT_MS),
    some.size === 0 ? undefined : runTests(copies[1] ?? '', [...some], ['-t', pattern], WHOLE_LIMIT_MS),
  ]);
  return new Set(results.flatMap((result) => result?.passed ?? []));
};

const say = (/** @type {Mutant} */ { property, name }, /** @type {string} */ verdict, by = '') =>
  console.log(`${property.padStart(3)}  ${name.padEnd(34)} ${verdict}${by === '' ? '' : `: ${by}`}`);

const checkAll = async (/** @type {Mutant[]} */ mutants) => {
  let failed = 0;
  for (const mutant of mutants) {
    if (await patch(root, mutant.file, '--check')) continue;
    failed += 1;
    say(mutant, 'DOES NOT APPLY');
  }
  return failed;
};

const tryAll = async (/** @type {Mutant[]} */ mutants) => {
  const copies = await Promise.all([makeCopy(), makeCopy()]);
  // Each vitest that runs hears a Ctrl-C too; what is left to do here is to remove the copies.
  const stopped = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stopped.abort());
  let failed = 0;
  try {
    console.log('running the tests without a mutant');
    const good = await passingTests(copies, mutants);
    const queue = [...mutants];
    const work = async (/** @type {string} */ copy) => {
      for (let mutant = queue.shift(); mutant !== undefined && !stopped.signal.aborted; mutant = queue.shift()) {
        const { verdict, by } = await tryMutant(copy, mutant, good);
        if (verdict !== 'caught') failed += 1;
        say(mutant, verdict, by);
      }
    };
    await Promise.all(copies.map(work));
  } finally {
    await Promise.all(copies.map((copy) => rm(copy, { recursive: true, force: true })));
  }
  stopped.signal.throwIfAborted();
  return failed;
};

const isCheck = process.argv.includes('--check');
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const names = (await readdir(patches)).filter((file) => file.endsWith('.patch'));
const byNumber = new Intl.Collator('en', { numeric: true }).compare;
// A number is that of the promise: `2-` does not mean `12-`.
const isWanted = (/** @type {string} */ name) => wanted.some((part) => (/^\d/.test(part) ? name.startsWith(part) : name.includes(part)));
const chosen = names.filter((name) => wanted.length === 0 || isWanted(name)).sort(byNumber);
const mutants = await Promise.all(chosen.map(readMutant));

const failed = await (isCheck ? checkAll(mutants) : tryAll(mutants));
console.log(`${mutants.length - failed} ${isCheck ? 'apply' : 'caught'}, ${failed} failed`);
process.exitCode = failed === 0 && mutants.length > 0 ? 0 : 1;
