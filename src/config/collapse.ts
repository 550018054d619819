import path from 'node:path';
import { JackinError } from '../shared/errors.ts';
import { expandHome } from './paths.ts';
import type { WorkspaceToml } from './schema.ts';
import { contains, withoutTrailingSlash } from './values.ts';

export type MountToml = WorkspaceToml['mounts'][number];

/** A mount that adds nothing to another one, which shows the same files at the same place. */
export interface CoveredMount {
  mount: MountToml;
  by: MountToml;
}

/** Whether `outer` maps what `inner` maps to the very same place. */
const mapsTheSame = (outer: MountToml, inner: MountToml, home: string): boolean => {
  if (!contains(outer.dst, inner.dst)) return false;
  const offset = path.posix.relative(outer.dst, inner.dst);
  const source = path.posix.join(expandHome(outer.src, home), offset);
  return withoutTrailingSlash(source) === withoutTrailingSlash(expandHome(inner.src, home));
};

const access = ({ readonly }: MountToml): string => (readonly ? 'read-only' : 'writable');

const covers = (outer: MountToml, inner: MountToml, home: string): boolean => {
  // An isolated copy inside of shared files, or the other way round, is not the same files.
  if (!mapsTheSame(outer, inner, home) || (outer.isolation ?? 'shared') !== (inner.isolation ?? 'shared')) return false;
  if (access(outer) === access(inner)) return true;
  throw new JackinError('usage', `the mounts ${outer.dst} (${access(outer)}) and ${inner.dst} (${access(inner)}) show the same files with different access`, {
    hint: 'leave one of them out, or give both the same access',
  });
};

/**
 * The mounts that another one covers. Two that are alike: the later one is covered.
 * Different access is an error. Only pairs with a mount that `isMeant` are looked at.
 */
export const coveredMounts = (mounts: readonly MountToml[], home: string, isMeant: (mount: MountToml) => boolean = () => true): CoveredMount[] =>
  mounts.flatMap((mount, index) => {
    const isCovering = (other: MountToml, at: number): boolean => {
      if (at === index || !contains(other.dst, mount.dst) || !(isMeant(mount) || isMeant(other))) return false;
      const isTwin = withoutTrailingSlash(other.dst) === withoutTrailingSlash(mount.dst);
      return (!isTwin || at < index) && covers(other, mount, home);
    };
    const by = mounts.find(isCovering);
    return by === undefined ? [] : [{ mount, by }];
  });

/** For a summary: which mount was left out, and why that changes nothing. */
export const describeCovered = ({ mount, by }: CoveredMount): string => `${mount.dst} is left out: the mount ${by.dst} shows the same files there`;
