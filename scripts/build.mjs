// Bundles src/ into dist/: the CLI with lazily loaded chunks, and the capsule
// with its prebuilt PTY modules beside it. `docs/adr/0004-bundling.md` says why.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
const require = createRequire(import.meta.url);
const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

const common = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { 'process.env.JACKIN_BUILD_VERSION': JSON.stringify(version) },
  banner: {
    // CommonJS packages inside an ES module still want these three.
    js: [
      "import { createRequire as __createRequire } from 'node:module';",
      "import { fileURLToPath as __fileURLToPath } from 'node:url';",
      'const require = __createRequire(import.meta.url);',
      'const __filename = __fileURLToPath(import.meta.url);',
      "const __dirname = __fileURLToPath(new URL('.', import.meta.url));",
    ].join(''),
  },
};

/** dockerode's ssh and gRPC transports: native or huge, and never used here. */
const unusedTransports = {
  name: 'unused-transports',
  setup(api) {
    const filter = /^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/;
    api.onResolve({ filter }, ({ path: name }) => ({ path: name, namespace: 'unused' }));
    api.onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
  },
};

/** node-pty computes the name of its native module at run time; here it lies beside the bundle. */
const ptyBesideBundle = {
  name: 'pty-beside-bundle',
  setup(api) {
    api.onLoad({ filter: /@lydell[\\/]node-pty[\\/]requireBinary\.js$/ }, () => ({
      loader: 'js',
      contents: `
        const load = require;
        exports.requireBinary = () => load(__dirname + 'pty-' + process.arch + '.node');
      `,
    }));
  },
};

await rm(dist, { recursive: true, force: true });
await mkdir(path.join(dist, 'capsule'), { recursive: true });

await Promise.all([
  build({
    ...common,
    entryPoints: [path.join(root, 'src/main.ts')],
    outdir: dist,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    target: 'node20.19',
    plugins: [unusedTransports],
  }),
  build({
    ...common,
    entryPoints: [path.join(root, 'src/capsule/capsule.ts'), path.join(root, 'src/capsule/connect.ts')],
    outdir: path.join(dist, 'capsule'),
    outExtension: { '.js': '.mjs' },
    target: 'node24',
    plugins: [ptyBesideBundle],
  }),
]);

for (const arch of ['x64', 'arm64']) {
  const from = path.join(root, 'node_modules/@lydell', `node-pty-linux-${arch}`);
  await cp(path.join(from, 'pty.node'), path.join(dist, 'capsule', `pty-${arch}.node`)).catch((error) => {
    // npm installs only the module of this machine; packing for release fetches both (scripts/pack.mjs).
    if (error.code !== 'ENOENT') throw error;
  });
}
await writeFile(path.join(dist, 'package.json'), `${JSON.stringify({ type: 'module' })}\n`);
void require;
