import type { Readable, Writable } from 'node:stream';
import { encodeFrame, encodeJson } from '../capsule/frames.ts';
import { FrameType, type AttachRequest, type KillRequest, type LaunchRequest, type SessionInfo, type SpawnRequest, type TerminalSize } from '../capsule/protocol.ts';
import { JackinError } from '../shared/errors.ts';
import { attachedView, type TerminalStreams } from './attached-view.ts';
import {
  converse,
  type AttachOptions,
  type Exchange,
  type Face,
  type SessionEnd,
  type Wire,
} from './capsule-client.ts';
import { lostError } from './capsule-messages.ts';
import type { CapsuleStream } from './capsule-stream.ts';
import { createGuard } from './guard-output.ts';
import type { SignalSource } from './terminal.ts';

export type { TerminalStreams } from './attached-view.ts';
export type { AttachOptions, SessionEnd } from './capsule-client.ts';
export type { CapsuleStream } from './capsule-stream.ts';

// All of these resolve with how it ended, and throw a JackinError when the
// capsule refuses or is not the one this version of jackin knows. They end the
// stream on every way out.

/** What opens a session: the first one of an instance, or one more. */
export type Opening = { kind: 'launch'; request: LaunchRequest } | { kind: 'spawn'; request: SpawnRequest };

/** Starts a session and leaves it alone. */
export const openDetached = (stream: CapsuleStream, opening: Opening, options: AttachOptions = {}): Promise<SessionEnd> =>
  converse(stream, opened(opening, { detached: true }), options, leaveAtOnce);

export interface PipedStreams {
  /** Without it the program's input is empty. */
  stdin?: Readable | undefined;
  stdout: Writable;
  stderr: Writable;
  /** `process`: a first SIGINT, SIGTERM or SIGHUP interrupts the program, a second one kills it, a third gives up. */
  signals: SignalSource;
}

/** Starts a session on pipes and connects them to these streams, byte for byte. */
export const openPiped = (
  stream: CapsuleStream,
  opening: Opening,
  streams: PipedStreams,
  options: AttachOptions = {},
): Promise<SessionEnd> =>
  converse(stream, opened(opening), options, (wire) => {
    const stopInput = forwardInput(streams.stdin, wire);
    const stopSignals = forwardSignals(streams.signals, wire);
    // Like a broken pipe anywhere: the program's output is of no use any more. The
    // listeners stay, since a late EPIPE must not end this process either.
    const onBroken = () => wire.signal('SIGTERM');
    streams.stdout.on('error', onBroken);
    streams.stderr.on('error', onBroken);
    return {
      output: streams.stdout,
      errorOutput: streams.stderr,
      filter: guardOf(streams.stdout),
      errorFilter: guardOf(streams.stderr),
      close: () => {
        stopInput();
        stopSignals();
      },
    };
  });

/** Starts a session on a PTY of the terminal's size and stays attached to it. */
export const openAttached = (
  stream: CapsuleStream,
  opening: Opening,
  streams: TerminalStreams,
  options: AttachOptions = {},
): Promise<SessionEnd> => {
  const view = attachedView(streams);
  return converse(stream, opened(opening, { size: view.size() }), options, view.open);
};

/** Joins a session and shows its screen as it is: the named one, else the one that the capsule thinks is meant. */
export const attachSession = (
  stream: CapsuleStream,
  session: string | undefined,
  streams: TerminalStreams,
  options: Omit<AttachOptions, 'onReady'> = {},
): Promise<SessionEnd> => {
  const view = attachedView(streams);
  const request: AttachRequest = { ...(session === undefined ? {} : { session }), size: view.size() };
  return converse(stream, { opening: encodeJson(FrameType.attach, request), awaits: 'answer' }, options, view.open);
};

/** Where the output goes to a terminal after all, it is held to the same policy as a session's; anywhere else it is passed byte for byte. */
const guardOf = (target: Writable & { isTTY?: boolean }): ((bytes: Buffer) => Buffer) | undefined =>
  target.isTTY ? createGuard({ allowClipboard: false }).push : undefined;

