import type { Readable, Writable } from 'node:stream';
import { encodeData, encodeFrame, encodeJson, frameReader, type Frame } from '../capsule/frames.ts';
import { FrameType, type AttachRequest, type SessionInfo, type SetupReport, type SignalRequest, type TerminalSize } from '../capsule/protocol.ts';
import { JackinError } from '../shared/errors.ts';
import { brokenTalk, checkProtocol, notACapsule, readMessage, refused } from './capsule-messages.ts';
import type { LeaveReason } from './terminal.ts';

/** The byte pipe to a capsule: the streams of an exec that runs `connect.mjs`. */
export interface CapsuleStream {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
}

/** How it ended, as seen from the host. `lost`: the connection broke; the session may live on. */
export type SessionEnd =
  | {
      kind: 'exited';
      /** Name of the session. */
      id: string;
      code: number;
      signal?: string;
      /** Sessions of the instance that still run. */
      left: number;
    }
  | { kind: 'detached'; reason: LeaveReason | 'asked' }
  | { kind: 'lost'; why: string };

export interface AttachOptions {
  /** Called first, with the sessions that there are; an error that it throws ends the talk. */
  onWelcome?: (sessions: SessionInfo[]) => void;
  /** Called once when the home is prepared; never when joining a session that runs. */
  onReady?: (report: SetupReport) => void;
  /** Called with what setting the home up is doing, where that may take long. */
  onNote?: (text: string) => void;
  /** Called when the session runs. From here on, signals and keys are handled here. */
  onStarted?: (session: SessionInfo) => void;
  /** Called with the list of sessions, where it was asked for before one was joined. */
  onSessions?: (sessions: SessionInfo[], wire: Wire) => void;
  /** Gives up waiting for the start: JackinError `interrupted`. Has no effect after `onStarted`. */
  signal?: AbortSignal;
}

/** What a started session is connected to on this side. */
export interface Face {
  output?: Writable;
  errorOutput?: Writable;
  /** What of the output is written; all of it when there is none. */
  filter?: ((bytes: Buffer) => Buffer) | undefined;
  errorFilter?: ((bytes: Buffer) => Buffer) | undefined;
  /** The list of sessions has changed. Only after `wire.watch`. */
  sessions?: (sessions: SessionInfo[]) => void;
  /** Another session is shown from here on. */
  changedTo?: (session: SessionInfo) => void;
  /** `ended`: the program has. `left`: it may be in the middle of something. */
  close: (how: 'ended' | 'left') => void;
}

/** What a face can say to the capsule. */
export interface Wire {
  /** False: no more, please, before `onceDrained` calls back. */
  input: (bytes: Buffer) => boolean;
  onceDrained: (resume: () => void) => void;
  inputEnd: () => void;
  resize: (size: TerminalSize) => void;
  signal: (signal: SignalRequest['signal']) => void;
  /** Asks to be told of every change in the list of sessions. */
  watch: () => void;
  /** Shows another session in the place of this one. */
  changeTo: (request: AttachRequest) => void;
  /** The session lives on. */
  leave: (reason: LeaveReason | 'asked') => void;
  lose: (why: string) => void;
}

/** After the end, for the other side to close; then the pipe is cut, so that it cannot keep this process alive. */
const CLOSE_MS = 2000;
/** What the connecting program had to say may arrive a little after its end. */
const COMPLAINT_MS = 100;
const COMPLAINT_CHARS = 300;
/** How Node, and what starts it, say that there may be no more processes. */
const NO_PROCESS = /Resource temporarily unavailable|EAGAIN|pthread_create|uv_thread_create|WorkerThreadsTaskRunner/;
/** What the connecting program may say before the rest is not even looked at. */
const MAX_COMPLAINT = 64 * 1024;

