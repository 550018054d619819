import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import net, { type Socket } from 'node:net';
import path from 'node:path';
import { isErrno, messageOf } from '../shared/errors.ts';
import { Refusal, serveConnection, type SessionHost } from './connection.ts';
import { sessionEnvironment, type HostEnvironment } from './environment.ts';
import { withUmask } from './process.ts';
import type { Prepared } from './home/prepare.ts';
import { homeVariables } from './home-variables.ts';
import { findProgram } from './program.ts';
import type { LaunchRequest, SessionRequest, SetupRequest } from './protocol.ts';
import { startSession, type Session } from './session.ts';

/** How long sessions have to end by themselves when the container is stopped. */
const STOP_MS = 3000;
const STOPPED_IDLE = 143;
/** Of a session that nobody has looked at yet. */
const DEFAULT_SIZE = { cols: 80, rows: 24 };

export interface CapsuleOptions {
  runDir: string;
  agentsDir: string;
  /** `HOME` of the sessions. */
  home: string;
  /** The container's environment. */
  env: NodeJS.ProcessEnv;
  /** Gets home and git ready for sessions with this environment; called once before the first one. */
  prepare: (request: SetupRequest, env: Readonly<Record<string, string>>) => Promise<Prepared>;
  log: (line: string) => void;
}

export interface Capsule {
  /** The exit code of the session that the launch started, once all is over. */
  ended: Promise<number>;
  /** Ends all sessions, first politely. */
  stop: () => void;
}

/** Opens the socket and serves clients until the last session has ended. */
export const startCapsule = async (options: CapsuleOptions): Promise<Capsule> => {
  /** Open connections, and how to end each. */
  const connections = new Map<Socket, () => void>();
  const sessions: Session[] = [];
  let state: 'idle' | 'launching' | 'launched' | 'stopping' = 'idle';
  let tellEnd: (code: number) => void;
  const ended = new Promise<number>((resolve) => {
    tellEnd = resolve;
  });
  const finish = (code: number) => {
    server.close();
    for (const dismiss of connections.values()) dismiss();
    // Each of them closes within a bounded time, whatever its client does.
    const closed = [...connections.keys()].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    void Promise.all(closed).then(() => tellEnd(code));
  };
  const running = () => sessions.filter((session) => session.info().state === 'running');

  const finishAfterLast = async () => {
    if (running().length > 0 || sessions[0] === undefined) return;
    finish((await sessions[0].ended).code);
  };

  /** Held for the sessions that come later; there is no other copy. */
  let environment: HostEnvironment = { env: {}, keys: {} };
  const spawn = async (request: SessionRequest): Promise<Session> => {
    const asked = sessionEnvironment(options.env, environment, request, options.home);
    const env = { ...asked, ...(await homeVariables(request.agent, asked, options.home)) };
    if (!(await isDirectory(request.cwd))) throw new Refusal('setup', `there is no directory ${request.cwd} in the container`);
    const program = await findProgram(request.argv, { cwd: request.cwd, path: env['PATH'], agentsDir: options.agentsDir });
    if ('missing' in program) throw new Refusal('agent-missing', program.missing);
    if (state === 'stopping') throw new Refusal('busy', 'the container is being stopped');
    const { agent, io, cwd, size = DEFAULT_SIZE } = request;
    const id = `${agent}-${sessions.filter((session) => session.info().agent === agent).length + 1}`;
    const session = startSession({ id, agent, io, cwd, size, env, file: program.file, args: request.argv.slice(1) });
    sessions.push(session);
    void session.ended.then(finishAfterLast);
    return session;
  };

  const host: SessionHost = {
    sessions: () => sessions.map((session) => session.info()),
    log: options.log,
    find: ({ session: id }) => {
      const found = id === undefined ? sessions[0] : sessions.find((session) => session.info().id === id);
      if (found === undefined) throw new Refusal('no-session', id === undefined ? 'nothing was launched yet' : 'there is no session of that name');
      return found;
    },
    launch: async ({ setup, session }: LaunchRequest, ready) => {
      if (state !== 'idle') throw new Refusal('busy', 'the first session of this container was launched already');
      state = 'launching';
      try {
        const { report, variables } = await options.prepare(setup, session.env).catch((error: unknown) => {
          throw new Refusal('setup', messageOf(error));
        });
        ready(report);
        environment = { env: { ...session.env, ...variables }, keys: session.keys };
        const started = await spawn(session);
        state = 'launched';
        return started;
      } catch (error) {
        // Nothing runs, so the host may try again.
        if (state === 'launching') state = 'idle';
        throw error;
      }
    },
  };

  const server = net.createServer((socket) => {
    connections.set(socket, serveConnection(socket, host));
    socket.once('close', () => connections.delete(socket));
  });
  await listen(server, options.runDir);

  const stop = () => {
    if (state === 'stopping') return;
    state = 'stopping';
    const left = running();
    // With sessions, the end of the last one ends the capsule.
    if (sessions.length === 0) return finish(STOPPED_IDLE);
    // An interactive shell heeds only the first, many programs only the second.
    for (const session of left) session.signal('SIGHUP');
    for (const session of left) session.signal('SIGTERM');
    setTimeout(() => running().forEach((session) => session.signal('SIGKILL')), STOP_MS).unref();
  };
  return { ended, stop };
};

const isDirectory = async (directory: string): Promise<boolean> => {
  try {
    return (await stat(directory)).isDirectory();
  } catch {
    return false;
  }
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
