/** The line below which everything is git's; it begins with what begins a comment. */
const SCISSORS = /^(\S+) -{8,} >8 -{8,}$/;

/** What git takes instead of `#` when it is free to choose (core.commentChar=auto). */
const FREE_CHOICE = '#;@!$%^&|:';

export interface MessageParts {
  /** The lines above git's scissors, comments among them. */
  lines: string[];
  /** The scissors line and the diff below it, as they are. */
  rest: string;
  /** What begins a line that git drops; undefined when it keeps all lines. */
  comment: string | undefined;
}

/** How git will treat a message after its hooks. */
interface MessageSettings {
  /** core.commentChar, `auto` included. */
  commentChar: string;
  /** commit.cleanup. */
  cleanup: string;
  /** Only what a person has edited is freed from comments; of a message from elsewhere they are a part (`#12: fixed`). */
  edited: boolean;
}

/** Splits a message as git hands it to its hooks. */
export const splitMessage = (text: string, { commentChar, cleanup, edited }: MessageSettings): MessageParts => {
  const all = text.replace(/\n$/, '').split('\n');
  const at = all.findIndex((line) => SCISSORS.test(line.trimEnd()));
  const cut = at === -1 ? all.length : at;
  const lines = all.slice(0, cut);
  const last = lines.findLast((line) => line.trim() !== '')?.[0] ?? '#';
  const chosen = SCISSORS.exec(all[cut]?.trimEnd() ?? '')?.[1] ?? (FREE_CHOICE.includes(last) ? last : '#');
  const comment = commentChar === 'auto' ? chosen : commentChar;
  // An editor that does nothing may also be somebody's own choice: then git's comments, with an empty one among them, are there all the same.
  const drops = cleanup === 'strip' || (cleanup === 'default' && (edited || lines.includes(comment)));
  return { lines, rest: cut === all.length ? '' : `${all.slice(cut).join('\n')}\n`, comment: drops ? comment : undefined };
};

const isComment = (line: string, comment: string | undefined): boolean => comment !== undefined && line.startsWith(comment);

/** What of a message git would keep. */
export const keptText = ({ lines, comment }: MessageParts): string => lines.filter((line) => !isComment(line, comment)).join('\n').trim();

/** Whether there is nothing in it that would be kept: such a commit is to be aborted, not to be signed. */
export const isEmptyMessage = (parts: MessageParts): boolean => keptText(parts).split('\n').every((line) => /^\s*$|^signed-off-by:/i.test(line));

/** A trailer as two are compared: key and address, or the whole value where there is no address. */
const sameKey = (line: string): string => {
  const [, key = '', value = ''] = /^([A-Za-z-]+):\s*(.*?)\s*$/.exec(line) ?? [];
  return `${key.toLowerCase()}:${(/<([^>]*)>$/.exec(value)?.[1] ?? value).toLowerCase()}`;
};

/** Git indents the messages of commits that it squashes; elsewhere an indented line is a quotation. */
const isOfSquash = (lines: readonly string[]): boolean => lines.some((line) => line.trimEnd() === 'Squashed commit of the following:');

/**
 * Takes the known trailers out of the lines of a message, wherever they stand, each
 * once and in their order: those of a squashed commit stand in the middle, and
 * doubled ones anywhere. `final` are the lines of git's own last block: known ones
 * that all stand there once stay where they are.
 */
export const gatherTrailers = (lines: readonly string[], known: readonly string[], final: readonly string[]): { lines: readonly string[]; moved: string[] } => {
  const wanted = new Set(known.map(sameKey));
  const plain = isOfSquash(lines) ? (line: string) => line.trim() : (line: string) => line.trimEnd();
  const isKnown = (line: string): boolean => wanted.has(sameKey(plain(line)));
  const found = lines.filter(isKnown).map(plain);
  const isInPlace = found.length === final.filter(isKnown).length && new Set(found.map(sameKey)).size === found.length;
  if (isInPlace) return { lines, moved: [] };
  const seen = new Set<string>();
  const moved = found.filter((line) => !seen.has(sameKey(line)) && seen.add(sameKey(line)));
  return { lines: lines.filter((line) => !isKnown(line)), moved };
};

/** The trailers that a message does not have yet. */
export const missingTrailers = (wanted: readonly string[], present: readonly string[]): string[] => {
  const there = new Set(present.map(sameKey));
  return wanted.filter((line) => !there.has(sameKey(line)));
};
