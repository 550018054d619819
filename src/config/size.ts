/** Keys, tables, list elements and the dots of their names together. An honest file comes nowhere near it. */
export const MAX_TOML_ITEMS = 10_000;

/** Comments have a limit of their own, because people write more of them than keys. */
export const MAX_TOML_COMMENTS = 50_000;

/** No variable, path or argument needs a longer one, and the parser that knows places has no stack for much more. */
export const MAX_TOML_TEXT = 64 * 1024;

const isQuote = (character: string | undefined): boolean => character === '"' || character === "'";

/** Returns where a text of one line ends; at its line break when nothing closes it. */
const endOfString = (text: string, start: number): number => {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text[at];
    if (character === '\n') return at;
    if (character === quote) return at + 1;
    if (character === '\\' && quote === '"') at += 1;
  }
  return text.length;
};

/** Returns where a text of several lines ends. One or two quotes may stand right before the three that close it. */
const endOfLongString = (text: string, start: number): number => {
  const quote = text[start]!;
  for (let at = start + 3; at < text.length; at += 1) {
    if (text[at] === '\\' && quote === '"') at += 1;
    else if (text.startsWith(quote.repeat(3), at)) {
      let end = at + 3;
      while (end < at + 5 && text[end] === quote) end += 1;
      return end;
    }
  }
  return text.length;
};

const endOfComment = (text: string, start: number): number => {
  const end = text.indexOf('\n', start);
  return end === -1 ? text.length : end;
};

const endOfQuoted = (text: string, start: number): number =>
  text.startsWith(text[start]!.repeat(3), start) ? endOfLongString(text, start) : endOfString(text, start);

interface Excess {
  /** Offset of the first thing that is too many. */
  at: number;
  message: string;
}

/**
 * Finds where a TOML text begins to hold more than a configuration can need. Takes time
 * in proportion to the text: the parsers behind it do not, so it has to come first.
 * The text need not be valid.
 */
export const findExcess = (text: string): Excess | undefined => {
  let items = 0;
  let comments = 0;
  for (let at = 0; at < text.length; ) {
    const character = text[at];
    if (character === '#') {
      comments += 1;
      if (comments > MAX_TOML_COMMENTS) return { at, message: `more than ${MAX_TOML_COMMENTS} comments in one file` };
      at = endOfComment(text, at);
    } else if (isQuote(character)) {
      const end = endOfQuoted(text, at);
      if (end - at > MAX_TOML_TEXT) return { at, message: `a text of more than ${MAX_TOML_TEXT} characters` };
      at = end;
    } else {
      if (character === '=' || character === ',' || character === '[' || character === '{' || character === '.') items += 1;
      if (items > MAX_TOML_ITEMS) return { at, message: `more than ${MAX_TOML_ITEMS} keys, tables and values in one file` };
      at += 1;
    }
  }
  return undefined;
};
