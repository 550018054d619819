import { realpath } from 'node:fs/promises';
import { expandHome, type Paths } from '../../config/paths.ts';
import type { WorkspaceToml } from '../../config/schema.ts';
import { unlessMissing } from '../../shared/atomic-files.ts';
import type { Deps } from '../deps.ts';
import { agreeToRemote, forgetRemotes } from './agreed-remotes.ts';
import { readFollowedBranch } from './followed-branch.ts';

/** A mounted repository: the address that it is pulled from, or why it is not pulled. */
export interface Agreement {
  directory: string;
  address: string | null;
  why: string | null;
}

const directoriesOf = async ({ mounts }: Pick<WorkspaceToml, 'mounts'>, home: string): Promise<string[]> => {
  const written = mounts.filter(({ readonly }) => readonly !== true).map(({ src }) => unlessMissing(realpath(expandHome(src, home))));
  return (await Promise.all(written)).filter((directory) => directory !== undefined);
};

/** Records the addresses that the mounted repositories of a workspace have now: the operator agrees to them by a command. */
export const agreeToWorkspace = async (workspace: Pick<WorkspaceToml, 'mounts'>, paths: Paths, deps: Pick<Deps, 'env' | 'home' | 'now'>): Promise<Agreement[]> => {
  const agreements: Agreement[] = [];
  for (const directory of await directoriesOf(workspace, deps.home)) {
    const followed = await readFollowedBranch(directory, deps);
    if (followed === undefined) continue;
    if ('why' in followed) {
      agreements.push({ directory, address: null, why: followed.why });
      continue;
    }
    await agreeToRemote(paths, directory, followed.address, deps.now());
    agreements.push({ directory, address: followed.address, why: null });
  }
  return agreements;
};

/** Forgets these addresses again, with what was fetched from them. */
export const forgetWorkspace = async (workspace: Pick<WorkspaceToml, 'mounts'>, paths: Paths, deps: Pick<Deps, 'home'>): Promise<void> =>
  await forgetRemotes(paths, await directoriesOf(workspace, deps.home));

/** One line for a person. */
export const describeAgreement = ({ directory, address, why }: Agreement): string =>
  address === null ? `${directory} is not pulled: ${why}` : `${directory} is pulled from ${address}`;
