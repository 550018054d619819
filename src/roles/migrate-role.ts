import path from 'node:path';
import { isProblem, parseDocument } from '../config/document.ts';
import { editText } from '../config/edit.ts';
import { withVersionFirst } from '../config/migrate.ts';
import { versionOf } from '../config/migrate-steps.ts';
import { configError } from '../config/problems.ts';
import { writeConfigFile } from '../config/write.ts';
import { MANIFEST, readManifest } from './find-role.ts';
import { MANIFEST_VERSIONS } from './manifest-schema.ts';

const NEWEST = MANIFEST_VERSIONS.at(-1)!;

export interface ManifestMigration {
  file: string;
  /** Version of the text before; `legacy` when it has none. */
  from: string;
  to: string;
  before: string;
  after: string;
}

/**
 * Pure: a manifest as the newest version has it; its comments, order and formatting
 * stay. From one version to the next only what may stand in a manifest has grown, so
 * that nothing but the version changes. A version that there is no way from is a
 * configuration error.
 */
export const migrateManifest = (file: string, text: string): ManifestMigration => {
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const plain = text.slice(mark.length);
  const document = parseDocument(file, plain);
  if (isProblem(document)) throw configError([document]);
  const from = versionOf(document, MANIFEST_VERSIONS);
  if (typeof from !== 'string') throw configError([from]);
  const after = from === NEWEST ? text : mark + editText(file, withVersionFirst(plain), [{ path: ['version'], value: NEWEST }]);
  return { file, from, to: NEWEST, before: text, after };
};

/** Brings the manifest of a role's folder to the newest version, in one step; a dry run writes nothing. */
export const migrateRole = async (folder: string, dryRun: boolean): Promise<ManifestMigration> => {
  const file = path.join(folder, MANIFEST);
  const migration = migrateManifest(file, await readManifest(file, folder));
  if (!dryRun && migration.after !== migration.before) await writeConfigFile(file, migration.after);
  return migration;
};
