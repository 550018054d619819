// What a person gets who installs the package, held against what was promised.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { root } from './setup.mjs';

const MAX_BYTES = 5 * 1024 * 1024;
const ALLOWED = [/^(dist|roles|construct|schemas)\//, /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/];
const NEEDED = ['dist/main.js', 'dist/keeper.js', 'dist/capsule/capsule.mjs', 'dist/capsule/connect.mjs', 'dist/capsule/copy.mjs', 'dist/capsule/pull.mjs', 'README.md', 'LICENSE'];
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish'];

/** Every way in which the package is not what it should be; an empty list when it is. */
export const checkPackage = async () => {
  // npm's own answer to what it would pack; its scripts are left out, since a check writes nothing.
  const packing = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const { stdout } = await promisify(execFile)('npm', packing, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  const [{ files, unpackedSize }] = JSON.parse(stdout);
  const paths = files.map((/** @type {{ path: string }} */ file) => file.path);
  const manifest = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

  const problems = [];
  for (const file of paths) {
    if (!ALLOWED.some((pattern) => pattern.test(file))) problems.push(`package: ${file} does not belong in it`);
  }
  for (const file of NEEDED) if (!paths.includes(file)) problems.push(`package: ${file} is missing`);
  if (unpackedSize > MAX_BYTES) problems.push(`package: ${unpackedSize} bytes installed; the promise is ${MAX_BYTES}`);
  for (const kind of ['dependencies', 'optionalDependencies', 'peerDependencies', 'bundleDependencies']) {
    if (manifest[kind]) problems.push(`package: it has ${kind}; everything is bundled`);
  }
  for (const script of INSTALL_SCRIPTS) {
    if (manifest.scripts?.[script]) problems.push(`package: it has the install script ${script}`);
  }
  return problems;
};
