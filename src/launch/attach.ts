import type { Paths } from '../config/paths.ts';
import { attachSession, listSessions, type SessionEnd } from '../docker/attach.ts';
import type { SessionInfo } from '../capsule/protocol.ts';
import type { Engine } from '../docker/engine.ts';
import type { Terminal } from '../docker/terminal.ts';
import { connectCapsule } from './connect-capsule.ts';
import type { Deps } from './deps.ts';
import { recordEnd } from './run-session.ts';

/** Joins a session of a running instance until it ends or is left: the named one, else the one that the launch started. */
export const attachToInstance = async (
  { engine, paths, container }: { engine: Engine; paths: Paths; container: string },
  session: string | undefined,
  terminal: Terminal,
  deps: Deps,
): Promise<SessionEnd> => {
  const stream = await connectCapsule(engine, container);
  const end = await attachSession(stream, session, { terminal, signals: deps.signals }, { signal: deps.signal });
  await recordEnd(paths.dataDir, container, end, deps.now());
  return end;
};

/** The sessions of a running instance. */
export const sessionsOf = async (engine: Engine, container: string, deps: Deps): Promise<SessionInfo[]> =>
  listSessions(await connectCapsule(engine, container), { signal: deps.signal });
