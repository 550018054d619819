import type { Writable } from 'node:stream';
import { encodeData, encodeFrame, encodeJson, frameReader, type Frame } from '../capsule/frames.ts';
import {
  FrameType,
  type AttachRequest,
  type SessionInfo,
  type SetupReport,
  type SignalRequest,
  type TerminalSize,
  type Welcome,
} from '../capsule/protocol.ts';
import { JackinError } from '../shared/errors.ts';
import { type Awaited, CAPSULE_LIMITS, type CapsuleLimits, createAllowance, createPatience, type Patience } from './capsule-limits.ts';
import { brokenTalk, checkProtocol, noAnswer, notACapsule, readMessage, refused } from './capsule-messages.ts';
import { type CapsuleStream, createEnding, resumeWhenDrained, watchLoss } from './capsule-stream.ts';
import type { Fate } from './container-fate.ts';
import type { LeaveReason } from './terminal.ts';

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
  | { kind: 'lost'; why: string; where: Fate['where'] };

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
  /** In place of {@link CAPSULE_LIMITS}. */
  limits?: Partial<CapsuleLimits> | undefined;
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

/** A container whose last session has ended closes the other connections first. */
const END_SETTLE_MS = 5000;

/** The request after the greeting, and the kind of answer that it awaits. */
export interface Exchange {
  opening: Buffer;
  awaits: Exclude<Awaited, 'greeting'>;
}

/** How a talk ended. `cut`: the stream has. `mute`: something did not come in time. */
type TalkEnd = SessionEnd | { kind: 'cut'; why: string } | { kind: 'mute'; why: string };

type Connect = (wire: Wire, session: SessionInfo) => Face;

/**
 * Sends the opening request, connects the session that it starts or joins to a face, and stays until one
 * of the two ends; without `connect` none may start. All that is waited for before the session runs has a limit; the session itself has none.
 */
export const converse = async (
  stream: CapsuleStream,
  exchange: Exchange,
  options: AttachOptions,
  connect?: Connect,
): Promise<SessionEnd> => {
  const end = await talk(stream, exchange, options, connect);
  if (end.kind !== 'cut' && end.kind !== 'mute') return end;
  if (end.kind === 'mute') throw noAnswer(end.why, await stream.fate(0), stream.remedy());
  const { where, why } = await stream.fate(exchange.awaits === 'end' ? END_SETTLE_MS : undefined);
  if (where === 'engine') return { kind: 'lost', where, why: `${end.why}, and the engine does not answer: ${why}` };
  return { kind: 'lost', where, why: where === 'container' ? `${end.why}: ${why}` : end.why };
};

const talk = (stream: CapsuleStream, exchange: Exchange, options: AttachOptions, connect?: Connect): Promise<TalkEnd> => {
  const { promise, settle, isOver } = createEnding<TalkEnd>(stream);
  let face: Face | undefined;
  const finish: Finish = (how, outcome) => {
    options.signal?.removeEventListener('abort', onAbort);
    patience.waitFor(undefined);
    settle(outcome, () => face?.close(how));
  };
  const limits = { ...CAPSULE_LIMITS, ...options.limits };
  const patience = createPatience(limits, (why) => finish('left', { kind: 'mute', why }));
  const onAbort = () => {
    if (face === undefined) finish('left', new JackinError('interrupted', 'interrupted while waiting for the container'));
  };
  const send = (frames: Buffer) => !isOver() && stream.stdin.writable && stream.stdin.write(frames);
  const asked = { changes: 0 };
  const wire = createWire(stream, send, finish, asked);
  const started = connect && ((session: SessionInfo) => {
    patience.waitFor(undefined);
    options.onStarted?.(session);
    face = connect(wire, session);
    hear = hearSession(stream, face, asked, finish);
  });
  let hear: Hear = hearGreeting((said) => {
    checkProtocol(said.protocol, stream.remedy());
    options.onWelcome?.(said.sessions);
    hear = hearStart(exchange.awaits, options, { wire, patience, started });
    patience.waitFor(exchange.awaits);
    send(exchange.opening);
  });
  const allowance = createAllowance();
  const read = frameReader((frame) => {
    if (isOver()) return;
    if (frame.type === FrameType.failed) throw refused(readMessage('failed', frame), stream.remedy());
    if (frame.type !== FrameType.output && frame.type !== FrameType.errorOutput) allowance.message();
    hear(frame);
  });
  let silent = true;
  stream.stdout.on('data', (chunk: Buffer) => {
    try {
      if (silent && chunk[0] !== FrameType.welcome) throw notACapsule(chunk.toString(), stream.remedy());
      silent = false;
      read(chunk);
    } catch (error) {
      finish('left', error instanceof JackinError ? error : brokenTalk(error, stream.remedy()));
    }
  });
  watchLoss(stream, (why) => finish('left', { kind: 'cut', why }));
  options.signal?.addEventListener('abort', onAbort);
  patience.waitFor('greeting');
  if (options.signal?.aborted) onAbort();
  return promise;
};

