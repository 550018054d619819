/**
 * What gh keeps of its logins: the file `hosts.yml`. Only the form that gh itself
 * writes is understood: keys, indentation, and texts on one line. The agent can
 * write the container's copy, and general YAML readers can be made to run for
 * minutes or out of memory with a few kilobytes; this one is linear.
 */

export const HOSTS_FILE = 'hosts.yml';

/** The host whose login is forwarded. */
export const GITHUB = 'github.com';

export interface HostsTable extends Map<string, string | HostsTable> {}

/** What `hosts.yml` says of github.com. gh may keep the token in a password store instead. */
export interface HostsLogin {
  user: string | undefined;
  token: string | undefined;
}

/** Larger than any file of gh, and small enough to be read at once. */
const MAX_LENGTH = 256 * 1024;
const MAX_DEPTH = 8;

const LINE = /^( *)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\w.][\w.:@+-]*):(?: +(.*))?$/s;
const PLAIN = /^[^\s'"#&*!|>%@`,[\]{}?:-]\S*(?: \S+)*$/;

/** The text of a scalar; undefined when it is none of gh's. */
const readText = (raw: string): string | undefined => {
  if (raw === '' || raw === '{}') return '';
  if (/^'(?:[^']|'')*'$/.test(raw)) return raw.slice(1, -1).replaceAll("''", "'");
  if (raw.startsWith('"')) {
    try {
      const value: unknown = JSON.parse(raw);
      return typeof value === 'string' ? value : undefined;
    } catch {
      return undefined;
    }
  }
  return PLAIN.test(raw) && !raw.includes(': ') && !raw.includes(' #') && !raw.endsWith(':') ? raw : undefined;
};

interface Level {
  indent: number;
  table: HostsTable;
  /** The last key, when it has no text and so may have a table below it. */
  open: string | undefined;
}

/** The level that a line of this indentation stands in; undefined when it fits none. */
const levelFor = (levels: Level[], indent: number): Level | undefined => {
  const last = levels.at(-1)!;
  if (indent > last.indent) {
    if (last.open === undefined || levels.length === MAX_DEPTH) return undefined;
    const table: HostsTable = new Map();
    last.table.set(last.open, table);
    levels.push({ indent, table, open: undefined });
  }
  while (levels.at(-1)!.indent > indent) levels.pop();
  return levels.at(-1)!.indent === indent ? levels.at(-1) : undefined;
};

/** The content of a `hosts.yml`; undefined when it is not of the form that gh writes. */
export const parseHosts = (text: string): HostsTable | undefined => {
  if (text.length > MAX_LENGTH) return undefined;
  const root: HostsTable = new Map();
  if (text.trim() === '{}') return root;
  const levels: Level[] = [{ indent: 0, table: root, open: undefined }];
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#.*)?$/s.test(line)) continue;
    const [, spaces = '', rawKey = '', rawValue = ''] = LINE.exec(line.trimEnd()) ?? [];
    const key = readText(rawKey);
    const value = readText(rawValue.trim());
    const level = levelFor(levels, spaces.length);
    if (!key || value === undefined || level === undefined || level.table.has(key)) return undefined;
    level.table.set(key, value);
    level.open = rawValue.trim() === '' ? key : undefined;
  }
  return root;
};

const printText = (text: string): string => (/^\w[\w.@-]*$/.test(text) ? text : JSON.stringify(text));

/** Text of a `hosts.yml`, indented as gh does it. */
export const printHosts = (table: HostsTable, indent = ''): string =>
  [...table]
    .map(([key, value]) =>
      typeof value === 'string'
        ? `${indent}${printText(key)}:${value === '' ? '' : ` ${printText(value)}`}\n`
        : `${indent}${printText(key)}:\n${printHosts(value, `${indent}    `)}`,
    )
    .join('');

const tableAt = (table: HostsTable, key: string): HostsTable => {
  const value = table.get(key);
  return value instanceof Map ? value : new Map();
};

const textAt = (table: HostsTable, key: string): string | undefined => {
  const value = table.get(key);
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** Users end up in terminals and in files: only what GitHub allows in a name, and a little more for bots. */
const userName = (text: string | undefined): string | undefined => (text !== undefined && /^[\w.[\]-]{1,100}$/.test(text) ? text : undefined);

/** Whether a text can be a token at all: one word of printable ASCII. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]{1,4096}$/.test(text);

/** The login for github.com, in gh's older form or in the one with several accounts; undefined when there is none. */
export const loginIn = (hosts: HostsTable): HostsLogin | undefined => {
  if (!hosts.has(GITHUB)) return undefined;
  const entry = tableAt(hosts, GITHUB);
  const name = textAt(entry, 'user');
  const token = textAt(entry, 'oauth_token') ?? textAt(tableAt(tableAt(entry, 'users'), name ?? ''), 'oauth_token');
  return { user: userName(name), token: token !== undefined && isToken(token) ? token : undefined };
};

/** The same hosts with this login for github.com, in both of gh's forms, so that no gh needs to convert it. */
export const withLogin = (hosts: HostsTable, { user, token }: { user: string; token: string }): HostsTable =>
  new Map([
    ...hosts,
    [
      GITHUB,
      new Map<string, string | HostsTable>([
        ['git_protocol', 'https'],
        ['users', new Map([[user, new Map([['oauth_token', token]])]])],
        ['user', user],
        ['oauth_token', token],
      ]),
    ],
  ]);
