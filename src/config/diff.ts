/** Lines around a change that are shown. */
const CONTEXT = 3;
/** Above this many cells the table of the longest common part is not worth its memory. */
const MAX_CELLS = 4_000_000;

interface Line {
  sign: ' ' | '-' | '+';
  text: string;
}

const lines = (sign: Line['sign'], texts: string[]): Line[] => texts.map((text) => ({ sign, text }));

/** The longest common part, by the usual table; files that are too large are told apart as a whole. */
const diffMiddle = (before: string[], after: string[]): Line[] => {
  const width = after.length + 1;
  if ((before.length + 1) * width > MAX_CELLS) return [...lines('-', before), ...lines('+', after)];
  const common = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        before[i] === after[j] ? common[(i + 1) * width + j + 1]! + 1 : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
    }
  }
  const result: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length && j < after.length) {
    if (before[i] === after[j]) {
      result.push({ sign: ' ', text: before[i]! });
      i += 1;
      j += 1;
    } else if (common[(i + 1) * width + j]! >= common[i * width + j + 1]!) {
      result.push({ sign: '-', text: before[i]! });
      i += 1;
    } else {
      result.push({ sign: '+', text: after[j]! });
      j += 1;
    }
  }
  return [...result, ...lines('-', before.slice(i)), ...lines('+', after.slice(j))];
};

const diffLines = (before: string[], after: string[]): Line[] => {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let tail = 0;
  while (tail < before.length - start && tail < after.length - start && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const middle = diffMiddle(before.slice(start, before.length - tail), after.slice(start, after.length - tail));
  return [...lines(' ', before.slice(0, start)), ...middle, ...lines(' ', before.slice(before.length - tail))];
};

/** Ranges of lines that are shown: each change with its surroundings, those that meet as one. */
const hunksOf = (all: Line[]): [from: number, to: number][] => {
  const hunks: [number, number][] = [];
  all.forEach(({ sign }, index) => {
    if (sign === ' ') return;
    const [from, to] = [Math.max(0, index - CONTEXT), Math.min(all.length, index + CONTEXT + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else hunks.push([from, to]);
  });
  return hunks;
};

const range = (start: number, count: number): string => `${count === 0 ? start : start + 1},${count}`;

const splitLines = (text: string): string[] => {
  const parts = text.split(/\r?\n/);
  if (parts.at(-1) === '') parts.pop();
  return parts;
};

/** The unified diff of two texts, without a header; empty when no line differs. */
export const unifiedDiff = (before: string, after: string): string => {
  const all = diffLines(splitLines(before), splitLines(after));
  const countUntil = (end: number, sign: '-' | '+') => all.slice(0, end).filter((line) => line.sign === ' ' || line.sign === sign).length;
  return hunksOf(all)
    .map(([from, to]) => {
      const [oldStart, newStart] = [countUntil(from, '-'), countUntil(from, '+')];
      const head = `@@ -${range(oldStart, countUntil(to, '-') - oldStart)} +${range(newStart, countUntil(to, '+') - newStart)} @@`;
      return [head, ...all.slice(from, to).map(({ sign, text }) => `${sign}${text}`)].join('\n');
    })
    .join('\n');
};