/** Takes a frame, or throws because it is not its turn. */
type Hear = (frame: Frame) => void;

const outOfTurn = ({ type }: Frame): Error => new Error(`it says something out of turn (frame type ${type})`);

const hearGreeting =
  (greeted: (said: Welcome) => void): Hear =>
  (frame) => {
    if (frame.type !== FrameType.welcome) throw new Error('it does not greet');
    greeted(readMessage('welcome', frame));
  };

interface Starting {
  wire: Wire;
  patience: Patience;
  /** Undefined where no session was asked for. */
  started: ((session: SessionInfo) => void) | undefined;
}

/** After the request, until the session runs. Whatever is printed here comes once, or is counted. */
const hearStart = (awaits: Exchange['awaits'], options: AttachOptions, { wire, patience, started }: Starting): Hear => {
  const allowance = createAllowance();
  let settingUp = awaits === 'setup';
  return (frame) => {
    switch (frame.type) {
      case FrameType.note: {
        if (!settingUp) throw outOfTurn(frame);
        const { text } = readMessage('note', frame);
        allowance.note(text);
        return options.onNote?.(text);
      }
      case FrameType.ready:
        if (!settingUp) throw outOfTurn(frame);
        settingUp = false;
        patience.waitFor('answer');
        return options.onReady?.(readMessage('ready', frame));
      case FrameType.started:
        if (started === undefined) throw outOfTurn(frame);
        return started(readMessage('started', frame));
      case FrameType.sessions:
        if (options.onSessions === undefined) throw outOfTurn(frame);
        return options.onSessions(readMessage('sessions', frame).sessions, wire);
      default:
        throw outOfTurn(frame);
    }
  };
};

/** While the session runs. What it prints has no limit, but waits for who takes it. */
const hearSession = (stream: CapsuleStream, face: Face, asked: { changes: number }, finish: Finish): Hear => {
  const waitFor = (target: Writable | undefined) => {
    if (target === undefined || !target.writableNeedDrain || stream.stdout.isPaused()) return;
    stream.stdout.pause();
    resumeWhenDrained(target, () => stream.stdout.resume());
  };
  const deliver = (target: Writable | undefined, filter: Face['filter'], payload: Buffer) => {
    if (target === undefined || !target.writable) return;
    const bytes = filter === undefined ? payload : filter(payload);
    if (bytes.length > 0) target.write(bytes);
    waitFor(target);
  };
  return (frame) => {
    switch (frame.type) {
      case FrameType.output:
        return deliver(face.output, face.filter, frame.payload);
      case FrameType.errorOutput:
        return deliver(face.errorOutput, face.errorFilter ?? face.filter, frame.payload);
      case FrameType.sessions:
        face.sessions?.(readMessage('sessions', frame).sessions);
        // A face may draw them: a terminal that is stopped must not gather them up in memory.
        return waitFor(face.output);
      case FrameType.started:
        if (asked.changes === 0) throw outOfTurn(frame);
        asked.changes -= 1;
        face.changedTo?.(readMessage('started', frame));
        return waitFor(face.output);
      case FrameType.exited:
        return finish('ended', { kind: 'exited', ...readMessage('exited', frame) });
      default:
        throw outOfTurn(frame);
    }
  };
};

type Finish = (how: 'ended' | 'left', outcome: TalkEnd | JackinError) => void;

const createWire = (
  stream: CapsuleStream,
  send: (frames: Buffer) => boolean,
  finish: Finish,
  asked: { changes: number },
): Wire => ({
  input: (bytes) => send(encodeData(FrameType.input, bytes)),
  onceDrained: (resume) => resumeWhenDrained(stream.stdin, resume),
  inputEnd: () => void send(encodeFrame(FrameType.inputEnd)),
  resize: (size) => void send(encodeJson(FrameType.resize, size)),
  signal: (signal) => void send(encodeJson(FrameType.signal, { signal })),
  watch: () => void send(encodeFrame(FrameType.watch)),
  changeTo: (request) => {
    asked.changes += 1;
    send(encodeJson(FrameType.attach, request));
  },
  leave: (reason) => {
    send(encodeFrame(FrameType.detach));
    finish('left', { kind: 'detached', reason });
  },
  lose: (why) => finish('left', { kind: 'lost', why, where: 'connection' }),
});
