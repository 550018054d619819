import type { Readable, Writable } from 'node:stream';
import { encodeJson } from '../capsule/frames.ts';
import { FrameType, type AttachRequest, type LaunchRequest } from '../capsule/protocol.ts';
import { converse, type AttachOptions, type CapsuleStream, type Face, type SessionEnd, type Wire } from './capsule-client.ts';
import { takeTerminal, terminalSize, type SignalSource, type Terminal } from './terminal.ts';

export type { AttachOptions, CapsuleStream, SessionEnd } from './capsule-client.ts';

// All of these resolve with how it ended, and throw a JackinError when the
// capsule refuses or is not the one this version of jackin knows. They end the
// stream on every way out.

/** Starts the first session and leaves it alone. */
export const launchDetached = (stream: CapsuleStream, request: LaunchRequest, options: AttachOptions = {}): Promise<SessionEnd> =>
  converse(stream, launchFrame({ ...request, detached: true }), options, (wire) => {
    wire.leave('asked');
    return { close: () => {} };
  });

export interface PipedStreams {
  /** Without it the program's input is empty. */
  stdin?: Readable | undefined;
  stdout: Writable;
  stderr: Writable;
  /** `process`: a first SIGINT, SIGTERM or SIGHUP interrupts the program, a second one kills it, a third gives up. */
  signals: SignalSource;
}

/** Starts the first session on pipes and connects them to these streams, byte for byte. */
export const launchPiped = (
  stream: CapsuleStream,
  request: LaunchRequest,
  streams: PipedStreams,
  options: AttachOptions = {},
): Promise<SessionEnd> =>
  converse(stream, launchFrame(request), options, (wire) => {
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
      close: () => {
        stopInput();
        stopSignals();
      },
    };
  });

export interface TerminalStreams {
  terminal: Terminal;
  /** `process`. */
  signals: SignalSource;
}

/** Starts the first session on a PTY of the terminal's size and stays attached to it. */
export const launchAttached = (
  stream: CapsuleStream,
  request: LaunchRequest,
  streams: TerminalStreams,
  options: AttachOptions = {},
): Promise<SessionEnd> => {
  const size = terminalSize(streams.terminal);
  const opening = launchFrame({ ...request, session: { ...request.session, size } });
  return converse(stream, opening, options, attachTerminal(streams));
};

/** Joins a session that runs (the first one, when none is named) and shows its screen as it is. */
export const attachSession = (
  stream: CapsuleStream,
  session: string | undefined,
  streams: TerminalStreams,
  options: Omit<AttachOptions, 'onReady'> = {},
): Promise<SessionEnd> => {
  const request: AttachRequest = { ...(session === undefined ? {} : { session }), size: terminalSize(streams.terminal) };
  return converse(stream, encodeJson(FrameType.attach, request), options, attachTerminal(streams));
};

const launchFrame = (request: LaunchRequest): Buffer => encodeJson(FrameType.launch, request);

const attachTerminal =
  ({ terminal, signals }: TerminalStreams) =>
  (wire: Wire): Face => {
    const restore = takeTerminal(terminal, signals, { input: wire.input, resize: wire.resize, leave: wire.leave });
    // It may have changed since the request was written.
    wire.resize(terminalSize(terminal));
    terminal.output.on('error', () => wire.lose('the terminal is gone'));
    return { output: terminal.output, errorOutput: terminal.output, close: restore };
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
