import { realpathSync, statSync } from 'node:fs';
import path from 'node:path';

/** A file or directory as the kernel knows it, the same through every mount of it; undefined where none can be looked at. */
export const identityOf = (place: string): string | undefined => {
  try {
    const { dev, ino } = statSync(place);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
};

/** Where a path leads, as far as it is there. */
const realPart = (place: string): string => {
  try {
    return realpathSync(place);
  } catch {
    return place === path.dirname(place) ? place : realPart(path.dirname(place));
  }
};

/** A place and everything above it, as far as it is there. */
export const identitiesAbove = (place: string): string[] => {
  const at = realPart(path.resolve(place));
  const own = [identityOf(at)].filter((identity) => identity !== undefined);
  return at === path.dirname(at) ? own : [...own, ...identitiesAbove(path.dirname(at))];
};
