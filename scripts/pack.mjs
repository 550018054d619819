// Makes the package that is published: builds it, adds the PTY module of the
// architecture that npm did not install here, checks the contents, packs.
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { checkPackage } from './lib/package-contents.mjs';
import { ensureDependencies, root, run } from './lib/setup.mjs';

const ARCHITECTURES = ['x64', 'arm64'];

/** Fetches one package as npm would install it: the version and the digest are those of the lock file. */
const addPtyModule = async (/** @type {string} */ arch) => {
  const name = `@lydell/node-pty-linux-${arch}`;
  const lock = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8'));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  const temp = await mkdtemp(path.join(os.tmpdir(), 'jackin-pack-'));
  try {
    const { stdout } = await promisify(execFile)('npm', ['pack', `${name}@${version}`, '--json'], { cwd: temp });
    const [packed] = JSON.parse(stdout);
    if (packed.integrity !== integrity) throw new Error(`${name}@${version} is not what the lock file names`);
    await promisify(execFile)('tar', ['-xzf', packed.filename], { cwd: temp });
    await copyFile(path.join(temp, 'package/pty.node'), path.join(root, 'dist/capsule', `pty-${arch}.node`));
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
};

await ensureDependencies();
let code = await run(process.execPath, ['scripts/build.mjs']);
if (code === 0) {
  for (const arch of ARCHITECTURES) await addPtyModule(arch);
  const problems = await checkPackage();
  for (const problem of problems) console.error(problem);
  code = problems.length > 0 ? 1 : await run('npm', ['pack', '--ignore-scripts']);
}
process.exitCode = code;
