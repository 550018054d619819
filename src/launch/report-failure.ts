import type { Engine } from '../docker/engine.ts';
import { JackinError } from '../shared/errors.ts';

const LINES = 10;

/** Adds what the container itself said last to an error of its start: the container is about to be removed. */
export const withContext = async (engine: Engine, container: string, error: unknown): Promise<unknown> => {
  if (!(error instanceof JackinError) || error.code === 'interrupted') return error;
  const info = await engine.container(container).catch(() => undefined);
  if (info === undefined || info.running) return error;
  const said = (await engine.containerLogs(container, LINES).catch(() => '')).trim();
  if (said === '') return error;
  return new JackinError(error.code, `${error.message}\nthe container said:\n${said.replace(/^/gm, '  ')}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  });
};
