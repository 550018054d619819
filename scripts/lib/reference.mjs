// Reference pages in Markdown: the keys of the configuration from their JSON
// Schemas, the commands from the program.

const escape = (/** @type {string} */ text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');

const code = (/** @type {unknown} */ value) => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

const markdownTable = (/** @type {string[]} */ head, /** @type {string[][]} */ rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/**
 * @typedef {{
 *   type?: string, enum?: unknown[], const?: unknown, not?: object, anyOf?: JsonSchema[], items?: JsonSchema,
 *   properties?: Record<string, JsonSchema>, required?: string[], additionalProperties?: JsonSchema | boolean,
 *   description?: string, default?: unknown, otherwise?: string, refused?: string,
 * }} JsonSchema
 */

/** What stands in the place of names that a person chooses. */
const placeholder = (/** @type {string} */ table) => {
  if (table.endsWith('env')) return '<NAME>';
  return table === 'roles' ? '<role>' : '<name>';
};

/** @returns {string} */
const typeOf = (/** @type {JsonSchema} */ schema) => {
  if (schema.not !== undefined) return '';
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(' or ');
  if (schema.type === 'array') return schema.items?.type === 'object' ? 'list of tables' : `list of: ${typeOf(/** @type {JsonSchema} */ (schema.items))}`;
  if (schema.type === 'object') return 'table';
  return schema.type === 'string' ? 'text' : (schema.type ?? '');
};

const fallbackOf = (/** @type {JsonSchema} */ schema, /** @type {boolean} */ isRequired) => {
  if (isRequired) return 'must be there';
  if (schema.default !== undefined) return code(schema.default);
  return schema.otherwise === undefined ? '' : escape(schema.otherwise);
};

/**
 * Every key of a schema, tables before what is in them.
 * @returns {{ key: string, type: string, fallback: string, refused: string, description: string }[]}
 */
export const listKeys = (/** @type {JsonSchema} */ schema, path = '') => {
  const below = (/** @type {string} */ name) => (path === '' ? name : `${path}.${name}`);
  const named = Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const row = {
      key: below(name),
      type: typeOf(value),
      fallback: fallbackOf(value, schema.required?.includes(name) ?? false),
      refused: escape(value.refused ?? ''),
      description: escape(value.description ?? ''),
    };
    return [row, ...listKeys(value, below(name))];
  });
  const element = schema.items === undefined ? [] : listKeys(schema.items, `${path}[]`);
  return [...named, ...freeKeys(schema, below(placeholder(path))), ...element, ...(schema.anyOf ?? []).flatMap((form) => listKeys(form, path))];
};

/** The keys of a table whose names a person chooses. @returns {ReturnType<typeof listKeys>} */
const freeKeys = (/** @type {JsonSchema} */ { additionalProperties: value }, /** @type {string} */ key) => {
  if (typeof value !== 'object') return [];
  const { description, refused = '' } = value;
  const itself = { key, type: typeOf(value), fallback: '', refused: escape(refused), description: escape(description ?? '') };
  return [...(description === undefined ? [] : [itself]), ...listKeys(value, key)];
};

const OF_ROLE = /^roles\.<role>\./;

const layerOf = (/** @type {'config' | 'workspace'} */ kind, /** @type {string} */ key) => {
  if (kind === 'config') return OF_ROLE.test(key) ? 'role' : 'global';
  return OF_ROLE.test(key) ? 'workspace × role' : 'workspace';
};

/**
 * One row for each setting, with all the layers where it may stand. A key of a
 * role's table is listed with the same key without one, where there is such a key.
 */
