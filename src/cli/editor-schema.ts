import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SCHEMA_FOLDER, schemaFile, type SchemaKind, schemaLine } from '../config/editor-schema.ts';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';

/**
 * Puts the JSON Schema where the first line of a file points, when it points
 * there. It is for editors only: a place that cannot be written to fails nothing.
 */
export const keepEditorSchema = async (file: string, kind: SchemaKind, deps: Deps): Promise<void> => {
  try {
    if (!(await readFile(file, 'utf8')).startsWith(schemaLine(kind))) return;
    const schema = await readFile(path.join(deps.packageRoot, 'schemas', schemaFile(kind)), 'utf8');
    const copy = path.join(path.dirname(locatePaths(deps).configFile), SCHEMA_FOLDER, schemaFile(kind));
    if ((await readFile(copy, 'utf8').catch(() => '')) === schema) return;
    await mkdir(path.dirname(copy), { recursive: true });
    await writeFile(copy, schema);
  } catch {
    // Without the schema an editor helps less; the configuration is saved all the same.
  }
};
