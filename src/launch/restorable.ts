import { listStates } from '../instances/record.ts';
import type { PlannedLaunch } from './load.ts';

/** What to say of instances of this role and place that were ejected: a load makes a new one, and theirs might be meant. */
export const restorableNote = async ({ plan: { role, workspace }, paths }: PlannedLaunch): Promise<string | undefined> => {
  const states = await listStates(paths.dataDir);
  const found = states.flatMap(({ record }) =>
    record?.status === 'restore_available' && record.made_for !== undefined && record.role_key === role.key && record.workspace_name === workspace.name && record.workdir === workspace.workdir
      ? [record]
      : [],
  );
  const [newest] = found.sort((a, b) => b.updated_at.localeCompare(a.updated_at));
  if (newest === undefined) return undefined;
  const which = found.length === 1 ? `instance ${newest.instance_id} was` : `${found.length} instances were`;
  return `note       ${which} ejected here and kept: \`jackin hardline ${newest.instance_id}\` brings ${found.length === 1 ? 'it' : 'the newest'} back; this load makes another one`;
};
