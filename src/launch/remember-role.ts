import type { Paths } from '../config/paths.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { messageOf } from '../shared/errors.ts';

/** Writes the role into the workspace's file as the one that was used last. A file that cannot be written stops no launch. */
export const rememberRole = async (paths: Paths, plan: LaunchPlan, say: (line: string) => void): Promise<void> => {
  const { last_role: role, workspace } = plan;
  if (role === null || workspace.name === null) return;
  try {
    const { editFile } = await import('../config/edit.ts');
    await editFile(paths, { kind: 'workspace', name: workspace.name }, () => [{ path: ['last_role'], value: role }]);
  } catch (error) {
    say(`note       last_role was not written: ${messageOf(error).split('\n')[0]}`);
  }
};
