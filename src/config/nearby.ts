import { expandHome } from './paths.ts';
import type { WorkspaceToml } from './schema.ts';
import { contains } from './values.ts';

type Workspaces = ReadonlyMap<string, { value: Pick<WorkspaceToml, 'workdir' | 'mounts'> }>;

const depth = (path: string): number => path.split('/').filter(Boolean).length;

/**
 * The saved workspaces of a directory: their workdir equals it, or one of their
 * mounts holds it. Only the nearest: the deepest such path wins, and several
 * names mean that they are equally near. `real` resolves links, of the directory as well.
 */
export const workspacesOfDirectory = (
  workspaces: Workspaces,
  directory: string,
  home: string,
  real: (path: string) => string = (path) => path,
): string[] => {
  const here = real(directory);
  const nearness = ({ workdir, mounts }: Pick<WorkspaceToml, 'workdir' | 'mounts'>): number =>
    Math.max(
      real(workdir) === here ? depth(here) : -1,
      ...mounts
        .map(({ src }) => real(expandHome(src, home)))
        .filter((source) => contains(source, here))
        .map(depth),
    );
  const scored = [...workspaces].map(([name, { value }]) => ({ name, near: nearness(value) }));
  const best = Math.max(...scored.map(({ near }) => near));
  return best < 0 ? [] : scored.filter(({ near }) => near === best).map(({ name }) => name);
};
