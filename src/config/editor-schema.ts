/** Folder beside config.toml with the JSON Schemas that the first line of new files points at. */
export const SCHEMA_FOLDER = 'schemas';

export type SchemaKind = 'config' | 'workspace';

export const schemaFile = (kind: SchemaKind): string => `${kind}.schema.json`;

/**
 * First line of a new file: editors that use Taplo complete and check its keys.
 * Relative, so that it holds on every machine that shares the configuration.
 */
export const schemaLine = (kind: SchemaKind): string => `#:schema ${kind === 'config' ? './' : '../'}${SCHEMA_FOLDER}/${schemaFile(kind)}`;
