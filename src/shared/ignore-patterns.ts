import path from 'node:path';
import { JackinError } from './errors.ts';

/** One step of a pattern. `deep` is what `**` and `**` with a slash stand for: any directories, or none. */
type Step =
  | { kind: 'character'; fits: (character: string) => boolean }
  | { kind: 'star' }
  | { kind: 'deep' }
  | { kind: 'rest' };

interface Pattern {
  steps: Step[];
  /** `!`: what fits is kept after all. */
  keeps: boolean;
}

const isNoSlash = (character: string): boolean => character !== '/';

/** What stands between brackets, from behind the opening one. */
const parseClass = (text: string, start: number, bad: () => JackinError): { step: Step; next: number } => {
  const negated = text[start] === '^';
  const ranges: [string, string][] = [];
  let at = negated ? start + 1 : start;
  const take = (): string => {
    if (text[at] === '\\') at += 1;
    const character = text[at];
    if (character === undefined || character === '-') throw bad();
    at += 1;
    return character;
  };
  while (text[at] !== ']' || ranges.length === 0) {
    const first = take();
    if (text[at] !== '-') {
      ranges.push([first, first]);
      continue;
    }
    at += 1;
    ranges.push([first, take()]);
  }
  const fits = (character: string): boolean => isNoSlash(character) && ranges.some(([from, to]) => from <= character && character <= to) !== negated;
  return { step: { kind: 'character', fits }, next: at + 1 };
};

const parseSteps = (text: string, bad: () => JackinError): Step[] => {
  const steps: Step[] = [];
  const exactly = (wanted: string): Step => ({ kind: 'character', fits: (character) => character === wanted });
  for (let at = 0; at < text.length; ) {
    const character = text[at] ?? '';
    if (text.startsWith('**', at)) {
      at += text[at + 2] === '/' ? 3 : 2;
      steps.push({ kind: at >= text.length ? 'rest' : 'deep' });
    } else if (character === '[') {
      const { step, next } = parseClass(text, at + 1, bad);
      steps.push(step);
      at = next;
    } else if (character === '\\') {
      if (text[at + 1] === undefined) throw bad();
      steps.push(exactly(text[at + 1] ?? ''));
      at += 2;
    } else {
      steps.push(character === '*' ? { kind: 'star' } : character === '?' ? { kind: 'character', fits: isNoSlash } : exactly(character));
      at += 1;
    }
  }
  return steps;
};

const clean = (pattern: string): string => path.posix.normalize(pattern).replace(/(?<=.)\/$/, '').replace(/^\/(?=.)/, '');

const parse = (text: string, file: string): Pattern[] =>
  text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .flatMap((raw, index) => {
      const line = raw.trim();
      if (raw.startsWith('#') || line === '') return [];
      const bad = (): JackinError => new JackinError('build.failed', `${file}:${index + 1}: ${JSON.stringify(line.slice(0, 80))} is no pattern`);
      const keeps = line.startsWith('!');
      const pattern = (keeps ? line.slice(1) : line).trim();
      if (pattern === '') throw bad();
      return [{ keeps, steps: parseSteps(clean(pattern), bad) }];
    });

/**
 * Whether a pattern fits a whole path. All places in the pattern that may be reached
 * are followed at once: a regular expression of a stranger could take for ever.
 */
const fits = (steps: readonly Step[], text: string): boolean => {
  const reach = (from: number, into: Set<number>): void => {
    into.add(from);
    const kind = steps[from]?.kind;
    if (kind === 'star' || kind === 'deep' || kind === 'rest') reach(from + 1, into);
  };
  let places = new Set<number>();
  reach(0, places);
  for (const character of text) {
    const next = new Set<number>();
    for (const place of places) {
      const step = steps[place];
      if (step?.kind === 'character' && step.fits(character)) reach(place + 1, next);
      else if (step?.kind === 'rest' || (step?.kind === 'star' && character !== '/')) reach(place, next);
      else if (step?.kind === 'deep') {
        // Inside a directory the next step has to wait for its end.
        next.add(place);
        if (character === '/') reach(place + 1, next);
      }
    }
    places = next;
  }
  return places.has(steps.length);
};

export interface Ignored {
  /** Whether a path with forward slashes, or a directory above it, is ignored. */
  ignores: (path: string) => boolean;
  /** Whether anything below an ignored directory may be kept. */
  hasExceptions: boolean;
}

/** What the text of a `.dockerignore` leaves out, as docker reads it. `file` is for messages; throws `build.failed` with the line. */
export const parseIgnored = (text: string, file: string): Ignored => {
  const patterns = parse(text, file);
  const ignores = (name: string): boolean => {
    const parts = name.split('/');
    const withParents = parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
    const last = patterns.findLast(({ steps }) => withParents.some((one) => fits(steps, one)));
    return last !== undefined && !last.keeps;
  };
  return { ignores, hasExceptions: patterns.some(({ keeps }) => keeps) };
};
