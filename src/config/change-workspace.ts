import { JackinError } from '../shared/errors.ts';
import { type CoveredMount, coveredMounts, type MountToml } from './collapse.ts';
import type { Edit } from './edit-values.ts';
import { didYouMean } from './nearest.ts';
import type { WorkspaceToml } from './schema.ts';
import { withoutTrailingSlash } from './values.ts';

type Isolation = NonNullable<MountToml['isolation']>;

/** Isolation for the mount with this destination. */
export interface MountIsolation {
  dst: string;
  isolation: Isolation;
}

/** What `workspace edit` was asked to change. Undefined leaves a key as it is, null removes it. */
export interface WorkspaceChange {
  workdir: string | undefined;
  mounts: { src: string; dst: string; readonly: boolean }[];
  removeDestinations: string[];
  isolations: MountIsolation[];
  allowRoles: string[];
  disallowRoles: string[];
  defaultRole: string | null | undefined;
  defaultAgent: string | null | undefined;
  keepAwake: boolean | undefined;
  gitPull: boolean | undefined;
}

export interface PlannedChange {
  edits: Edit[];
  /** Mounts that the change makes superfluous, and that go with it. */
  covered: CoveredMount[];
}

const isAt = (dst: string) => (mount: MountToml) => withoutTrailingSlash(mount.dst) === withoutTrailingSlash(dst);

const unknownDestination = (flag: string, dst: string, mounts: MountToml[]): JackinError => {
  const known = mounts.map((mount) => mount.dst);
  return new JackinError('usage', `${flag} ${dst}: no mount has this destination`, {
    hint: didYouMean(dst, known) || `destinations: ${known.join(', ')}`,
  });
};

/** Sets the isolation of mounts by their destination. */
export const withIsolations = (mounts: MountToml[], isolations: MountIsolation[]): MountToml[] => {
  const unknown = isolations.find(({ dst }) => !mounts.some(isAt(dst)));
  if (unknown !== undefined) throw unknownDestination('--mount-isolation', unknown.dst, mounts);
  return mounts.map((mount) => {
    const wanted = isolations.findLast(({ dst }) => isAt(dst)(mount));
    return wanted === undefined ? mount : { ...mount, isolation: wanted.isolation };
  });
};

/** The mounts as they shall be; undefined stands where one goes, so that the others keep their index. */
const changedMounts = (current: MountToml[], change: WorkspaceChange): (MountToml | undefined)[] => {
  for (const dst of change.removeDestinations) {
    if (!current.some(isAt(dst))) throw unknownDestination('--remove-destination', dst, current);
  }
  const added = change.mounts.filter(({ dst }) => !current.some(isAt(dst)));
  const kept = current.map((mount) => ({ ...mount, ...change.mounts.findLast(({ dst }) => isAt(dst)(mount)), dst: mount.dst }));
  const isolated = withIsolations([...kept, ...added.map((mount) => ({ ...mount, isolation: 'shared' as const }))], change.isolations);
  const isRemoved = (mount: MountToml) => change.removeDestinations.some((dst) => isAt(dst)(mount));
  return isolated.map((mount) => (isRemoved(mount) ? undefined : mount));
};

const scalar = (path: Edit['path'], wanted: string | boolean | null | undefined, current: unknown): Edit[] => {
  if (wanted === undefined || wanted === (current ?? null)) return [];
  return [{ path, value: wanted ?? undefined }];
};

const mountEdits = (current: MountToml[], wanted: (MountToml | undefined)[]): Edit[] => {
  const changed = wanted.flatMap((mount, index): Edit[] => {
    const before = current[index];
    if (mount === undefined) return [];
    const { src, dst, readonly = false, isolation = 'shared' } = mount;
    if (before === undefined) return [{ path: ['mounts', index], value: { src, dst, readonly, isolation } }];
    return [
      ...scalar(['mounts', index, 'src'], src, before.src),
      ...(readonly === (before.readonly ?? false) ? [] : scalar(['mounts', index, 'readonly'], readonly, before.readonly)),
      // Written out on every save, so that a file says what it means.
      ...scalar(['mounts', index, 'isolation'], isolation, before.isolation),
    ];
  });
  // The last one first: a removal moves what stands behind it.
  const removed = current.flatMap((_, index): Edit[] => (wanted[index] === undefined ? [{ path: ['mounts', index], value: undefined }] : [])).reverse();
  return [...changed, ...removed];
};

const roleEdits = (current: string[], { allowRoles, disallowRoles }: WorkspaceChange): Edit[] => {
  const absent = disallowRoles.find((role) => !current.includes(role));
  if (absent !== undefined) {
    throw new JackinError('usage', `--remove-allowed-role ${absent}: the workspace does not list this role`, {
      hint: current.length === 0 ? 'it lists none, so that every role may run' : `it lists: ${current.join(', ')}`,
    });
  }
  const added = [...new Set(allowRoles)].filter((role) => !current.includes(role));
  const wanted = [...current, ...added].filter((role) => !disallowRoles.includes(role));
  if (added.length === 0 && disallowRoles.length === 0) return [];
  return [{ path: ['allowed_roles'], value: wanted.length === 0 ? undefined : wanted }];
};

/** Pure: the edits that a change of a saved workspace comes to. `home` is for `~` in sources. */
export const planWorkspaceChange = (current: WorkspaceToml, change: WorkspaceChange, home: string): PlannedChange => {
  const mounts = changedMounts(current.mounts, change);
  const whole = mounts.filter((mount) => mount !== undefined);
  // What was nested before is as its owner wanted it: only a new or changed mount may cover, or be covered.
  const isTouched = (mount: MountToml) => [...change.mounts, ...change.isolations].some(({ dst }) => isAt(dst)(mount));
  const covered = coveredMounts(whole, home, isTouched);
  const wanted = mounts.map((mount) => (covered.some((entry) => entry.mount === mount) ? undefined : mount));
  const { default_role, default_agent, allowed_roles = [], keep_awake, git_pull_on_entry } = current;
  return {
    covered,
    edits: [
      ...scalar(['workdir'], change.workdir, current.workdir),
      ...roleEdits(allowed_roles, change),
      ...scalar(['default_role'], change.defaultRole, default_role),
      ...scalar(['default_agent'], change.defaultAgent, default_agent),
      // Left out when false, as the file format has it.
      ...scalar(['git_pull_on_entry'], change.gitPull === false ? null : change.gitPull, git_pull_on_entry),
      ...(change.keepAwake === (keep_awake?.enabled ?? false) ? [] : scalar(['keep_awake', 'enabled'], change.keepAwake, keep_awake?.enabled)),
      ...mountEdits(current.mounts, wanted),
    ],
  };
};