const leaveAtOnce = (wire: Wire): Face => {
  wire.leave('asked');
  return { close: () => {} };
};

/** The sessions of an instance, oldest first; none when nothing was launched in it since its container started. */
export const listSessions = async (stream: CapsuleStream, options: Pick<AttachOptions, 'signal' | 'limits'> = {}): Promise<SessionInfo[]> => {
  let found: SessionInfo[] | undefined;
  const onSessions = (sessions: SessionInfo[], wire: Wire) => {
    found = sessions;
    wire.leave('asked');
  };
  const end = await converse(stream, { opening: encodeFrame(FrameType.list), awaits: 'answer' }, { ...options, onSessions });
  if (found !== undefined) return found;
  const what = 'the container does not tell its sessions';
  throw end.kind === 'lost' ? lostError(what, end) : new JackinError('failed', what);
};

/** Ends a session, first politely, and waits until it has ended. Returns its exit code; undefined when the container went with it. */
export const endSession = async (stream: CapsuleStream, session: string, options: Pick<AttachOptions, 'signal' | 'limits'> = {}): Promise<number | undefined> => {
  let code: number | undefined;
  const onSessions = (sessions: SessionInfo[], wire: Wire) => {
    const found = sessions.find(({ id }) => id === session);
    if (found !== undefined && found.state !== 'exited') return;
    code = found?.code;
    wire.leave('asked');
  };
  const opening = Buffer.concat([encodeJson(FrameType.kill, { session } satisfies KillRequest), encodeFrame(FrameType.watch)]);
  let greeted = false;
  const onWelcome = () => {
    greeted = true;
  };
  const end = await converse(stream, { opening, awaits: 'end' }, { ...options, onSessions, onWelcome });
  if (end.kind !== 'lost') return code;
  if (!greeted) throw lostError(`session ${session} was not ended`, end);
  // With its last session a capsule ends, says no more, and its container goes with it.
  if (end.where !== 'container') throw lostError(`it is not known whether session ${session} has ended`, end);
  return undefined;
};

/** Returns the exchange that opens a session; its home is set up first where the host has sent what for. */
const opened = (opening: Opening, change: { detached?: boolean; size?: TerminalSize } = {}): Exchange => {
  const setsUp = opening.kind === 'launch' || opening.request.fresh !== undefined;
  return { opening: openingFrame(opening, change), awaits: setsUp ? 'setup' : 'answer' };
};

const openingFrame = ({ kind, request }: Opening, change: { detached?: boolean; size?: TerminalSize } = {}): Buffer => {
  const { detached = false, size = request.session.size } = change;
  const session = { ...request.session, ...(size !== undefined && { size }) };
  return encodeJson(FrameType[kind], { ...request, session, detached });
};

const forwardInput = (stdin: Readable | undefined, wire: Wire): (() => void) => {
  if (stdin === undefined) {
    wire.inputEnd();
    return () => {};
  }
  const resume = () => stdin.resume();
  const onData = (bytes: Buffer) => {
    if (wire.input(bytes)) return;
    stdin.pause();
    wire.onceDrained(resume);
  };
  // An input that breaks has ended, as far as the program can tell.
  stdin.on('data', onData).once('end', wire.inputEnd).once('error', wire.inputEnd);
  return () => {
    stdin.off('data', onData).off('end', wire.inputEnd);
    stdin.pause();
  };
};

const INTERRUPTS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const forwardSignals = (signals: SignalSource, wire: Wire): (() => void) => {
  let heard = 0;
  const onSignal = () => {
    heard += 1;
    if (heard === 1) wire.signal('SIGINT');
    else if (heard === 2) wire.signal('SIGKILL');
    else wire.lose('interrupted before the program had ended');
  };
  for (const name of INTERRUPTS) signals.on(name, onSignal);
  return () => {
    for (const name of INTERRUPTS) signals.off(name, onSignal);
  };
};
