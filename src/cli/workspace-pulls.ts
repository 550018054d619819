import { locatePaths } from '../config/paths.ts';
import type { WorkspaceToml } from '../config/schema.ts';
import type { Deps } from '../launch/deps.ts';
import type { Agreement } from '../launch/git-pull/agree.ts';
import { say } from './output.ts';

/** After `--git-pull`, agrees to the addresses that the mounted repositories have now, and says them; otherwise forgets them. */
export const settlePulls = async (isOn: boolean, workspace: Pick<WorkspaceToml, 'mounts'>, deps: Deps): Promise<Agreement[]> => {
  const { agreeToWorkspace, describeAgreement, forgetWorkspace } = await import('../launch/git-pull/agree.ts');
  const paths = locatePaths(deps);
  if (!isOn) {
    await forgetWorkspace(workspace, paths, deps);
    return [];
  }
  const agreements = await agreeToWorkspace(workspace, paths, deps);
  for (const agreement of agreements) say(deps, describeAgreement(agreement));
  return agreements;
};