export const settingsTable = (/** @type {{ config: JsonSchema, workspace: JsonSchema }} */ schemas) => {
  const all = /** @type {const} */ (['config', 'workspace']).flatMap((kind) =>
    listKeys(schemas[kind]).map((row) => ({
      ...row,
      key: row.key.replace('mounts.<name>.<name>', 'mounts.<scope>.<name>'),
      layer: layerOf(kind, row.key),
    })),
  );
  /** @type {Map<string, (typeof all)[number] & { layers: string[] }>} */
  const rows = new Map();
  for (const row of all) {
    const short = row.key.replace(OF_ROLE, '');
    const twin = all.find((other) => other.key === short && other.description === row.description);
    const key = twin === undefined ? row.key : short;
    const same = rows.get(key);
    if (same === undefined) rows.set(key, { ...row, key, layers: [row.layer] });
    else same.layers = [...new Set([...same.layers, row.layer])];
  }
  return markdownTable(
    ['key', 'values', 'default', 'layers', 'refused', 'what it does'],
    [...rows.values()].map(({ key, type, fallback, layers, refused, description }) => [code(key), type, fallback, layers.join(', '), refused, description]),
  );
};

export const keysTable = (/** @type {JsonSchema} */ schema) =>
  markdownTable(
    ['key', 'values', 'default', 'refused', 'what it does'],
    listKeys(schema).map(({ key, type, fallback, refused, description }) => [code(key), type, fallback, refused, description]),
  );

/**
 * @typedef {{
 *   name(): string, summary(): string, description(): string, alias(): string | undefined, commands: Command[],
 *   registeredArguments: Argument[], options: Option[], createHelp(): { commandUsage(command: Command): string },
 * }} Command
 */
/** @typedef {{ name(): string, description: string, required: boolean, argChoices?: string[], defaultValue?: unknown }} Argument */
/** @typedef {{ flags: string, description: string, mandatory: boolean, argChoices?: string[], defaultValue?: unknown, negate: boolean }} Option */

const sentence = (/** @type {Command} */ command) => {
  const text = command.description() || command.summary();
  return escape(text.endsWith('.') ? text : `${text[0]?.toUpperCase()}${text.slice(1)}.`);
};

const remarks = (/** @type {Argument | Option} */ one) => [
  ...(one.argChoices === undefined ? [] : [one.argChoices.map(code).join(', ')]),
  ...(one.defaultValue === undefined || ('negate' in one && one.negate) ? [] : [`default ${code(one.defaultValue)}`]),
  ...('mandatory' in one && one.mandatory ? ['must be given'] : []),
];

const commandSection = (/** @type {Command} */ command) => {
  const given = [
    ...command.registeredArguments.map((one) => [code(one.required ? `<${one.name()}>` : `[${one.name()}]`), escape(one.description), remarks(one).join('; ')]),
    ...command.options.map((one) => [code(one.flags), escape(one.description), remarks(one).join('; ')]),
  ];
  const usage = command.createHelp().commandUsage(command).replaceAll(/\|[\w-]+/g, '');
  const alias = command.alias() === undefined ? '' : ` Also \`${command.alias()}\`.`;
  const parts = [`### ${usage.replace(/ \[options\].*$/, '')}`, `${sentence(command)}${alias}`, `\`\`\`\n${usage}\n\`\`\``];
  return [...parts, ...(given.length === 0 ? [] : [markdownTable(['', '', ''], given)])].join('\n\n');
};

/** A section for every command that does something; groups of commands have none of their own. @returns {string} */
export const commandSections = (/** @type {Command} */ command) =>
  command.commands.flatMap((child) => (child.commands.length > 0 ? commandSections(child) : [commandSection(child)])).join('\n\n');

/** A page with its generated blocks written anew; everything else on it stays. */
export const fillBlocks = (/** @type {string} */ page, /** @type {Record<string, string>} */ blocks) => {
  let filled = page;
  for (const [name, text] of Object.entries(blocks)) {
    const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const [from, to] = [filled.indexOf(begin), filled.indexOf(end)];
    if (from === -1 || to < from) throw new Error(`the page has no block between ${begin} and ${end}`);
    filled = `${filled.slice(0, from + begin.length)}\n\n${text}\n\n${filled.slice(to)}`;
  }
  return filled;
};
