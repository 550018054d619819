import type { Socket } from 'node:net';
import { messageOf } from '../shared/errors.ts';
import type { HostEnvironment } from './environment.ts';
import { encodeMessage, frameReader, type Frame } from './frames.ts';
import {
  FrameType,
  PROTOCOL_VERSION,
  type AttachRequest,
  type CapsuleFailure,
  type LaunchRequest,
  type SetupReport,
  type SetupRequest,
  type SpawnRequest,
} from './protocol.ts';
import { Refusal } from './refusal.ts';
import { readAttach, readKill, readLaunch, readSignal, readSize, readSpawn } from './requests.ts';
import type { Session, Viewer } from './session.ts';
import type { Sessions } from './sessions.ts';

/** A client that has not taken everything and closed so long after its connection was ended is cut off: the capsule waits for it. */
const CLOSE_MS = 2000;
/** Input that a program has not taken, before its client must wait. Large, because a signal waits behind it too. */
const INPUT_BYTES = 8 * 1024 * 1024;

/** What a connection needs of the capsule. What cannot be throws a {@link Refusal}. */
export interface SessionHost {
  sessions: Sessions;
  /** Prepares the home, then holds this environment for every session that starts from now on. */
  prepare: (
    fresh: { setup: SetupRequest } & Pick<HostEnvironment, 'env'>,
    context: { note: (text: string) => void; signal: AbortSignal },
  ) => Promise<SetupReport>;
  environment: () => HostEnvironment['env'];
  /** Runs what starts the first session; there is only one such. */
  launch: (act: () => Promise<Session>) => Promise<Session>;
  assertLaunched: () => void;
  assertOpen: () => void;
  /** Ends a session, first politely. */
  end: (session: Session) => void;
  /** For the container's log; never any content. */
  log: (line: string) => void;
}

/**
 * Speaks the protocol with one client until it leaves or dies; its session lives
 * on. The result ends the connection, unless a session will when it has told its end.
 */
export const serveConnection = (socket: Socket, host: SessionHost): (() => void) => {
  let session: Session | undefined;
  let starting = false;
  let over = false;
  let untaken = 0;
  let unwatch: (() => void) | undefined;
  /** The client is gone, or refused: nothing more is started for it. */
  const gone = new AbortController();
  const send = (frames: Buffer) => {
    if (!over && socket.writable && frames.byteLength > 0) socket.write(frames);
  };
  const leave = () => {
    over = true;
    gone.abort();
    unwatch?.();
    session?.leave(viewer);
  };
  const finish = () => {
    if (over) return;
    leave();
    socket.end();
    // What it still sends is read and forgotten, so that its end is seen.
    socket.resume();
    setTimeout(() => socket.destroy(), CLOSE_MS).unref();
  };
  const viewer: Viewer = {
    send,
    finish,
    backlog: () => socket.writableLength,
    drop: () => {
      host.log('a client that took nothing for long was dropped');
      socket.destroy();
    },
  };
  const refuse = (error: unknown) => {
    if (over) return;
    const failure: CapsuleFailure =
      error instanceof Refusal ? { code: error.code, message: error.message } : { code: 'protocol', message: messageOf(error) };
    host.log(`refused (${failure.code}): ${failure.message.split('\n', 1)[0]}`);
    send(encodeMessage('failed', failure));
    finish();
  };
  const join = (joined: Session, detached: boolean, size?: AttachRequest['size']) => {
    session?.leave(viewer);
    session = undefined;
    send(encodeMessage('started', joined.info()));
    if (detached || over || socket.destroyed) return;
    session = joined;
    joined.join(viewer, size);
  };

  const prepare = async (fresh: { setup: SetupRequest } & HostEnvironment) => {
    const note = (text: string) => send(encodeMessage('note', { text }));
    const report = await host.prepare(fresh, { note, signal: gone.signal });
    send(encodeMessage('ready', report));
  };
  const start = async (request: SpawnRequest['session'], fresh: Parameters<typeof prepare>[0] | undefined): Promise<Session> => {
    const place = host.sessions.reserve(request);
    try {
      if (fresh !== undefined) await prepare(fresh);
      // Who asked for it has left while the home was being prepared.
      if (over) throw new Refusal('busy', 'the client left before its session had started');
      host.assertOpen();
    } catch (error) {
      place.release();
      throw error;
    }
    return place.start({ env: host.environment(), keys: fresh?.keys ?? {} });
  };
  const open = async (detached: boolean, act: () => Promise<Session>) => {
    if (session !== undefined || starting) refuseRequest('this connection has a session already');
    host.assertOpen();
    starting = true;
    try {
      join(await act(), detached);
    } catch (error) {
      refuse(error);
    } finally {
      starting = false;
    }
  };
  const launch = ({ setup, session: { env, keys, ...request }, detached }: LaunchRequest) =>
    open(detached, () => host.launch(() => start(request, { setup, env, keys })));
  const spawn = ({ session: request, detached, fresh }: SpawnRequest) =>
    open(detached, async () => {
      host.assertLaunched();
      return start(request, fresh);
    });

  const attached = (): Session => session ?? refuseRequest('this connection has no session yet');
  const input = (bytes: Buffer) => {
    untaken += bytes.byteLength;
    attached().write(bytes, () => {
      untaken -= bytes.byteLength;
      if (untaken <= INPUT_BYTES) socket.resume();
    });
    if (untaken > INPUT_BYTES) socket.pause();
  };
  const tellSessions = () => send(encodeMessage('sessions', { sessions: host.sessions.list() }));
  const attach = ({ session: id, size }: AttachRequest) => {
    if (starting) refuseRequest('this connection is starting a session');
    join(host.sessions.find(id), false, size);
  };
  const handle = (frame: Frame): void => {
    switch (frame.type) {
      case FrameType.launch:
        return void launch(readLaunch(frame)).catch(refuse);
      case FrameType.spawn:
        return void spawn(readSpawn(frame)).catch(refuse);
      case FrameType.attach:
        return attach(readAttach(frame));
      case FrameType.input:
        return input(frame.payload);
      case FrameType.inputEnd:
        return attached().endInput();
      case FrameType.resize:
        return attached().resize(readSize(frame));
      case FrameType.signal:
        return attached().signal(readSignal(frame));
      case FrameType.detach:
        return finish();
      case FrameType.list:
        return tellSessions();
      case FrameType.watch:
        unwatch ??= host.sessions.watch(tellSessions);
        return tellSessions();
      case FrameType.kill:
        return host.end(host.sessions.find(readKill(frame)));
      default:
        refuseRequest(`unknown frame type ${frame.type}`);
    }
  };
  const read = frameReader((frame) => {
    if (!over) handle(frame);
  });
  socket.on('data', (chunk) => {
    if (over) return;
    try {
      read(chunk);
    } catch (error) {
      refuse(error);
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', leave);
  send(encodeMessage('welcome', { protocol: PROTOCOL_VERSION, sessions: host.sessions.list() }));
  return () => {
    if (session === undefined) finish();
  };
};

const refuseRequest = (message: string): never => {
  throw new Refusal('protocol', message);
};
