// Bundles src/ into dist/: the CLI with lazily loaded chunks, and the capsule
// with its prebuilt PTY modules beside it, and the keeper. `docs/adr/0004-bundling.md` says why.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { ESM_BANNER, bundleCapsule } from './lib/bundle-capsule.mjs';

const root = path.resolve(import.meta.dirname, '..');
const final = path.join(root, 'dist');
// Built beside and renamed: a test or a person that runs the old build meanwhile finds all of it.
const dist = `${final}.new-${process.pid}`;
const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

const common = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: { 'process.env.JACKIN_BUILD_VERSION': JSON.stringify(version) },
  banner: ESM_BANNER,
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
  // By itself, not in the shared chunks: it is loaded for good, and each of those brings more than it needs.
  build({ ...common, entryPoints: { keeper: path.join(root, 'src/main-keeper.ts') }, outdir: dist, target: 'node20.19' }),
  bundleCapsule(path.join(dist, 'capsule'), common),
]);

await writeFile(path.join(dist, 'package.json'), `${JSON.stringify({ type: 'module' })}\n`);

const old = `${final}.old-${process.pid}`;
await rename(final, old).catch((error) => {
  if (error.code !== 'ENOENT') throw error;
});
await rename(dist, final);
await rm(old, { recursive: true, force: true });
