import fc from 'fast-check';
import { stringify, type TomlValue } from 'smol-toml';

/** Random TOML texts in every way of writing them, with a comment of its own wherever one may stand. */

type Table = { [key: string]: TomlValue };

const KEYS = ['a', 'b', 'env', 'kimi', 'roles', 'x-y', 'q r', 'ns/*', 'version', '__proto__', 'ö', ''];
const key = fc.constantFrom(...KEYS);

const scalar: fc.Arbitrary<TomlValue> = fc.oneof(
  fc.constantFrom('', 'text', "it's", 'say "hi"', 'two\nlines', '# no comment', 'x\n# no comment', 'x\n[no.table]', 'op://v/i/f', '\u0000\u007f', '😀'),
  fc.integer({ min: -1000, max: 1000 }),
  fc.boolean(),
  fc.constantFrom(1.5, -0.25, 1e300),
);

const reference: fc.Arbitrary<Table> = fc.record({ op: fc.constant('op://a/b/c'), path: fc.constantFrom('p', 'q') });

export const value: fc.Arbitrary<TomlValue> = fc.oneof(
  { weight: 4, arbitrary: scalar },
  { weight: 2, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: reference },
  { weight: 1, arbitrary: fc.dictionary(key, scalar, { maxKeys: 2, noNullPrototype: true }) },
  { weight: 1, arbitrary: fc.array(fc.record({ src: fc.constantFrom('/a', '/b', '/c'), dst: fc.constantFrom('/d', '/e') }), { minLength: 1, maxLength: 2 }) },
);

export const table = (depth: number): fc.Arbitrary<Table> =>
  fc.dictionary(key, depth === 0 ? value : fc.oneof({ weight: 3, arbitrary: value }, { weight: 2, arbitrary: table(depth - 1) }), { maxKeys: 4, noNullPrototype: true });

/** Choices of the writer, drawn one after the other. */
type Draw = (choices: number) => number;

const isTable = (entry: unknown): entry is Table => typeof entry === 'object' && entry !== null && !Array.isArray(entry);

const writeKey = (name: string, draw: Draw): string => {
  const basic = stringify({ [name]: 0 }).replace(/ = 0\s*$/, '');
  if (!/^[A-Za-z0-9_-]+$/.test(name)) return basic;
  return [name, name, `"${name}"`, `'${name}'`][draw(4)]!;
};

