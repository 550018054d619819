import { HOSTS_FILE, type HostsTable, parseHosts } from '../agents/github-login.ts';
import { isTable } from '../agents/judge.ts';
import { parseKimiConfig } from '../agents/kimi-config.ts';
import { Secret } from '../shared/secret.ts';

/** A secret in a file: where it stands, and what it is. */
export interface FileSecret {
  /** Keys that lead to it, such as `tokens.access_token`. */
  key: string;
  secret: Secret;
}

/** Shorter texts under such keys are names and flags: tokens are longer. */
const MIN_LENGTH = 12;
const MAX_DEPTH = 32;

/** Longer than any of these words. */
const MAX_KIND = 40;

const SECRET_KEY = /(token|key|secret|password|passwd|credential|authorization|cookie|access|refresh|jwt)s?$/i;

/** `apiKey@https://…` names the server behind the `@`; a second key of a kind may have a number. */
const isSecretKey = (key: string): boolean => {
  const [kind = ''] = key.split('@');
  let end = kind.length;
  // Not by a pattern: the agent may write a key of a million brackets, and each would be looked for to the end.
  while (end > 0 && !/[A-Za-z]/.test(kind[end - 1]!)) end -= 1;
  return SECRET_KEY.test(kind.slice(Math.max(0, end - MAX_KIND), end));
};

/** What also stands under such keys and is no secret: an address without a password, and a time. */
const ORDINARY = /^(https?:\/\/[^@\s]*|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)?)$/i;

interface Text {
  path: string[];
  text: string;
}

/** Texts whose key says that they are a secret; of a list with such a key all of them. */
function* textsBelow(value: unknown, path: string[], isSecret: boolean, depth = 0): Generator<Text> {
  if (typeof value === 'string') {
    if (isSecret) yield { path, text: value };
    return;
  }
  if (depth >= MAX_DEPTH) return;
  if (Array.isArray(value)) {
    for (const item of value) yield* textsBelow(item, path, isSecret, depth + 1);
    return;
  }
  if (!isTable(value)) return;
  for (const [key, item] of Object.entries(value)) {
    // Such a table of Kimi's says in which file its credential is.
    if (key === 'key' && Object.hasOwn(value, 'storage')) continue;
    yield* textsBelow(item, [...path, key], isSecretKey(key), depth + 1);
  }
}

const tableOfHosts = (hosts: HostsTable): Record<string, unknown> =>
  Object.fromEntries([...hosts].map(([key, value]) => [key, typeof value === 'string' ? value : tableOfHosts(value)]));

const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The content of a file in one of the forms that agents and gh write; undefined when it is broken. */
const parse = (file: string, text: string): unknown => {
  if (file.endsWith('.toml')) {
    const parsed = parseKimiConfig(text);
    return 'config' in parsed ? parsed.config : undefined;
  }
  if (file.endsWith(HOSTS_FILE)) {
    const hosts = parseHosts(text);
    return hosts && tableOfHosts(hosts);
  }
  return jsonIn(text);
};

/** A key and a value on one line, in any of these forms: what a broken file still gives away. Bounded, since the agent may have written it. */
const PAIR = /(?<![\w.@:/-])["']?([\w.@:/-]{1,200})["']?[ \t]{0,20}[:=][ \t]{0,20}(?:"((?:[^"\\\n]|\\.){0,16384})"?|'([^'\n]{0,16384})'?|([^\s"',}\]]{1,16384}))/g;

const textsInLines = (text: string): Text[] =>
  [...text.matchAll(PAIR)].flatMap(([, key = '', quoted, single, bare]) => {
    if (!isSecretKey(key)) return [];
    const value = quoted === undefined ? (single ?? bare ?? '') : (jsonIn(`"${quoted}"`) ?? quoted);
    return typeof value === 'string' ? [{ path: [key], text: value }] : [];
  });

/**
 * The secrets in the text of a credential file: values under keys such as `access_token`,
 * `apiKey@…` or `OPENAI_API_KEY`, in JSON, TOML (`*.toml`) and gh's `hosts.yml`. A file that
 * cannot be parsed is searched line by line. Linear in its length.
 */
export const secretsIn = (file: string, text: string): FileSecret[] => {
  const parsed = parse(file, text);
  const texts = parsed === undefined ? textsInLines(text) : [...textsBelow(parsed, [], false)];
  return texts.flatMap(({ path, text: value }) => {
    const bare = value.trim().replace(/^(bearer|basic|token) +/i, '');
    return bare.length < MIN_LENGTH || ORDINARY.test(bare) ? [] : [{ key: path.join('.'), secret: new Secret(bare) }];
  });
};

const SECRET_WORDS = new Set(
  'token key apikey secret password passwd pass pwd passphrase credential credentials auth cookie session jwt pat dsn private'.split(' '),
);

const wordsOf = (name: string): string[] => name.toLowerCase().split(/[^a-z]+/);

/**
 * Whether the value of a variable is a secret, as far as one can tell: its name says so, or
 * it looks like one. Paths, addresses and ordinary words stand in every image, and finding
 * them would say nothing.
 */
export const isSecretVariable = (name: string, secret: Secret): boolean => {
  const value = secret.reveal();
  if (wordsOf(name).some((word) => SECRET_WORDS.has(word) || /(token|key|secret|password)s?$/.test(word))) return true;
  if (value.includes('-----BEGIN ')) return true;
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(value)) return /^[^/]*\/\/[^/@\s]*:[^/@\s]+@/.test(value);
  if (/^[/~.]/.test(value) || /\s/.test(value)) return false;
  return value.length >= 16 && /\d/.test(value) && /[a-z]/i.test(value);
};
