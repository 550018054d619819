import type { Paths } from '../config/paths.ts';
import { attachSession, listSessions, type SessionEnd } from '../docker/attach.ts';
import type { SessionInfo } from '../capsule/protocol.ts';
import type { Engine } from '../docker/engine.ts';
import type { Terminal } from '../docker/terminal.ts';
import { JackinError } from '../shared/errors.ts';
import { connectCapsule, remedyFor } from './connect-capsule.ts';
import type { Deps } from './deps.ts';
import type { Screen } from './load.ts';
import { recordEnd } from './run-session.ts';

/**
 * Joins a session of a running instance until it ends or is left: the named one,
 * else the one that the launch started. Undefined when nothing was launched in the
 * container since it was started. `check` sees the sessions first, and may throw.
 */
export const attachToInstance = async (
  { engine, paths, container, id: instanceName }: { engine: Engine; paths: Paths; container: string; id: string },
  { session, check }: { session: string | undefined; check: (sessions: SessionInfo[]) => void },
  { terminal, screen }: { terminal: Terminal; screen: Screen },
  deps: Deps,
): Promise<SessionEnd | undefined> => {
  const idle = new JackinError('conflict', `nothing was launched in ${container} since it was started`);
  const onWelcome = (sessions: SessionInfo[]) => {
    check(sessions);
    if (sessions.length === 0) throw idle;
  };
  try {
    const stream = await connectCapsule(engine, container, () => remedyFor(instanceName));
    const options = { signal: deps.signal, limits: deps.capsuleLimits, onWelcome };
    const end = await attachSession(stream, session, { terminal, signals: deps.signals, instance: instanceName, ...screen }, options);
    await recordEnd(paths.dataDir, container, end, deps.now());
    return end;
  } catch (error) {
    if (error === idle) return undefined;
    throw error;
  }
};

/** The sessions of a running instance. */
export const sessionsOf = async (
  engine: Engine,
  { container, id }: { container: string; id: string },
  { signal, capsuleLimits: limits }: Pick<Deps, 'signal' | 'capsuleLimits'>,
): Promise<SessionInfo[]> => listSessions(await connectCapsule(engine, container, () => remedyFor(id)), { signal, limits });
