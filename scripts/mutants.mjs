// Breaks the code on purpose, one patch at a time, in a throwaway copy of the
// tree, and sees whether the tests named in the patch notice.
//
//   npm run mutants [name…]     run all, or those whose file name contains a name
//   npm run mutants -- --check  only see that every patch still applies
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { bin, root } from './lib/setup.mjs';

const patches = path.join(root, 'test/mutants');
const COPIED = [
  'src', 'test', 'roles', 'construct', 'schemas', 'scripts', 'package.json', 'tsconfig.json', 'vitest.config.ts',
];

const readMutant = async (/** @type {string} */ file) => {
  const text = await readFile(path.join(patches, file), 'utf8');
  const header = (/** @type {string} */ key) =>
    [...text.matchAll(new RegExp(`^# ${key}: (.+)$`, 'gm'))].flatMap(([, value = '']) => value.trim().split(/\s+/));
  const mutant = { name: file.replace(/\.patch$/, ''), property: header('property').join(), tests: header('test') };
  if (!mutant.property || mutant.tests.length === 0) {
    throw new Error(`test/mutants/${file} needs the lines "# property: N" and "# test: path"`);
  }
  return { ...mutant, file: path.join(patches, file) };
};

const makeCopy = async () => {
  const copy = await mkdtemp(path.join(os.tmpdir(), 'jackin-mutants-'));
  for (const name of COPIED) await cp(path.join(root, name), path.join(copy, name), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
  return copy;
};

/** True when the patch went in, or with `--reverse` out, as a whole. */
const patch = (/** @type {string} */ copy, /** @type {string} */ file, /** @type {string[]} */ ...flags) => {
  // Outside of any repository, so that git looks at plain files.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(copy) };
  const applied = spawnSync('git', ['apply', '--unidiff-zero', ...flags, file], { cwd: copy, env, stdio: 'ignore' });
  if (applied.error) throw new Error('git is needed to apply patches', { cause: applied.error });
  return applied.status === 0;
};

const runTests = (/** @type {string} */ copy, /** @type {string[]} */ tests) => {
  const options = { cwd: copy, encoding: /** @type {const} */ ('utf8'), timeout: 600_000 };
  const { status, stdout, stderr } = spawnSync(bin('vitest'), ['run', ...tests], options);
  return { passed: status === 0, output: `${stdout}${stderr}` };
};

/** What became of one mutant: `caught` is the only good answer. */
const tryMutant = (/** @type {string} */ copy, /** @type {Awaited<ReturnType<typeof readMutant>>} */ mutant) => {
  const before = runTests(copy, mutant.tests);
  if (!before.passed) return { verdict: 'its tests fail without it', output: before.output };
  if (!patch(copy, mutant.file)) return { verdict: 'does not apply' };
  const { passed } = runTests(copy, mutant.tests);
  if (!patch(copy, mutant.file, '--reverse')) throw new Error(`${mutant.name} cannot be taken out again`);
  return { verdict: passed ? 'NOT CAUGHT' : 'caught' };
};

const isCheck = process.argv.includes('--check');
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const names = (await readdir(patches)).filter((file) => file.endsWith('.patch')).sort();
const mutants = await Promise.all(
  names.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part))).map(readMutant),
);

let failed = 0;
const copy = await makeCopy();
try {
  for (const mutant of mutants) {
    const checked = () => ({ verdict: patch(copy, mutant.file, '--check') ? 'applies' : 'does not apply', output: '' });
    const { verdict, output } = isCheck ? checked() : tryMutant(copy, mutant);
    const isGood = verdict === 'caught' || verdict === 'applies';
    if (!isGood) failed += 1;
    console.log(`${mutant.property.padStart(4)}  ${mutant.name.padEnd(48)} ${verdict}`);
    if (!isGood && output) console.error(output);
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(`${mutants.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 && (mutants.length > 0 || wanted.length === 0) ? 0 : 1;
