/** Edit distance (insert, delete, replace, swap of neighbours), cut off above `limit`. */
const distance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
};

const MAX_LENGTH = 64;

/** The known words that `word` may have been meant to be, nearest first, at most three. */
export const nearest = (word: string, known: Iterable<string>): string[] => {
  if (word.length > MAX_LENGTH) return [];
  const limit = Math.max(2, Math.floor(word.length / 3));
  const normal = (text: string) => text.toLowerCase().replaceAll('-', '_');
  return [...new Set(known)]
    .map((candidate) => ({ candidate, far: distance(normal(word), normal(candidate), limit) }))
    .filter(({ candidate, far }) => far <= limit && far < Math.max(word.length, candidate.length))
    .sort((a, b) => a.far - b.far || a.candidate.localeCompare(b.candidate))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
};

/** `did you mean "a" or "b"?`, or an empty string. */
export const didYouMean = (word: string, known: Iterable<string>): string => {
  const found = nearest(word, known);
  return found.length === 0 ? '' : `did you mean ${found.map((name) => `"${name}"`).join(' or ')}?`;
};
