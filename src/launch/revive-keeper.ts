import type { Paths } from '../config/paths.ts';
import { type Instance, stateOf } from '../instances/find.ts';
import { connectKeeper } from '../keeper/ask-keeper.ts';
import { listLeases } from '../keeper/holders.ts';
import type { Deps } from './deps.ts';

/**
 * Starts a keeper when instances that run hold a login and none keeps it: it may have
 * been killed. Whether it comes up is not waited for. True when it was started.
 */
export const reviveKeeper = async (instances: readonly Instance[], paths: Paths, { startKeeper }: Pick<Deps, 'startKeeper'>): Promise<boolean> => {
  const leases = await listLeases(paths);
  if (!instances.some((instance) => leases.has(instance.container) && stateOf(instance) === 'running')) return false;
  const line = await connectKeeper(paths);
  line?.close();
  if (line === undefined) await startKeeper(paths);
  return line === undefined;
};
