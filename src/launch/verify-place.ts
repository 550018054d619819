import type { Finder, Hit } from '../auth/secret-scan.ts';
import { messageOf } from '../shared/errors.ts';

/** A place that was looked at, or why it was not. */
export interface PlaceReport {
  place: string;
  /** `absent`: there is nothing that could be looked at. `failed`: there is, and it could not be. */
  result: 'clean' | 'found' | 'absent' | 'failed';
  /** What was looked at, or why nothing was. */
  what: string;
  findings: PlaceHit[];
}

export interface PlaceHit extends Hit {
  /** Where in the place. */
  where: string;
}

/** How a place is looked at. Names may hold secrets: they are masked before anybody sees them. */
export interface Look {
  signal: AbortSignal;
  text: (where: string, content: string) => void;
  stream: (where: string, content: AsyncIterable<unknown>) => Promise<void>;
  /** Remembers that something here could not be looked at. */
  miss: (where: string, why: string) => void;
  /** Bytes so far. */
  bytes: () => number;
}

/** What was looked at, in a few words; or why there is nothing. */
export type Looked = string | { absent: string };

export interface PlaceToLook {
  place: string;
  run: (look: Look) => Promise<Looked>;
}

/** More than the largest image needs; a pipe that trickles must not hold the command for ever. */
const LIMIT_MS = 10 * 60_000;
const MAX_TOLD = 20;

/** `1 file`, `2 files`, `3 processes`. */
export const countText = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : what.endsWith('s') ? 'es' : 's'}`;

const UNITS = ['kB', 'MB', 'GB', 'TB'];

/** `12 bytes`, `266 MB`. */
export const sizeText = (bytes: number): string => {
  if (bytes < 1000) return countText(bytes, 'byte');
  const unit = Math.min(UNITS.length, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** unit;
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit - 1]}`;
};

interface Notes {
  findings: PlaceHit[];
  missed: string[];
  bytes: number;
}

const lookWith = (finder: Finder, signal: AbortSignal, notes: Notes): Look => {
  const note = (where: string, hits: Hit[]): void => void notes.findings.push(...hits.map((hit) => ({ ...hit, where: finder.mask(where) })));
  return {
    signal,
    bytes: () => notes.bytes,
    miss: (where, why) => void notes.missed.push(`${finder.mask(where)} ${why}`),
    text: (where, content) => {
      notes.bytes += Buffer.byteLength(content);
      note(where, finder.hitsIn(content));
    },
    stream: async (where, content) => {
      const scan = finder.start();
      try {
        for await (const chunk of content) {
          signal.throwIfAborted();
          scan.push(chunk as Buffer);
          notes.bytes += (chunk as Buffer).length;
        }
      } finally {
        // What breaks off half-way has shown what it has shown.
        note(where, scan.hits());
      }
    },
  };
};

const listed = (items: string[]): string =>
  items.length > MAX_TOLD ? `${items.slice(0, MAX_TOLD).join('; ')} and ${items.length - MAX_TOLD} more` : items.join('; ');

const reportOf = (place: string, looked: Looked, { findings, missed }: Notes): PlaceReport => {
  if (typeof looked !== 'string') return { place, result: 'absent', what: looked.absent, findings };
  const what = missed.length === 0 ? looked : `${looked}; not looked at: ${listed(missed)}`;
  const clean = missed.length === 0 ? 'clean' : 'failed';
  const unique = new Map(findings.map((hit) => [JSON.stringify([hit.where, hit.secret, hit.form]), hit]));
  return { place, result: findings.length > 0 ? 'found' : clean, what, findings: [...unique.values()] };
};

/**
 * Looks at one place. What fails there is told in its report, so that the others are looked
 * at as well; only an interruption is thrown.
 */
export const lookAt = async ({ place, run }: PlaceToLook, finder: Finder, interrupted: AbortSignal, limitMs = LIMIT_MS): Promise<PlaceReport> => {
  interrupted.throwIfAborted();
  const late = AbortSignal.timeout(limitMs);
  const notes: Notes = { findings: [], missed: [], bytes: 0 };
  try {
    const looked = await run(lookWith(finder, AbortSignal.any([interrupted, late]), notes));
    interrupted.throwIfAborted();
    return reportOf(place, looked, notes);
  } catch (error) {
    interrupted.throwIfAborted();
    const why = late.aborted ? `it took longer than ${limitMs / 60_000} minutes` : finder.mask(messageOf(error));
    return { ...reportOf(place, `after ${sizeText(notes.bytes)}: ${why}`, notes), result: notes.findings.length > 0 ? 'found' : 'failed' };
  }
};
