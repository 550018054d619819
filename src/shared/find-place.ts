import { readlinkSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { closeDirectory, type Directory, entryOf, hasAnchors, lookIn, openBelow, openTop, shownOf } from './directory.ts';
import { isErrno, JackinError } from './errors.ts';
import { identityOf } from './same-place.ts';

/**
 * Finding of a place that a person has named. The path is walked name by name, each
 * directory held by its descriptor, so that an agent cannot exchange a part of it for a
 * link on the way. Links are followed as the system does it, but for those that lie
 * where an agent may write: a link there may be its doing.
 */

/** A directory of this machine that the agent of an instance may write to. */
export interface WritableMount {
  source: string;
  instance: string;
}

/** Places on this machine that agents may write to, and whether the system can hold directories. */
export interface Exposure {
  mounts: readonly WritableMount[];
  platform: NodeJS.Platform;
}

/** For the agent's own place: there its links are followed with its own rights. */
export const notExposed = (): Exposure => ({ mounts: [], platform: process.platform });

/** The directory is the caller's to close: itself, or the one that the entry is in. */
export type Found =
  | { directory: Directory }
  /** No directory. `stats` are of the entry itself, `end` of what it leads to. */
  | { parent: Directory; name: string; stats: Stats | undefined; end: Stats | undefined };

interface Walk {
  place: string;
  exposure: Exposure;
  mounts: ReadonlyMap<string, WritableMount>;
  /** From the top down to where the walk is. */
  stack: Directory[];
  rest: string[];
  turns: number;
}

/** As many as Linux follows. */
const MAX_TURNS = 40;

const partsOf = (place: string): string[] => place.split('/').filter((part) => part !== '');

const mountsByIdentity = ({ mounts }: Exposure): Map<string, WritableMount> =>
  new Map(mounts.flatMap((mount): [string, WritableMount][] => {
    const identity = identityOf(mount.source);
    return identity === undefined ? [] : [[identity, mount]];
  }));

/** The innermost mount that the walk is in. */
const mountOf = ({ stack, mounts }: Walk): WritableMount | undefined => {
  const root = stack.findLast(({ identity }) => mounts.has(identity));
  return root && mounts.get(root.identity);
};

const refuseLink = (directory: Directory, name: string, leadsTo: string, { source, instance }: WritableMount): JackinError => {
  const real = path.resolve(directory.path, leadsTo);
  return new JackinError('conflict', `${shownOf(directory, name)} is a link to ${real}, and the agent of instance ${instance} can make links there (${source} is mounted): it is not followed`, {
    hint: `if the link is yours, name the real place itself: ${real}`,
  });
};

/** Without descriptors nothing can be held in a place that an agent may change meanwhile. */
const assertHeld = (walk: Walk): void => {
  const mount = mountOf(walk);
  if (mount === undefined || hasAnchors(walk.exposure.platform)) return;
  const why = `the agent of instance ${mount.instance} can write there (${mount.source} is mounted), and this system has no way to hold a directory that an agent exchanges for a link meanwhile`;
  throw new JackinError('conflict', `${walk.place} cannot be copied from or to: ${why}`, {
    hint: `name a place outside of ${mount.source}; what lies in it, the instance has already`,
  });
};

const notADirectory = ({ place }: Walk): JackinError => new JackinError('conflict', `${place} cannot be there: a part of the path is not a directory`);

const turn = (walk: Walk): void => {
  walk.turns += 1;
  if (walk.turns > MAX_TURNS) throw new JackinError('conflict', `${walk.place} leads through more than ${MAX_TURNS} links`);
};

const endOf = (directory: Directory, name: string): Stats | undefined => {
  try {
    return statSync(entryOf(directory, name));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
};

const followLink = (walk: Walk, leadsTo: string): void => {
  turn(walk);
  if (leadsTo.startsWith('/')) while (walk.stack.length > 1) closeDirectory(walk.stack.pop()!);
  walk.rest.unshift(...partsOf(leadsTo), ...(leadsTo.endsWith('/') ? ['.'] : []));
};

/** Goes on by one name. Returns the entry when it is the last one, and no directory that is to be entered. */
const step = (walk: Walk, name: string, follows: (end: Stats) => boolean): Found | undefined => {
  const here = walk.stack.at(-1)!;
  const isLast = walk.rest.length === 0;
  const stats = lookIn(here, name);
  if (stats === undefined && !isLast) throw new JackinError('not-found', `the directory ${shownOf(here, name)} does not exist`);
  if (stats?.isDirectory()) {
    const below = openBelow(here, name);
    if (below !== undefined) walk.stack.push(below);
    else {
      // It was exchanged just now: what it is by then counts.
      turn(walk);
      walk.rest.unshift(name);
    }
    return undefined;
  }
  const entry = (end: Stats | undefined): Found => ({ parent: here, name, stats, end });
  if (!stats?.isSymbolicLink()) {
    if (!isLast) throw notADirectory(walk);
    return entry(stats);
  }
  const leadsTo = readlinkSync(entryOf(here, name));
  const mount = mountOf(walk);
  if (mount !== undefined) throw refuseLink(here, name, leadsTo, mount);
  const end = isLast ? endOf(here, name) : undefined;
  if (isLast && (end === undefined || !follows(end))) return entry(end);
  followLink(walk, leadsTo);
  return undefined;
};

const walkOn = (walk: Walk, follows: (end: Stats) => boolean): Found => {
  for (;;) {
    const name = walk.rest.shift();
    if (name === undefined) return { directory: walk.stack.at(-1)! };
    if (name === '..' && walk.stack.length > 1) closeDirectory(walk.stack.pop()!);
    if (name === '.' || name === '..') continue;
    const found = step(walk, name, follows);
    if (found !== undefined) return found;
  }
};

/**
 * Finds what an absolute path means. A link in the last place is followed when `follows`
 * says so of what it leads to, else it is the entry itself. Throws `not-found` and
 * `conflict` for a path that leads nowhere, or through a link that an agent may have made.
 */
export const findPlace = (place: string, exposure: Exposure, follows: (end: Stats) => boolean): Found => {
  const walk: Walk = { place, exposure, mounts: mountsByIdentity(exposure), stack: [], rest: partsOf(place), turns: 0 };
  try {
    walk.stack.push(openTop(exposure.platform));
    const found = walkOn(walk, follows);
    assertHeld(walk);
    if ('parent' in found && found.stats !== undefined && place.endsWith('/')) throw notADirectory(walk);
    // The caller's from here on.
    walk.stack.pop();
    return found;
  } finally {
    for (const directory of walk.stack) closeDirectory(directory);
  }
};
