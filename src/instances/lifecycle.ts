import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';
import type { Instance } from './find.ts';
import { updateStatus } from './record.ts';
import { removeTree } from './remove-tree.ts';

/** How long an agent may take to end before it is killed. */
const STOP_SECONDS = 8;

/** Whether the engine holds anything of the instance. */
export const isPresent = ({ engine, network }: Instance): boolean => engine !== undefined || network !== undefined;

/** Stops the container, removes it and its network. The state stays. */
export const ejectInstance = async (engine: Engine, paths: Paths, instance: Instance, now: Date): Promise<void> => {
  if (instance.engine !== undefined) {
    if (instance.engine.running) await engine.stopContainer(instance.engine.id, STOP_SECONDS);
    await engine.removeContainer(instance.engine.id);
  }
  if (instance.network !== undefined) await engine.removeNetwork(instance.network);
  await updateStatus(paths.dataDir, instance.container, 'restore_available', now);
};

/** Deletes the state for good. Refused while the container exists: its home would vanish under it. */
export const purgeInstance = async (paths: Paths, instance: Instance): Promise<void> => {
  if (instance.engine !== undefined) {
    throw new JackinError('conflict', `${instance.container} still exists (${instance.engine.running ? 'running' : 'stopped'})`, {
      hint: `run \`jackin eject ${instance.id}\` first, or \`jackin eject ${instance.id} --purge\` for both`,
    });
  }
  await removeTree(path.join(paths.dataDir, instance.container));
};
