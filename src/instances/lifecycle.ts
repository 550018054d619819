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
  if (instance.record !== undefined) await updateStatus(paths.dataDir, instance.container, 'restore_available', now);
};

/** Deletes the state for good. The container must be gone: see {@link assertEjected}. */
export const deleteState = (paths: Paths, { container }: Instance): Promise<void> => removeTree(path.join(paths.dataDir, container));

/** State is deleted only when no container exists: its home would vanish under it. */
export const assertEjected = (instances: Instance[]): void => {
  const standing = instances.filter(({ engine }) => engine !== undefined);
  if (standing.length === 0) return;
  const [{ id }] = standing as [Instance];
  const listed = standing.map(({ container, engine }) => `${container} still exists (${engine?.running ? 'running' : 'stopped'})`);
  throw new JackinError('conflict', listed.join('\n'), {
    hint: `run \`jackin eject ${id}\` first, or \`jackin eject ${id} --purge\` for both; nothing was deleted`,
  });
};
