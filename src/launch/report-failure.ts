import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';

const LINES = 10;

/** A removal kills the container first, which is when the launch fails, and takes it from the list a moment later. */
const REMOVAL_MS = 500;
const POLL_MS = 50;

/** Whether another program has removed the container, or is about to. */
const isRemoved = async (engine: Engine, container: string): Promise<boolean> => {
  for (let waited = 0; ; waited += POLL_MS) {
    const info = await engine.container(container);
    if (info === undefined || info.removing === true) return true;
    if (waited >= REMOVAL_MS) return false;
    await sleep(POLL_MS);
  }
};

const removed = (container: string, cause: unknown): JackinError =>
  new JackinError('conflict', `the container ${container} was removed while it was being started`, {
    hint: 'another program removed it, such as `docker rm`: start again with `jackin load`',
    cause,
  });

/** Explains an error of a container's start: by its removal, or by the lines that it said last. The container is about to be removed. */
export const withContext = async (engine: Engine, container: string, error: unknown): Promise<unknown> => {
  if (!(error instanceof JackinError) || ['interrupted', 'engine.unreachable'].includes(error.code)) return error;
  if (await isRemoved(engine, container).catch(() => false)) return removed(container, error);
  const info = await engine.container(container).catch(() => undefined);
  if (info === undefined || info.running) return error;
  const said = (await engine.containerLogs(container, LINES).catch(() => '')).trim();
  if (said === '') return error;
  return new JackinError(error.code, `${error.message}\nthe container said:\n${said.replace(/^/gm, '  ')}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  });
};

/** Whether an error is only how an interrupt was noticed. */
export const isInterrupt = (error: unknown, signal: AbortSignal): boolean =>
  error instanceof JackinError ? error.code === 'interrupted' : signal.aborted;
