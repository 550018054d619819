import { locatePaths, type Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { type Instance, listInstances } from '../instances/find.ts';
import { ensureHomeId } from '../instances/home-id.ts';
import { recoverJournal } from '../instances/journal.ts';
import type { Deps } from './deps.ts';

/** The engine and the instances of this jackin home, after what killed launches left behind was taken back. */
export const openInstances = async (deps: Deps): Promise<{ engine: Engine; paths: Paths; instances: Instance[] }> => {
  const paths = locatePaths(deps);
  const engine = await deps.connectEngine(deps.env);
  const homeId = await ensureHomeId(paths);
  await recoverJournal(engine, paths, homeId);
  return { engine, paths, instances: await listInstances(engine, paths, homeId) };
};
