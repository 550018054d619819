import type { KeyPath, TomlDocument } from './document.ts';

/** How TOML writes a NUL character. A raw one is no TOML. */
const ESCAPED = /\\(u0000|U00000000|x00)/;

const collect = (value: unknown, path: KeyPath, found: KeyPath[]): void => {
  if (typeof value === 'string') {
    if (value.includes('\0')) found.push(path);
  } else if (Array.isArray(value)) {
    value.forEach((element, index) => collect(element, [...path, index], found));
  } else if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    for (const [key, inner] of Object.entries(value)) {
      if (key.includes('\0')) found.push([...path, key]);
      else collect(inner, [...path, key], found);
    }
  }
};

/**
 * Finds the keys and values with a NUL character. The system's interfaces cut a text
 * there, so that no path, variable, argument or name can hold one.
 */
export const findNul = ({ text, value }: TomlDocument): KeyPath[] => {
  const found: KeyPath[] = [];
  if (ESCAPED.test(text)) collect(value, [], found);
  return found;
};
