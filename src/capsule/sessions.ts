import { stat } from 'node:fs/promises';
import { sessionEnvironment, type HostEnvironment } from './environment.ts';
import { homeVariables } from './home-variables.ts';
import { findProgram, findShell } from './program.ts';
import { SHELL, type SessionInfo, type SpawnRequest } from './protocol.ts';
import { Refusal } from './refusal.ts';
import { startSession, type Session } from './session.ts';

/** Of a session that nobody has looked at yet. */
const DEFAULT_SIZE = { cols: 80, rows: 24 };
/** Each has a screen of some megabytes, and the agent could start them itself. */
const MAX_ACTIVE = 32;
/** Screens of sessions that ended are kept, so that what they said last can be read. */
const MAX_ENDED = 8;

export interface SessionsOptions {
  agentsDir: string;
  /** `HOME` of the sessions. */
  home: string;
  /** The container's environment. */
  env: NodeJS.ProcessEnv;
  /** A session has ended, or could not be started: `sessions.active()` tells what is left. */
  onEnd: () => void;
}

type Request = SpawnRequest['session'];

/** A place for a session whose home is still being prepared. */
export interface Reserved {
  info: SessionInfo;
  /** Starts its program. Throws a {@link Refusal}; then the place is free again. */
  start: (environment: HostEnvironment) => Promise<Session>;
  /** Nothing will start here. */
  release: () => void;
}

export interface Sessions {
  list: () => SessionInfo[];
  /** Those that run, and those that are about to. */
  active: () => number;
  running: () => Session[];
  /** The session that was started first: its exit is the container's. */
  first: () => Session | undefined;
  find: (id: string | undefined) => Session;
  reserve: (request: Request) => Reserved;
  /** Calls back whenever the list has changed, at most once per turn of the loop; the result stops that. */
  watch: (tell: () => void) => () => void;
}

/** The sessions of one instance: those that run, and those that have ended a while ago. */
export const createSessions = (options: SessionsOptions): Sessions => {
  let places: { info: () => SessionInfo; session?: Session }[] = [];
  let first: Session | undefined;
  const counts = new Map<string, number>();
  const watchers = new Set<() => void>();
  let telling = false;
  const changed = () => {
    if (telling) return;
    telling = true;
    setImmediate(() => {
      telling = false;
      for (const tell of watchers) tell();
    });
  };
  const active = () => places.filter(({ info }) => info().state !== 'exited').length;
  const forgetOldest = () => {
    const ended = places.filter(({ info }) => info().state === 'exited');
    const dropped = new Set(ended.slice(0, Math.max(0, ended.length - MAX_ENDED)));
    places = places.filter((place) => !dropped.has(place));
  };

  const noteEnd = async (session: Session) => {
    await session.ended;
    forgetOldest();
    options.onEnd();
  };

  const start = async (id: string, request: Request, environment: HostEnvironment): Promise<Session> => {
    const { agent, io, cwd, size = DEFAULT_SIZE } = request;
    const asked = sessionEnvironment(options.env, environment, { id, agent, cwd, io }, options.home);
    const env = { ...asked, ...(await homeVariables(agent, asked, options.home)) };
    if (!(await isDirectory(cwd))) throw new Refusal('setup', `there is no directory ${cwd} in the container`);
    const place = { cwd, path: env['PATH'], agentsDir: options.agentsDir };
    const program = agent === SHELL && request.argv.length === 0 ? await findShell(place) : await findProgram(request.argv, place);
    if ('missing' in program) throw new Refusal(agent === SHELL ? 'program-missing' : 'agent-missing', program.missing);
    return startSession({ id, agent, io, cwd, size, env, file: program.file, args: request.argv.slice(1), changed, left: active });
  };

  const reserve = (request: Request): Reserved => {
    if (active() >= MAX_ACTIVE) throw new Refusal('busy', `${MAX_ACTIVE} sessions run already`);
    const { agent, io } = request;
    const number = (counts.get(agent) ?? 0) + 1;
    counts.set(agent, number);
    const info: SessionInfo = { id: `${agent}-${number}`, agent, state: 'starting', clients: 0, io };
    const place: (typeof places)[number] = { info: () => info };
    places.push(place);
    changed();
    const release = () => {
      // The name was seen by nobody who could use it.
      if (counts.get(agent) === number) counts.set(agent, number - 1);
      places = places.filter((other) => other !== place);
      changed();
      options.onEnd();
    };
    return {
      info,
      release,
      start: async (environment) => {
        try {
          const session = await start(info.id, request, environment);
          Object.assign(place, { info: session.info, session });
          first ??= session;
          changed();
          void noteEnd(session);
          return session;
        } catch (error) {
          release();
          throw error;
        }
      },
    };
  };

  const running = () => places.flatMap(({ session }) => (session?.info().state === 'running' ? [session] : []));
  const find = (id: string | undefined): Session => {
    const found = id === undefined ? defaultOf(first, running()) : places.find(({ info }) => info().id === id)?.session;
    if (found !== undefined) return found;
    const names = places.map(({ info }) => info().id);
    throw new Refusal('no-session', id === undefined ? 'nothing was launched yet' : `there is no session of that name; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ') || 'none'}`);
  };
  return {
    list: () => places.map(({ info }) => info()),
    active,
    running,
    first: () => first,
    find,
    reserve,
    watch: (tell) => {
      watchers.add(tell);
      return () => watchers.delete(tell);
    },
  };
};

/** What somebody wants who names no session: the launch's own, while it runs, else the newest. */
const defaultOf = (first: Session | undefined, running: Session[]): Session | undefined =>
  first?.info().state === 'running' ? first : (running.at(-1) ?? first);

const isDirectory = async (directory: string): Promise<boolean> => {
  try {
    return (await stat(directory)).isDirectory();
  } catch {
    return false;
  }
};