/** Sends the opening request, connects the session that it starts or joins to a face, and stays until one of the two ends. */
export const converse = (
  stream: CapsuleStream,
  opening: Buffer,
  options: AttachOptions,
  connect: (wire: Wire, session: SessionInfo) => Face,
): Promise<SessionEnd> => {
  const { promise, settle, isOver } = createEnding(stream);
  let face: Face | undefined;
  const finish = (how: 'ended' | 'left', outcome: SessionEnd | JackinError) => {
    options.signal?.removeEventListener('abort', onAbort);
    settle(outcome, () => face?.close(how));
  };
  const lose = (why: string) => finish('left', { kind: 'lost', why });
  const onAbort = () => {
    if (face === undefined) finish('left', new JackinError('interrupted', 'interrupted while the session was being started'));
  };
  const send = (frames: Buffer) => !isOver() && stream.stdin.writable && stream.stdin.write(frames);
  const wire = createWire(stream, send, finish);
  const deliver = (target: Writable | undefined, filter: Face['filter'], payload: Buffer) => {
    if (target === undefined || !target.writable) return;
    const bytes = filter === undefined ? payload : filter(payload);
    if (bytes.length === 0 || target.write(bytes) || stream.stdout.isPaused()) return;
    stream.stdout.pause();
    resumeWhenDrained(target, () => stream.stdout.resume());
  };
  const started = (session: SessionInfo) => {
    if (face !== undefined) return face.changedTo?.(session);
    options.onStarted?.(session);
    face = connect(wire, session);
  };
  const tellSessions = (sessions: SessionInfo[]) => {
    if (face === undefined) options.onSessions?.(sessions, wire);
    else face.sessions?.(sessions);
  };
  let greeted = false;
  const handle = (frame: Frame) => {
    if (isOver()) return;
    if (!greeted && frame.type !== FrameType.welcome) throw new Error('it does not greet');
    switch (frame.type) {
      case FrameType.welcome: {
        const { protocol, sessions } = readMessage('welcome', frame);
        checkProtocol(protocol);
        options.onWelcome?.(sessions);
        greeted = true;
        send(opening);
        return;
      }
      case FrameType.ready:
        return options.onReady?.(readMessage('ready', frame));
      case FrameType.note:
        return options.onNote?.(readMessage('note', frame).text);
      case FrameType.started:
        return started(readMessage('started', frame));
      case FrameType.sessions:
        return tellSessions(readMessage('sessions', frame).sessions);
      case FrameType.output:
        return deliver(face?.output, face?.filter, frame.payload);
      case FrameType.errorOutput:
        return deliver(face?.errorOutput, face?.errorFilter ?? face?.filter, frame.payload);
      case FrameType.exited:
        return finish('ended', { kind: 'exited', ...readMessage('exited', frame) });
      case FrameType.failed:
        throw refused(readMessage('failed', frame));
      default:
        throw new Error(`it says something unknown (${frame.type})`);
    }
  };
  const read = frameReader(handle);
  let silent = true;
  stream.stdout.on('data', (chunk: Buffer) => {
    try {
      if (silent && chunk[0] !== FrameType.welcome) throw notACapsule(chunk.toString());
      silent = false;
      read(chunk);
    } catch (error) {
      finish('left', error instanceof JackinError ? error : brokenTalk(error));
    }
  });
  watchLoss(stream, lose);
  options.signal?.addEventListener('abort', onAbort);
  if (options.signal?.aborted) onAbort();
  return promise;
};

type Finish = (how: 'ended' | 'left', outcome: SessionEnd | JackinError) => void;

const createWire = (stream: CapsuleStream, send: (frames: Buffer) => boolean, finish: Finish): Wire => ({
  input: (bytes) => send(encodeData(FrameType.input, bytes)),
  onceDrained: (resume) => resumeWhenDrained(stream.stdin, resume),
  inputEnd: () => void send(encodeFrame(FrameType.inputEnd)),
  resize: (size) => void send(encodeJson(FrameType.resize, size)),
  signal: (signal) => void send(encodeJson(FrameType.signal, { signal })),
  watch: () => void send(encodeFrame(FrameType.watch)),
  changeTo: (request) => void send(encodeJson(FrameType.attach, request)),
  leave: (reason) => {
    send(encodeFrame(FrameType.detach));
    finish('left', { kind: 'detached', reason });
  },
  lose: (why) => finish('left', { kind: 'lost', why }),
});

/** A stream that closes will never drain. */
const resumeWhenDrained = (target: Writable, resume: () => void): void => {
  const once = () => {
    target.off('drain', once).off('close', once);
    resume();
  };
  target.on('drain', once).on('close', once);
};

interface Ending {
  promise: Promise<SessionEnd>;
  isOver: () => boolean;
  /** The first one counts: closes the face, hangs up, and settles the promise whatever closing does. */
  settle: (outcome: SessionEnd | JackinError, close: () => void) => void;
}

const createEnding = (stream: CapsuleStream): Ending => {
  let over = false;
  let resolve: (end: SessionEnd) => void;
  let reject: (error: JackinError) => void;
  const promise = new Promise<SessionEnd>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return {
    promise,
    isOver: () => over,
    settle: (outcome, close) => {
      if (over) return;
      over = true;
      try {
        close();
      } finally {
        hangUp(stream);
        if (outcome instanceof JackinError) reject(outcome);
        else resolve(outcome);
      }
    },
  };
};

/** Closing our end is the receipt for everything received: the capsule waits for it before it ends. */
const hangUp = (stream: CapsuleStream): void => {
  stream.stdin.end();
  stream.stdout.resume();
  const cut = setTimeout(() => {
    stream.stdin.destroy();
    stream.stdout.destroy();
  }, CLOSE_MS);
  cut.unref();
  stream.stdout.once('close', () => clearTimeout(cut));
};

const inWords = (complaint: string): string => {
  if (NO_PROCESS.test(complaint)) return 'no more processes can be started in the container, it is at its limit: end some in a session that is attached, or eject it';
  return complaint.replaceAll(/\p{Cc}+/gu, ' ').trim().slice(0, COMPLAINT_CHARS) || 'the connection to the container ended';
};

const watchLoss = (stream: CapsuleStream, lose: (why: string) => void): void => {
  let complaint = '';
  stream.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, MAX_COMPLAINT);
  });
  stream.stderr.on('error', () => {});
  stream.stdin.on('error', () => {});
  const onEnd = () => setTimeout(() => lose(inWords(complaint)), COMPLAINT_MS);
  stream.stdout.once('end', onEnd).once('close', onEnd);
  stream.stdout.on('error', () => {});
};
