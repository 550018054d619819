import { encodeData, encodeMessage } from './frames.ts';
import { holdBack, type Taker } from './flow.ts';
import { startPipes } from './pipe-process.ts';
import type { ProcessEvents, ProcessSpec, SessionProcess } from './process.ts';
import { FrameType, type SessionExit, type SessionInfo, type TerminalSize } from './protocol.ts';
import { startPty } from './pty-process.ts';
import { createScreen } from './screen.ts';

/** One attached client. */
export interface Viewer extends Taker {
  send: (frames: Buffer) => void;
  /** There is nothing more to come: closes it once everything has been sent. */
  finish: () => void;
}

export interface SessionSpec extends ProcessSpec {
  id: string;
  agent: string;
  io: 'pty' | 'pipe';
  /** Used with `pty`. */
  size: TerminalSize;
  /** Called when what `info` tells is another. */
  changed: () => void;
  /** Sessions that still run, asked when this one has ended. */
  left: () => number;
}

export interface Session extends Pick<SessionProcess, 'write' | 'endInput' | 'signal'> {
  info: () => SessionInfo;
  /** Shows the viewer the picture so far, then everything that follows; at the end `exited`. */
  join: (viewer: Viewer, size?: TerminalSize) => void;
  leave: (viewer: Viewer) => void;
  /** There is one size for all viewers: whoever joined or resized last decides, since that is where the person sits. */
  resize: (size: TerminalSize) => void;
  ended: Promise<SessionExit>;
}

/**
 * Starts a program and keeps it, and what it shows, whether anybody looks or not. A
 * session outlives its program, so nothing in it may hold `spec`: its environment has
 * the keys.
 */
export const startSession = (spec: SessionSpec): Session => {
  const { id, agent, io, changed, left } = spec;
  // A viewer that waits for its picture has a queue of what came after it.
  const viewers = new Map<Viewer, Buffer[] | undefined>();
  let exit: SessionExit | undefined;
  let size = spec.size;
  let tellEnd: (exit: SessionExit) => void;
  const ended = new Promise<SessionExit>((resolve) => {
    tellEnd = resolve;
  });
  const broadcast = (frames: Buffer) => {
    for (const [viewer, queue] of viewers) {
      if (queue === undefined) viewer.send(frames);
      else queue.push(frames);
    }
  };
  const finish = (viewer: Viewer, how: SessionExit) => {
    viewers.delete(viewer);
    viewer.send(encodeMessage('exited', how));
    viewer.finish();
  };
  const events: ProcessEvents = {
    output: (bytes) => {
      // A real terminal answers by itself; two answers would be typed into the program's input.
      screen?.write(bytes, viewers.size === 0);
      broadcast(encodeData(FrameType.output, bytes));
      flow.check();
    },
    errorOutput: (bytes) => {
      broadcast(encodeData(FrameType.errorOutput, bytes));
      flow.check();
    },
    ended: (how) => {
      flow.stop();
      const ending = { id, ...how, left: 0 };
      // Set first: from here on it does not count as running.
      exit = ending;
      ending.left = left();
      for (const [viewer, queue] of viewers) if (queue === undefined) finish(viewer, exit);
      screen?.freeze();
      tellEnd(exit);
      changed();
    },
  };
  const program = io === 'pty' ? startPty(spec, spec.size, events) : startPipes(spec, events);
  const screen =
    io === 'pty'
      ? createScreen(spec.size, (reply) => program.write(Buffer.from(reply)))
      : undefined;
  // Who waits for the picture waits for the model, whose backlog counts already.
  const takers = () => [...viewers].flatMap(([viewer, queue]) => (queue === undefined ? [viewer] : []));
  const flow = holdBack(program, () => screen?.backlog() ?? 0, takers);
  const resize = (wanted: TerminalSize) => {
    if (screen === undefined || (wanted.cols === size.cols && wanted.rows === size.rows)) return;
    size = wanted;
    screen.resize(wanted);
    program.resize(wanted);
  };
  const showPicture = (viewer: Viewer, picture: Buffer) => {
    const queue = viewers.get(viewer);
    if (queue === undefined) return;
    viewers.set(viewer, undefined);
    viewer.send(encodeData(FrameType.output, picture));
    for (const frames of queue) viewer.send(frames);
    if (exit !== undefined) finish(viewer, exit);
  };
  return {
    write: program.write,
    endInput: program.endInput,
    signal: program.signal,
    resize,
    ended,
    info: () => ({
      id,
      agent,
      state: exit === undefined ? 'running' : 'exited',
      ...(exit === undefined ? {} : { code: exit.code }),
      clients: viewers.size,
      io,
    }),
    join: (viewer, wanted) => {
      if (wanted !== undefined) resize(wanted);
      const needsPicture = screen !== undefined && !screen.blank();
      viewers.set(viewer, needsPicture ? [] : undefined);
      if (needsPicture) screen.picture((picture) => showPicture(viewer, picture));
      else if (exit !== undefined) finish(viewer, exit);
      changed();
    },
    leave: (viewer) => {
      if (viewers.delete(viewer)) changed();
    },
  };
};
