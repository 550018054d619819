import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';
import { asJackinError } from '../shared/system-error.ts';
import type { Instance } from './find.ts';
import { updateStatus } from './record.ts';
import { removeTree } from './remove-tree.ts';

/** How long an agent may take to end before it is killed. */
const STOP_SECONDS = 8;

/** Whether the engine holds anything of the instance. */
export const isPresent = ({ engine, network }: Instance): boolean => engine !== undefined || network !== undefined;

/** Stops the container, removes it and its network. What is gone already is fine. */
const removeFromEngine = async (engine: Engine, { engine: container, network }: Instance): Promise<void> => {
  if (container !== undefined) {
    if (container.running) await stop(engine, container.id);
    await engine.removeContainer(container.id);
  }
  if (network !== undefined) await engine.removeNetwork(network);
};

/** Gives the agent time to end. A container that cannot be stopped is killed when it is removed. */
const stop = async (engine: Engine, container: string): Promise<void> => {
  try {
    await engine.stopContainer(container, STOP_SECONDS);
  } catch (error) {
    if (!(error instanceof JackinError) || error.code === 'engine.unreachable') throw error;
  }
};

/**
 * Takes an instance from the engine; its state stays, or is deleted as well. Returns an
 * error when it was ejected and only its record could not be written.
 */
export const ejectInstance = async (engine: Engine, paths: Paths, instance: Instance, { purge, now }: { purge: boolean; now: Date }): Promise<JackinError | undefined> => {
  await removeFromEngine(engine, instance);
  if (purge) {
    await deleteState(paths, instance);
    return undefined;
  }
  if (instance.record === undefined) return undefined;
  try {
    await updateStatus(paths.dataDir, instance.container, 'restore_available', now);
    return undefined;
  } catch (error) {
    const { code, message, hint } = asJackinError(error);
    const why = `${instance.container} was ejected, but its record could not be written: ${message}`;
    return new JackinError(code, why, { ...(hint === undefined ? {} : { hint }), cause: error });
  }
};

/** Deletes the state for good. The container must be gone: see {@link assertEjected}. */
export const deleteState = (paths: Paths, { container }: Instance): Promise<void> => removeTree(path.join(paths.dataDir, container));

/** State is deleted only when no container exists: its home would vanish under it. */
export const assertEjected = (instances: Instance[]): void => {
  // One that is being launched is left alone anyway, and told of as such.
  const standing = instances.filter(({ engine, launcher }) => engine !== undefined && launcher === undefined);
  if (standing.length === 0) return;
  const [{ id }] = standing as [Instance];
  const listed = standing.map(({ container, engine }) => `${container} still exists (${engine?.running ? 'running' : 'stopped'})`);
  throw new JackinError('conflict', listed.join('\n'), {
    hint: `run \`jackin eject ${id}\` first, or \`jackin eject ${id} --purge\` for both; nothing was deleted`,
  });
};
