import { JackinError } from '../shared/errors.ts';
import { expandHome } from './paths.ts';
import type { WorkspaceToml } from './schema.ts';
import { contains } from './values.ts';

const depth = (path: string): number => path.split('/').filter(Boolean).length;

/** How near a workspace is to a directory: the depth of its workdir or of the mount source that holds it. */
const nearness = (workspace: WorkspaceToml, directory: string, home: string): number =>
  Math.max(
    workspace.workdir === directory ? depth(directory) : -1,
    ...workspace.mounts
      .map(({ src }) => expandHome(src, home))
      .filter((source) => contains(source, directory))
      .map(depth),
  );

/**
 * The saved workspace of a directory: its workdir equals it, or one of its mounts
 * holds it; the nearest wins. Undefined when none does; two equally near are an error.
 */
export const workspaceOfDirectory = (
  workspaces: ReadonlyMap<string, { value: WorkspaceToml }>,
  directory: string,
  home: string,
): string | undefined => {
  const scored = [...workspaces]
    .map(([name, { value }]) => ({ name, near: nearness(value, directory, home) }))
    .filter(({ near }) => near >= 0);
  const best = Math.max(...scored.map(({ near }) => near));
  const winners = scored.filter(({ near }) => near === best).map(({ name }) => name);
  if (winners.length > 1) {
    throw new JackinError('usage', `${directory} belongs to ${winners.length} workspaces that are equally near: ${winners.join(', ')}`, {
      hint: `name the one you mean, as in \`jackin load <role> ${winners[0]}\`, or the directory, as in \`jackin load <role> .\``,
    });
  }
  return winners[0];
};
