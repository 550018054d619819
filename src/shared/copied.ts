import { JackinError } from './errors.ts';

/** Why something of a tree is not copied: a link that leads out of the tree, neither file nor directory nor link, a name that is not UTF-8. */
export const SKIP_REASONS = ['link', 'special', 'name'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** What was read or written of a tree so far. */
export interface Copied {
  files: number;
  directories: number;
  links: number;
  /** Of the files' content. */
  bytes: number;
}

export interface Skipped {
  total: number;
  /** The first of them; the list is bounded, since a tree of links only may be large. */
  named: { path: string; why: SkipReason }[];
}

/** What is true of a copy before it begins. */
export const newTally = (): { copied: Copied; skipped: Skipped } => ({
  copied: { files: 0, directories: 0, links: 0, bytes: 0 },
  skipped: { total: 0, named: [] },
});

/** A tree or a stream with more is refused. */
export const MAX_ENTRIES = 1_000_000;

/** A longer path below the root is refused. */
export const MAX_NAME_BYTES = 4096;

/** Every level of a tree keeps a directory open, and the system allows so many at once and no more. */
export const tooDeep = (root: string, level: number, cause: unknown): JackinError =>
  new JackinError('failed', `${root} has too many levels: at level ${level} the system allows no more open directories; raise the limit (ulimit -n), or copy its parts`, { cause });

/**
 * What the program inside writes to stderr as its last line, as JSON, however it ends.
 * Without it the stream was cut.
 */
export interface CopyReport {
  copied: Copied;
  skipped: Skipped;
  /** A code of `JackinError`, and what happened, in one line. */
  failed?: { code: string; message: string };
}

/**
 * Whether a link of a tree can only lead to what is in the tree. `..` counts at its
 * beginning alone, where it goes up from the real directory of the link; after a name
 * it would go up from wherever that name, perhaps a link itself, has led to.
 *
 * @param link path below the root of the tree, with forward slashes
 */
export const staysInside = (link: string, target: string): boolean => {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false;
  let above = link.split('/').length - 1;
  let isDescending = false;
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') isDescending = true;
    else if (isDescending || above === 0) return false;
    else above -= 1;
  }
  return true;
};
