// Writes what is generated from the sources: schemas/*.schema.json from the zod
// schemas, for editors, and the blocks of docs/reference/ from those and from
// the program. With --check it writes nothing and fails when something is stale.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { commandSections, fillBlocks, keysTable, settingsTable } from './lib/reference.mjs';

const root = path.resolve(import.meta.dirname, '..');
const check = process.argv.includes('--check');

const SOURCES = {
  config: ['src/config/schema.ts', 'ConfigSchema', 'jackin config.toml'],
  workspace: ['src/config/schema.ts', 'WorkspaceSchema', 'jackin workspaces/<name>.toml'],
  role: ['src/roles/manifest-schema.ts', 'ManifestSchema', 'jackin.role.toml'],
  plan: ['src/plan/plan.ts', 'PlanSchema', 'The plan that `jackin load --dry-run --format json` prints'],
};

/** The sources are TypeScript, which the oldest supported Node does not run by itself. */
const bundleSources = async (directory) => {
  const lines = Object.entries(SOURCES).map(([name, [file, symbol]]) => `export { ${symbol} as ${name} } from './${file}';`);
  const contents = [...lines, "export { toJSONSchema } from 'zod';", "export { buildProgram } from './src/cli/program.ts';"].join('\n');
  // What commands load when they run stays in chunks of its own, and is not loaded here.
  await build({
    stdin: { contents, resolveDir: root, sourcefile: 'sources.ts', loader: 'ts' },
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    outdir: directory,
    entryNames: 'sources',
    outExtension: { '.js': '.mjs' },
    logLevel: 'warning',
  });
  return import(pathToFileURL(path.join(directory, 'sources.mjs')).href);
};

/** Without what only the reference pages tell: editors know no such keywords. */
const forEditors = ({ jsonSchema }) => {
  delete jsonSchema.otherwise;
  delete jsonSchema.refused;
};

const schemaFiles = (sources, options) =>
  Object.fromEntries(
    Object.entries(SOURCES).map(([name, [, , title]]) => [name, { title, ...sources.toJSONSchema(sources[name], { io: 'input', unrepresentable: 'any', ...options }) }]),
  );

const programOf = ({ buildProgram }) => {
  const nowhere = { write: () => true };
  return buildProgram({ deps: { version: '', env: {}, stdout: nowhere, stderr: nowhere }, passedArguments: [], exit: () => undefined });
};

const referencePage = async (name, blocks) => {
  const file = `docs/reference/${name}.md`;
  return [file, fillBlocks(await readFile(path.join(root, file), 'utf8'), blocks)];
};

/** Every generated file: its path and what it should hold. */
const generate = async (sources) => {
  const full = schemaFiles(sources, {});
  return [
    ...Object.entries(schemaFiles(sources, { override: forEditors })).map(([name, schema]) => [`schemas/${name}.schema.json`, `${JSON.stringify(schema, null, 2)}\n`]),
    await referencePage('configuration', { settings: settingsTable(full), role: keysTable(full.role) }),
    await referencePage('commands', { commands: commandSections(programOf(sources)) }),
  ];
};

// Inside the checkout's own folder of dependencies, where the bundle finds its packages.
const directory = await mkdtemp(path.join(root, 'node_modules', '.jackin-schemas-'));
const stale = [];
try {
  for (const [name, text] of await generate(await bundleSources(directory))) {
    const file = path.join(root, name);
    if ((await readFile(file, 'utf8').catch(() => '')) === text) continue;
    stale.push(name);
    if (!check) await writeFile(file, text);
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
if (check && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run \`npm run schemas\``);
  process.exitCode = 1;
} else {
  console.log(stale.length === 0 ? 'schemas and reference pages are up to date' : `wrote ${stale.join(', ')}`);
}
