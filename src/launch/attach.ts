import type { Paths } from '../config/paths.ts';
import { attachSession, type SessionEnd } from '../docker/attach.ts';
import type { Engine } from '../docker/engine.ts';
import type { Terminal } from '../docker/terminal.ts';
import type { Instance } from '../instances/find.ts';
import { updateStatus } from '../instances/record.ts';
import { connectCapsule } from './connect-capsule.ts';
import type { Deps } from './deps.ts';

/** Joins the session of a running instance until it ends or is left. */
export const attachToInstance = async (
  engine: Engine,
  paths: Paths,
  instance: Instance,
  terminal: Terminal,
  deps: Deps,
): Promise<SessionEnd> => {
  const stream = await connectCapsule(engine, instance.container);
  const end = await attachSession(stream, undefined, { terminal, signals: deps.signals }, { signal: deps.signal });
  if (end.kind === 'exited') {
    await updateStatus(paths.dataDir, instance.container, end.code === 0 ? 'clean_exited' : 'crashed', deps.now());
  }
  return end;
};
