// Writes schemas/*.schema.json from the zod schemas in src/, for editors. With
// --check it writes nothing and fails when a file is stale.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');
const check = process.argv.includes('--check');

const SOURCES = {
  config: ['src/config/schema.ts', 'ConfigSchema', 'jackin config.toml'],
  workspace: ['src/config/schema.ts', 'WorkspaceSchema', 'jackin workspaces/<name>.toml'],
  role: ['src/roles/manifest.ts', 'ManifestSchema', 'jackin.role.toml'],
  plan: ['src/plan/plan.ts', 'PlanSchema', 'The plan that `jackin load --dry-run --format json` prints'],
};

/** The sources are TypeScript, which the oldest supported Node does not run by itself. */
const bundleSchemas = async (directory) => {
  const lines = Object.entries(SOURCES).map(([name, [file, symbol]]) => `export { ${symbol} as ${name} } from './${file}';`);
  const outfile = path.join(directory, 'schemas.mjs');
  await build({
    stdin: { contents: `${lines.join('\n')}\nexport { toJSONSchema } from 'zod';`, resolveDir: root, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'warning',
  });
  return import(pathToFileURL(outfile).href);
};

// Inside the checkout's own folder of dependencies: the bundle resolves nothing from outside.
const directory = await mkdtemp(path.join(root, 'node_modules', '.jackin-schemas-'));
const stale = [];
try {
  const bundle = await bundleSchemas(directory);
  for (const [name, [, , title]] of Object.entries(SOURCES)) {
    const file = path.join(root, 'schemas', `${name}.schema.json`);
    const schema = bundle.toJSONSchema(bundle[name], { io: 'input', unrepresentable: 'any' });
    const text = `${JSON.stringify({ title, ...schema }, null, 2)}\n`;
    if ((await readFile(file, 'utf8').catch(() => '')) === text) continue;
    stale.push(path.relative(root, file));
    if (!check) await writeFile(file, text);
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
if (check && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run \`npm run schemas\``);
  process.exitCode = 1;
} else {
  console.log(stale.length === 0 ? 'schemas are up to date' : `wrote ${stale.join(', ')}`);
}
