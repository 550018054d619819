/** Where a commit's message ends and what git itself put below it begins. */
const SCISSORS = / -{8,} >8 -{8,}$/;

export interface MessageParts {
  /** Lines that git would keep, comments among them. */
  lines: string[];
  /** The scissors line and the diff below it, as they are. */
  rest: string;
}

/** Splits a message as git hands it to its hooks. `comment` begins a line that is not kept. */
export const splitMessage = (text: string, comment: string): MessageParts => {
  const lines = text.split('\n');
  const cut = lines.findIndex((line) => line.startsWith(comment) && SCISSORS.test(line.trimEnd()));
  return cut === -1 ? { lines, rest: '' } : { lines: lines.slice(0, cut), rest: lines.slice(cut).join('\n') };
};

/** Whether there is nothing in it that would be kept: such a commit is to be aborted, not to be signed. */
export const isEmptyMessage = ({ lines }: MessageParts, comment: string): boolean =>
  lines.every((line) => line.trim() === '' || line.startsWith(comment) || /^signed-off-by:/i.test(line));

/** A trailer as two are compared: key and address, or the whole value where there is no address. */
const sameKey = (line: string): string => {
  const [, key = '', value = ''] = /^([A-Za-z-]+):\s*(.*?)\s*$/.exec(line) ?? [];
  return `${key.toLowerCase()}:${(/<([^>]*)>$/.exec(value)?.[1] ?? value).toLowerCase()}`;
};

/**
 * Takes the known trailers out of a message, wherever they stand, each once and in
 * their order: those of a squashed commit stand in the middle, and doubled ones
 * anywhere. `final` are the lines of git's own last block: known ones that all
 * stand there once stay where they are.
 */
export const gatherTrailers = (
  { lines, rest }: MessageParts,
  known: readonly string[],
  final: readonly string[],
): { message: string; moved: string[] } => {
  const wanted = new Set(known.map(sameKey));
  // Git indents the messages of commits that it squashes.
  const isKnown = (line: string): boolean => wanted.has(sameKey(line.trim()));
  const found = lines.filter(isKnown).map((line) => line.trim());
  const inFinal = final.filter(isKnown);
  const isInPlace = found.length === inFinal.length && new Set(found.map(sameKey)).size === found.length;
  if (isInPlace) return { message: joined(lines, rest), moved: [] };
  const seen = new Set<string>();
  const moved = found.filter((line) => !seen.has(sameKey(line)) && seen.add(sameKey(line)));
  return { message: joined(lines.filter((line) => !isKnown(line)), rest), moved };
};

const joined = (lines: readonly string[], rest: string): string => (rest === '' ? lines.join('\n') : `${lines.join('\n')}\n${rest}`);

/** The trailers that a message does not have yet. */
export const missingTrailers = (wanted: readonly string[], present: readonly string[]): string[] => {
  const there = new Set(present.map(sameKey));
  return wanted.filter((line) => !there.has(sameKey(line)));
};