const writeScalar = (entry: TomlValue, draw: Draw): string => {
  if (typeof entry === 'string' && /^[^'"\\\u0000-\u0009\u000b-\u001f\u007f]*$/.test(entry) && entry.includes('\n') && draw(2) === 1) return `"""\n${entry}"""`;
  if (typeof entry === 'string' && !/['\u0000-\u001f\u007f]/.test(entry)) {
    return [JSON.stringify(entry), `'${entry}'`, `'''${entry}'''`, `"""\n${JSON.stringify(entry).slice(1, -1)}"""`][draw(4)]!;
  }
  return stringify({ x: entry }).trimEnd().slice(4);
};

const writer = (draw: Draw) => {
  let comments = 0;
  const comment = (): string => `# c${comments++}`;
  const maybe = (text: () => string): string => (draw(3) === 0 ? text() : '');
  const blanks = (): string => '\n'.repeat(Math.max(0, draw(5) - 2));
  const above = (indent = ''): string => blanks() + maybe(() => `${indent}${comment()}\n`);

  const inline = (entry: TomlValue): string => {
    if (Array.isArray(entry)) {
      if (entry.length === 0 || draw(2) === 0) return `[${entry.map(inline).join(', ')}]`;
      return `[\n${entry.map((element) => `${maybe(() => `  ${comment()}\n`)}  ${inline(element)},${maybe(() => ` ${comment()}`)}\n`).join('')}${maybe(() => `  ${comment()}\n`)}]`;
    }
    if (!isTable(entry)) return writeScalar(entry, draw);
    const pairs = Object.entries(entry).map(([name, inner]) => `${writeKey(name, draw)} = ${isTable(inner) || Array.isArray(inner) ? flat(inner) : writeScalar(inner, () => 0)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  };
  const flat = (entry: TomlValue): string =>
    Array.isArray(entry) ? `[${entry.map(flat).join(', ')}]` : isTable(entry) ? `{${Object.entries(entry).map(([name, inner]) => `${writeKey(name, () => 0)}=${flat(inner)}`).join(',')}}` : writeScalar(entry, () => 0);

  const pair = (names: string[], entry: TomlValue): string => {
    const indent = ['', '', '  ', '\t'][draw(4)]!;
    const spaces = [' = ', '=', '  =\t'][draw(3)]!;
    const behind = maybe(() => `${[' ', '\t', ''][draw(3)]!}${comment()}`);
    return `${above(indent)}${indent}${names.map((name) => writeKey(name, draw)).join('.')}${spaces}${inline(entry)}${behind}\n`;
  };

  /** Pairs of a section, and what becomes a section of its own. */
  const body = (path: string[], entries: Table): string => {
    let own = '';
    let sections = '';
    for (const [name, entry] of Object.entries(entries)) {
      const isList = Array.isArray(entry) && entry.length > 0 && entry.every(isTable);
      const form = draw(4);
      if (isTable(entry) && form > 1) sections += section([...path, name], entry, '[', ']');
      else if (isList && form > 1) sections += entry.map((element) => section([...path, name], element, '[[', ']]')).join('');
      else if (isTable(entry) && form === 1 && Object.keys(entry).length > 0) own += Object.entries(entry).map(([inner, deep]) => pair([name, inner], deep)).join('');
      else own += pair([name], entry);
    }
    return own + sections;
  };
  const section = (path: string[], entries: Table, open: string, close: string): string => {
    const isImplied = open === '[' && Object.keys(entries).length > 0 && Object.values(entries).every(isTable) && draw(2) === 0;
    if (isImplied) return Object.entries(entries).map(([name, inner]) => section([...path, name], inner as Table, '[', ']')).join('');
    const header = `${open}${path.map((name) => writeKey(name, draw)).join('.')}${close}${maybe(() => ` ${comment()}`)}\n`;
    return `${above()}${header}${body(path, entries)}`;
  };
  return (root: Table): string => `${maybe(() => '#:schema ./x.json\n')}${body([], root)}${above()}`;
};

/** A text that says this; CRLF, a byte order mark and a missing line break at the end are among them. */
export const tomlTextOf = (content: fc.Arbitrary<Table>): fc.Arbitrary<string> => fc
  .tuple(content, fc.infiniteStream(fc.nat({ max: 59 })), fc.boolean(), fc.boolean(), fc.boolean())
  .map(([root, stream, crlf, mark, cut]) => {
    const draw: Draw = (choices) => (stream.next().value as number) % choices;
    let text = writer(draw)(root);
    if (cut) text = text.replace(/\n+$/, '');
    if (crlf) text = text.replaceAll('\n', '\r\n');
    return mark ? `\uFEFF${text}` : text;
  });

export const tomlText = tomlTextOf(table(2));

/** A path that is there or could be, drawn by walking through a value. */
export const pathIn = (root: unknown, choices: number[], fresh: string): (string | number)[] => {
  const path: (string | number)[] = [];
  let current = root;
  for (const choice of choices) {
    if (Array.isArray(current)) {
      const at = choice % (current.length + 1);
      path.push(at);
      if (at === current.length) return path;
      current = current[at];
    } else if (isTable(current)) {
      const names = Object.keys(current);
      const at = choice % (names.length + 1);
      path.push(names[at] ?? fresh);
      if (at === names.length) return path;
      current = (current as Record<string, unknown>)[names[at]!];
    } else break;
  }
  return path.length === 0 ? [fresh] : path;
};
