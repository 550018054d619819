import { chmod, mkdir, rm } from 'node:fs/promises';
import net, { type Socket } from 'node:net';
import path from 'node:path';
import { isErrno, messageOf } from '../shared/errors.ts';
import { serveConnection, type SessionHost } from './connection.ts';
import type { HostEnvironment } from './environment.ts';
import type { PrepareContext, Prepared } from './home/prepare.ts';
import { withUmask } from './process.ts';
import type { SetupRequest } from './protocol.ts';
import { Refusal } from './refusal.ts';
import { createSessions, type Sessions, type SessionsOptions } from './sessions.ts';
import type { Session } from './session.ts';

/** How long sessions have to end by themselves when they are stopped. */
const STOP_MS = 3000;
const STOPPED_IDLE = 143;

export interface CapsuleOptions extends Omit<SessionsOptions, 'onEnd'> {
  runDir: string;
  /** Gets home, git and the role's own things ready for sessions with this environment. */
  prepare: (request: SetupRequest, env: Readonly<Record<string, string>>, context: PrepareContext) => Promise<Prepared>;
  log: (line: string) => void;
}

export interface Capsule {
  /** The exit code of the session that the launch started, once all is over. */
  ended: Promise<number>;
  /** Ends all sessions, first politely. */
  stop: () => void;
}

type State = 'idle' | 'launching' | 'launched' | 'stopping';

/** Opens the socket and serves clients until the last session has ended. */
export const startCapsule = async (options: CapsuleOptions): Promise<Capsule> => {
  let state: State = 'idle';
  const stopping = new AbortController();
  const sessions = createSessions({ ...options, onEnd: () => void finishAfterLast() });
  const { server, ended, finish } = serve((socket) => serveConnection(socket, host));

  const finishAfterLast = async () => {
    const first = sessions.first();
    if (first !== undefined && sessions.active() === 0) finish((await first.ended).code);
  };
  const host = createHost({
    sessions,
    options,
    stopping: stopping.signal,
    state: () => state,
    enter: (next) => {
      if (state !== 'stopping') state = next;
    },
  });
  await listen(server, options.runDir);

  const stop = () => {
    if (state === 'stopping') return;
    state = 'stopping';
    stopping.abort();
    // With sessions, the end of the last one ends the capsule.
    if (sessions.first() === undefined) return finish(STOPPED_IDLE);
    for (const session of sessions.running()) endSession(session);
  };
  return { ended, stop };
};

/** An interactive shell heeds only the first signal, many programs only the second, some neither. */
const endSession = (session: Session): void => {
  session.signal('SIGHUP');
  session.signal('SIGTERM');
  const kill = setTimeout(() => session.signal('SIGKILL'), STOP_MS);
  void session.ended.then(() => clearTimeout(kill));
};

interface HostParts {
  sessions: Sessions;
  options: Pick<CapsuleOptions, 'prepare' | 'log'>;
  stopping: AbortSignal;
  state: () => State;
  enter: (state: State) => void;
}

/** What connections may ask for, and when. */
const createHost = ({ sessions, options, stopping, state, enter }: HostParts): SessionHost => {
  /** Held for the sessions that come later; there is no other copy. Keys are not held. */
  let environment: HostEnvironment['env'] = {};
  /** One at a time: two that reconcile the same home would undo each other's work. */
  let preparing: Promise<unknown> = Promise.resolve();

  const prepare: SessionHost['prepare'] = ({ setup, env }, { note, signal }) => {
    const context = { note, signal: AbortSignal.any([signal, stopping]) };
    const prepared = preparing.then(async () => {
      const { report, variables } = await options.prepare(setup, env, context).catch((error: unknown) => {
        throw new Refusal('setup', messageOf(error));
      });
      environment = { ...env, ...variables };
      return report;
    });
    preparing = prepared.catch(() => undefined);
    return prepared;
  };

  return {
    sessions,
    prepare,
    log: options.log,
    environment: () => environment,
    assertOpen: () => {
      if (state() === 'stopping') throw new Refusal('busy', 'the container is being stopped');
    },
    launch: async (act) => {
      if (state() !== 'idle') throw new Refusal('busy', 'the first session of this container was launched already');
      enter('launching');
      try {
        const session = await act();
        enter('launched');
        return session;
      } catch (error) {
        // Nothing runs, so the host may try again.
        enter('idle');
        throw error;
      }
    },
    assertLaunched: () => {
      if (state() !== 'launched') throw new Refusal('no-session', 'nothing was launched here yet');
    },
    end: endSession,
  };
};

/** A server whose connections are all told goodbye before its end is told. */
const serve = (handle: (socket: Socket) => () => void): { server: net.Server; ended: Promise<number>; finish: (code: number) => void } => {
  /** Open connections, and how to end each. */
  const connections = new Map<Socket, () => void>();
  let tellEnd: (code: number) => void;
  const ended = new Promise<number>((resolve) => {
    tellEnd = resolve;
  });
  const server = net.createServer((socket) => {
    connections.set(socket, handle(socket));
    socket.once('close', () => connections.delete(socket));
  });
  const finish = (code: number) => {
    server.close();
    for (const dismiss of connections.values()) dismiss();
    // Each of them closes within a bounded time, whatever its client does.
    const closed = [...connections.keys()].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    void Promise.all(closed).then(() => tellEnd(code));
  };
  return { server, ended, finish };
};

/** Listens on a socket that only this user can reach. One left by an earlier life of the container is replaced. */
const listen = async (server: net.Server, runDir: string): Promise<void> => {
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  try {
    await chmod(runDir, 0o700);
  } catch (error) {
    // Made by the engine for root: then the socket's own mode is what protects it.
    if (!isErrno(error, 'EPERM')) throw error;
  }
  const file = path.join(runDir, 'capsule.sock');
  await rm(file, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // A client may be waiting already, so the mode must be right from the first moment.
    withUmask(0o177, () => server.listen(file, resolve));
  });
};
