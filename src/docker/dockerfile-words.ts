/*
 * Words of a Dockerfile as builders take them apart: quotes, escapes, variables and
 * options. A rule that looked at the text alone could be led past by any of them.
 */

/** Stands for what cannot be known before a build. No Dockerfile can write it. */
export const UNKNOWN = '\u0000';

/** Returns the value of a variable; {@link UNKNOWN} where only the build can tell. */
export type LookUp = (name: string) => string;

/** Longer words are for nobody's eyes, and variables that hold each other grow without end. */
const MAX_WORD = 4096;

const NAME = /^(?:[A-Za-z_]\w*|\d+)/;

/** Index behind the brace that closes the one before `start`, or -1. */
const endOfBraces = (text: string, start: number): number => {
  let depth = 1;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    if (text[at] === '}') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return -1;
};

/** `${NAME}`, `${NAME:-other}` and `${NAME:+other}`, without their braces. All other forms are for newer builders only. */
const expandBraces = (inside: string, lookUp: LookUp, escape: string): string => {
  const name = NAME.exec(inside)?.[0] ?? '';
  const [, modifier, other = ''] = /^:?([-+])([\s\S]*)$/.exec(inside.slice(name.length)) ?? [];
  const value = name === '' ? UNKNOWN : lookUp(name);
  if (inside === name || value.includes(UNKNOWN)) return value;
  if (modifier === undefined) return UNKNOWN;
  if (modifier === '+') return value === '' ? '' : expandWord(other, lookUp, escape);
  return value === '' ? expandWord(other, lookUp, escape) : value;
};

/** Returns the value for a `$` at the beginning of the text, and how much of the text that takes. */
const expandDollar = (text: string, lookUp: LookUp, escape: string): { value: string; length: number } => {
  if (text[1] === '{') {
    const end = endOfBraces(text, 2);
    return end === -1 ? { value: UNKNOWN, length: text.length } : { value: expandBraces(text.slice(2, end - 1), lookUp, escape), length: end };
  }
  const name = NAME.exec(text.slice(1))?.[0];
  return name === undefined ? { value: '$', length: 1 } : { value: lookUp(name), length: name.length + 1 };
};

/** A word without its quotes and escapes, its variables filled in. What does not end has {@link UNKNOWN} in it. */
export const expandWord = (word: string, lookUp: LookUp, escape: string): string => {
  let out = '';
  let isQuoted = false;
  for (let at = 0; at < word.length; ) {
    if (word.length > MAX_WORD || out.length > MAX_WORD) return UNKNOWN;
    const character = word[at]!;
    if (character === '$') {
      const { value, length } = expandDollar(word.slice(at), lookUp, escape);
      out += value;
      at += length;
    } else if (character === "'" && !isQuoted) {
      const end = word.indexOf("'", at + 1);
      if (end === -1) return out + UNKNOWN;
      out += word.slice(at + 1, end);
      at = end + 1;
    } else if (character === '"') {
      isQuoted = !isQuoted;
      at += 1;
    } else if (character === escape && at + 1 < word.length) {
      const next = word[at + 1]!;
      out += isQuoted && !['"', '$', escape].includes(next) ? character + next : next;
      at += 2;
    } else {
      out += character;
      at += 1;
    }
  }
  return isQuoted ? out + UNKNOWN : out;
};

const BLANK = /\p{White_Space}/u;

/** The options at the beginning of an instruction, without quotes and escapes, and what follows them. */
export const splitOptions = (rest: string): { options: string[]; rest: string } => {
  const options: string[] = [];
  let at = 0;
  for (;;) {
    while (at < rest.length && BLANK.test(rest[at]!)) at += 1;
    if (!rest.startsWith('--', at)) return { options, rest: rest.slice(at) };
    let word = '';
    let quote = '';
    for (; at < rest.length; at += 1) {
      const character = rest[at]!;
      if (character === '\\') word += rest[(at += 1)] ?? '';
      else if (quote === '' && BLANK.test(character)) break;
      else if (quote === '' && (character === '"' || character === "'")) quote = character;
      else if (character === quote) quote = '';
      else word += character;
    }
    if (word === '--') return { options, rest: rest.slice(at).trimStart() };
    options.push(word);
  }
};

/** `--name=value` → its name in lower case and its value. */
export const readOption = (option: string): { name: string; value: string } => {
  const [, name = '', value = ''] = /^--([^=]*)=?([\s\S]*)$/.exec(option) ?? [];
  return { name: name.toLowerCase(), value };
};

/** The list of texts that an instruction is written as; undefined when it is written as words. */
export const readJsonForm = (rest: string): string[] | undefined => {
  if (!rest.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(rest);
    return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
};

const LIST_AND_MORE = /^\[\s*(?:"(?:[^"\\]|\\.)*"\s*(?:,\s*"(?:[^"\\]|\\.)*"\s*)*)?\]\s*\S/;

/** True for a list with something behind it. Some builders read the list and ignore the rest, others read words. */
export const isHalfJson = (rest: string): boolean => LIST_AND_MORE.test(rest);

/** The words of an instruction without its options, in either form, quotes and variables still in them. */
export const wordsOf = (rest: string): string[] => readJsonForm(rest) ?? rest.split(/[\t\v\f\r\n ]+/).filter((word) => word !== '');

/** The fields of a `--mount`, with their keys in lower case. */
export const mountFields = (mount: string): { key: string; value: string }[] =>
  [...mount.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain = '']) => {
    const field = quoted?.replaceAll('""', '"') ?? plain;
    const at = field.indexOf('=');
    return at === -1 ? { key: field.trim().toLowerCase(), value: '' } : { key: field.slice(0, at).trim().toLowerCase(), value: field.slice(at + 1) };
  });
