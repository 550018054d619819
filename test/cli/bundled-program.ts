import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..', '..');

/** Bundles `main.ts` as the product does, with an engine's client that reaches no engine. Returns the program. */
export const bundleProgram = async (folder: string): Promise<string> => {
  const client = path.join(folder, 'client.mjs');
  await writeFile(client, `export default class { version() { return Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })); } }`);
  const { ESM_BANNER } = (await import(path.join(root, 'scripts/lib/bundle-capsule.mjs'))) as { ESM_BANNER: { js: string } };
  const outdir = path.join(folder, 'dist');
  await build({
    entryPoints: [path.join(root, 'src/main.ts')],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    alias: { dockerode: client },
    banner: ESM_BANNER,
    logLevel: 'error',
    define: { 'process.env.JACKIN_BUILD_VERSION': '"1.2.3"' },
  });
  await writeFile(path.join(outdir, 'package.json'), '{"type":"module"}');
  return path.join(outdir, 'main.js');
};
