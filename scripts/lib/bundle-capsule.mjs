// Bundles what runs inside the container: the capsule and the program that the
// host's exec runs, with the prebuilt PTY modules beside them.
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '../..');

/** CommonJS packages inside an ES module still want these three names. */
export const ESM_BANNER = {
  js: [
    "import { createRequire as __createRequire } from 'node:module';",
    "import { fileURLToPath as __fileURLToPath } from 'node:url';",
    'const require = __createRequire(import.meta.url);',
    'const __filename = __fileURLToPath(import.meta.url);',
    "const __dirname = __fileURLToPath(new URL('.', import.meta.url));",
  ].join(''),
};

/** node-pty computes the name of its native module at run time; here it lies beside the bundle. */
const ptyBesideBundle = {
  name: 'pty-beside-bundle',
  setup(api) {
    api.onLoad({ filter: /@lydell[\\/]node-pty[\\/]requireBinary\.js$/ }, () => ({
      loader: 'js',
      // Through a variable: esbuild would take a require of a computed name for a pattern of files.
      contents: `
        const load = require;
        exports.requireBinary = () => load(__dirname + 'pty-' + process.arch + '.node');
      `,
    }));
  },
};

/** `options` are esbuild's, on top of those here; `plugins` are added. */
export const bundleCapsule = async (outdir, { plugins = [], ...options } = {}) => {
  await mkdir(outdir, { recursive: true });
  await build({
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    banner: ESM_BANNER,
    logLevel: 'warning',
    ...options,
    entryPoints: ['capsule', 'connect', 'copy', 'git-hook', 'pull'].map((name) => path.join(root, 'src/capsule', `${name}.ts`)),
    outdir,
    outExtension: { '.js': '.mjs' },
    plugins: [ptyBesideBundle, ...plugins],
  });
  for (const arch of ['x64', 'arm64']) {
    const module = path.join(root, 'node_modules/@lydell', `node-pty-linux-${arch}`, 'pty.node');
    await copyFile(module, path.join(outdir, `pty-${arch}.node`)).catch((error) => {
      // npm installs only the module of this machine; packing for release fetches both (scripts/pack.mjs).
      if (error.code !== 'ENOENT') throw error;
    });
  }
};
