import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Argument, Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const KINDS = ['config', 'workspace', 'role', 'plan'] as const;

const printSchema = async (kind: (typeof KINDS)[number], format: Format, deps: Deps): Promise<void> => {
  const text = await readFile(path.join(deps.packageRoot, 'schemas', `${kind}.schema.json`), 'utf8');
  printResult(deps, format, format === 'json' ? JSON.parse(text) : undefined, () => text.trimEnd());
};

export const schemaCommand = (context: Context) =>
  new Command('schema')
    .summary('print the JSON Schema of a file, for editors')
    .addArgument(
      new Argument('[kind]', 'config.toml, a workspace file, a role’s jackin.role.toml, or the plan of a dry run').choices(KINDS).default('config' as const),
    )
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((kind, flags) => printSchema(kind, flags.format, context.deps));
