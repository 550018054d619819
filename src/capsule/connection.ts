import type { Socket } from 'node:net';
import { messageOf } from '../shared/errors.ts';
import { encodeJson, frameReader, type Frame } from './frames.ts';
import { FrameType, PROTOCOL_VERSION, type AttachRequest, type CapsuleFailure, type LaunchRequest, type SessionInfo, type SetupReport } from './protocol.ts';
import { readAttach, readLaunch, readSignal, readSize } from './requests.ts';
import type { Session, Viewer } from './session.ts';

/** A client that has not taken everything and closed so long after its connection was ended is cut off: the capsule waits for it. */
const CLOSE_MS = 2000;
/** Input that a program has not taken, before its client must wait. Large, because a signal waits behind it too. */
const INPUT_BYTES = 8 * 1024 * 1024;

/** A request that cannot be met; what the client is told. */
export class Refusal extends Error {
  readonly code: CapsuleFailure['code'];

  constructor(code: CapsuleFailure['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What a connection needs of the capsule. */
export interface SessionHost {
  sessions: () => SessionInfo[];
  /** Starts the session; `ready` is called with the report as soon as the home is prepared. Throws a {@link Refusal}. */
  launch: (request: LaunchRequest, ready: (report: SetupReport) => void) => Promise<Session>;
  /** Throws a {@link Refusal} when there is no such session. */
  find: (request: AttachRequest) => Session;
  /** For the container's log; never any content. */
  log: (line: string) => void;
}

/**
 * Speaks the protocol with one client until it leaves or dies; its session lives
 * on. The result ends the connection, unless a session will when it has told its end.
 */
export const serveConnection = (socket: Socket, host: SessionHost): (() => void) => {
  let session: Session | undefined;
  let launching = false;
  let over = false;
  let untaken = 0;
  const send = (frames: Buffer) => {
    if (!over && socket.writable && frames.byteLength > 0) socket.write(frames);
  };
  const finish = () => {
    if (over) return;
    over = true;
    session?.leave(viewer);
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
    const failure: CapsuleFailure =
      error instanceof Refusal ? { code: error.code, message: error.message } : { code: 'protocol', message: messageOf(error) };
    host.log(`refused (${failure.code}): ${failure.message}`);
    send(encodeJson(FrameType.failed, failure));
    finish();
  };
  const join = (joined: Session, detached: boolean, size?: AttachRequest['size']) => {
    send(encodeJson(FrameType.started, joined.info()));
    if (detached || over || socket.destroyed) return;
    session = joined;
    joined.join(viewer, size);
  };
  const launch = async (request: LaunchRequest) => {
    launching = true;
    const started = await host.launch(request, (report) => send(encodeJson(FrameType.ready, report)));
    join(started, request.detached);
  };
  const attached = (): Session => session ?? refuseRequest('this connection has no session yet');
  const input = (bytes: Buffer) => {
    untaken += bytes.byteLength;
    attached().write(bytes, () => {
      untaken -= bytes.byteLength;
      if (untaken <= INPUT_BYTES) socket.resume();
    });
    if (untaken > INPUT_BYTES) socket.pause();
  };
  const handle = (frame: Frame): void => {
    switch (frame.type) {
      case FrameType.launch:
      case FrameType.attach:
        if (session !== undefined || launching) refuseRequest('this connection has a session already');
        if (frame.type === FrameType.attach) {
          const request = readAttach(frame);
          join(host.find(request), false, request.size);
        } else launch(readLaunch(frame)).catch(refuse);
        return;
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
        return send(encodeJson(FrameType.sessions, { sessions: host.sessions() }));
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
  socket.on('close', () => {
    over = true;
    session?.leave(viewer);
  });
  send(encodeJson(FrameType.welcome, { protocol: PROTOCOL_VERSION, sessions: host.sessions() }));
  return () => {
    if (session === undefined) finish();
  };
};

const refuseRequest = (message: string): never => {
  throw new Refusal('protocol', message);
};
