import type * as z from 'zod';
import type { KeyPath, TomlDocument } from './document.ts';
import { didYouMean } from './nearest.ts';
import { findNul } from './nul.ts';
import { MAX_TOLD, type Problem } from './problems.ts';

/** The parts of a zod schema that tell which keys are known where. */
interface SchemaShape {
  type: string;
  shape?: Record<string, z.ZodType>;
  innerType?: z.ZodType;
  element?: z.ZodType;
  valueType?: z.ZodType;
  options?: z.ZodType[];
}

const shapeOf = (schema: z.ZodType): SchemaShape => schema.def;

const stepInto = (schema: z.ZodType, key: string | number): z.ZodType | undefined => {
  const { type, shape, innerType, element, valueType, options } = shapeOf(schema);
  if (innerType !== undefined) return stepInto(innerType, key);
  if (options !== undefined) return options.map((option) => stepInto(option, key)).find((found) => found !== undefined);
  if (type === 'object') return Object.hasOwn(shape!, key) ? shape![key] : undefined;
  return element ?? valueType;
};

const keysOf = (schema: z.ZodType): string[] => {
  const { shape, innerType, options } = shapeOf(schema);
  if (innerType !== undefined) return keysOf(innerType);
  return options === undefined ? Object.keys(shape ?? {}) : options.flatMap(keysOf);
};

/** The keys that `schema` allows at `path`; empty where any key may stand. */
export const knownKeys = (schema: z.ZodType, path: KeyPath): string[] => {
  let current: z.ZodType | undefined = schema;
  for (const key of path) current = current === undefined ? undefined : stepInto(current, key);
  return current === undefined ? [] : keysOf(current);
};

/** A key of any length must not fill the screen. */
const shortened = (key: string): string => (key.length > 80 ? `${key.slice(0, 80)}…` : key);

const MAX_STEPS = 12;

/** A path of any depth must not fill it either. */
const shownPath = (path: KeyPath): string => {
  const steps = path.slice(0, MAX_STEPS).map((step) => shortened(String(step)));
  return [...steps, ...(path.length > MAX_STEPS ? ['…'] : [])].join('.');
};

/** A key of the file's top that was written below a `[table]` header belongs to that table in TOML: say which line to move. */
const misplacedKey = (schema: z.ZodType, document: TomlDocument, path: KeyPath, key: string): string => {
  if (path.length === 0 || !knownKeys(schema, []).includes(key)) return '';
  const { line } = document.locate([...path, key]);
  const firstTable = /^[ \t]*\[/m.exec(document.text);
  if (firstTable === null) return '';
  const target = document.text.slice(0, firstTable.index).split('\n').length;
  return `"${key}" is a key of the top of the file, but it stands below a header and so belongs to [${shownPath(path)}]: move line ${line} above line ${target}`;
};

/** A problem whose sentence is made only when it is told: looking for what was meant takes time. */
interface Found {
  path: KeyPath;
  message: () => string;
  withValue: boolean;
}

const unknownKeys = (schema: z.ZodType, document: TomlDocument, path: KeyPath, keys: string[]): Found[] =>
  keys.map((key) => ({
    path: [...path, key],
    withValue: false,
    message: () => {
      const known = knownKeys(schema, path);
      const where = path.length === 0 ? '' : ` in [${shownPath(path)}]`;
      const advice = known.length === 0 ? '' : `; ${didYouMean(key, known) || `known here: ${known.join(', ')}`}`;
      return misplacedKey(schema, document, path, key) || `unknown key "${shortened(key)}"${where}${advice}`;
    },
  }));

const quoted = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(', ');

/** What zod says by itself starts so; anything else is a sentence of the schema's own. */
const isDefaultMessage = (message: string): boolean => /^(Invalid (input|option|key)|Too )/.test(message);

const describe = (issue: z.core.$ZodIssue): string => {
  if (!isDefaultMessage(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? `missing, expected ${issue.expected}` : `expected ${issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${quoted(issue.values)}`;
    case 'invalid_key':
      return issue.issues.map(describe).join('; ');
    default:
      return issue.message;
  }
};

/** Where a value may have several forms, the problems of the form that it comes nearest to. */
const narrow = (issue: z.core.$ZodIssue): z.core.$ZodIssue[] => {
  if (issue.code !== 'invalid_union' || !isDefaultMessage(issue.message)) return [issue];
  const forms = issue.errors.map((errors) => errors.map((error) => ({ ...error, path: [...issue.path, ...error.path] })));
  const [nearest] = forms.sort((a, b) => a.length - b.length || depth(b) - depth(a));
  return (nearest ?? [issue]).flatMap(narrow);
};

/** A form whose problems lie deeper has more in common with the value. */
const depth = (issues: { path: PropertyKey[] }[]): number => Math.max(0, ...issues.map(({ path }) => path.length));

/** A missing key has no place of its own: the problem points at the table that lacks it. */
const keyName = (path: KeyPath): string => (path.length === 0 ? '' : `${shownPath(path)}: `);

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !(value instanceof Date);

/** Keys called `length` that hold a table. */
const lengthTables = (value: unknown, path: KeyPath = []): KeyPath[] =>
  isObject(value)
    ? Object.entries(value).flatMap(([key, inner]) => [...(key === 'length' && isObject(inner) ? [[...path, key]] : []), ...lengthTables(inner, [...path, key])])
    : [];

/**
 * Asks the schema about the value. Where it wants a text or a list, zod compares the
 * `length` of whatever stands there, and a table has none that could be compared: it
 * throws. Then these tables are what is wrong.
 */
const check = <T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> | { tables: KeyPath[] } => {
  try {
    return schema.safeParse(value, { reportInput: true });
  } catch (error) {
    const tables = error instanceof TypeError ? lengthTables(value) : [];
    if (tables.length === 0) throw error;
    return { tables };
  }
};

/** Every problem that `schema` has with the document, each at its place, in the order of the text. */
export const validateDocument = <T>(
  schema: z.ZodType<T>,
  document: TomlDocument,
): { ok: true; value: T } | { ok: false; problems: Problem[] } => {
  const result = check(schema, document.value);
  if ('tables' in result) return { ok: false, problems: tell(document, result.tables.map(notATable)) };
  const nul = findNul(document);
  if (result.success && nul.length === 0) return { ok: true, value: result.data };
  const issues = result.success ? [] : result.error.issues.flatMap(narrow);
  const ofSchema = issues.flatMap((issue): Found[] => {
    const path = issue.path as KeyPath;
    if (issue.code === 'unrecognized_keys') return unknownKeys(schema, document, path, issue.keys);
    return [{ path, message: () => `${keyName(path)}${describe(issue)}`, withValue: true }];
  });
  const told = new Set(ofSchema.map(({ path }) => JSON.stringify(path)));
  const ofNul = nul
    .filter((path) => !told.has(JSON.stringify(path)))
    .map((path): Found => ({ path, message: () => `${keyName(path)}holds a NUL character, which no text that is handed on can`, withValue: false }));
  return { ok: false, problems: tell(document, [...ofSchema, ...ofNul]) };
};

const notATable = (path: KeyPath): Found => ({ path, message: () => `${keyName(path)}a table cannot stand here`, withValue: false });

/** In the order of the text. Those that are only counted say no more than that something is wrong. */
const tell = (document: TomlDocument, found: Found[]): Problem[] => {
  const placed = found.map((one) => ({ ...one, place: document.locate(one.path) }));
  placed.sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
  return placed.map(({ path, message, withValue }, index) =>
    document.problem(path, index < MAX_TOLD ? message() : `${keyName(path)}is wrong`, withValue),
  );
};
