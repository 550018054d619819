import type { TomlDocument } from './document.ts';
import type { ConfigFiles } from './files.ts';
import { type Origin, originOf } from './layers.ts';
import { expandHome } from './paths.ts';
import type { ConfigToml } from './schema.ts';

export interface MountEntry {
  source: string;
  target: string;
  readonly: boolean;
  isolation: 'shared' | 'worktree' | 'clone';
  origin: Origin;
}

type GlobalMounts = NonNullable<NonNullable<ConfigToml['docker']>['mounts']>;
type GlobalMount = { src: string; dst: string; readonly?: boolean | undefined };

/** A table with a source is a mount; any other holds the mounts of a scope. */
export const isGlobalMount = (entry: GlobalMounts[string]): entry is GlobalMount => 'src' in entry && typeof entry.src === 'string';

/** Whether a scope such as `chainargos/*`, `agent-smith` or `*` means the role. */
export const scopeMatches = (scope: string, role: string): boolean =>
  scope === '*' || scope === role || (scope.endsWith('/*') && role.startsWith(scope.slice(0, -1)));

const globalMounts = (document: TomlDocument, mounts: GlobalMounts, role: string, home: string): MountEntry[] => {
  const entry = ({ src, dst, readonly }: GlobalMount, path: string[]): MountEntry => ({
    source: expandHome(src, home),
    target: dst,
    readonly: readonly ?? false,
    isolation: 'shared',
    origin: originOf('global', document, ['docker', 'mounts', ...path]),
  });
  return Object.entries(mounts).flatMap(([name, value]) => {
    if (isGlobalMount(value)) return [entry(value, [name])];
    if (!scopeMatches(name, role)) return [];
    return Object.entries(value).map(([inner, mount]) => entry(mount, [name, inner]));
  });
};

const workspaceMounts = (files: ConfigFiles, home: string): MountEntry[] => {
  if (files.workspace === undefined) return [];
  const { document, value } = files.workspace;
  return value.mounts.map(({ src, dst, readonly, isolation }, index) => ({
    source: expandHome(src, home),
    target: dst,
    readonly: readonly ?? false,
    isolation: isolation ?? 'shared',
    origin: originOf('workspace', document, ['mounts', index, 'src']),
  }));
};

/** Global mounts, then the workspace's (or the directory itself), then those of the command line. */
export const resolveMounts = (
  files: ConfigFiles,
  input: { role: string; directory: string | null; mounts: { source: string; target: string; readonly: boolean }[]; home: string },
): MountEntry[] => {
  const { role, directory, mounts, home } = input;
  const everywhere = files.global?.value.docker?.mounts;
  return [
    ...(everywhere === undefined ? [] : globalMounts(files.global!.document, everywhere, role, home)),
    ...(directory === null
      ? workspaceMounts(files, home)
      : [{ source: directory, target: directory, readonly: false, isolation: 'shared' as const, origin: { layer: 'directory' as const } }]),
    ...mounts.map((mount) => ({ ...mount, isolation: 'shared' as const, origin: { layer: 'command line' as const } })),
  ];
};
