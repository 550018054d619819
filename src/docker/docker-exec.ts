import { PassThrough, type Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { untilDrained } from '../shared/until-drained.ts';
import { bounded, withSignal } from './engine-call.ts';
import type { ExecHandle } from './engine.ts';
import { takeApart } from './multiplexed.ts';

/**
 * Takes the engine's two multiplexed streams apart. Waits for a slow reader of
 * stdout, so that a program that writes fast does not fill the host's memory;
 * stderr never waits, so that a reader of stdout alone cannot get stuck.
 */
const demultiplex = async (socket: Duplex, stdout: PassThrough, stderr: PassThrough): Promise<void> => {
  for await (const { isError, bytes } of takeApart(socket)) {
    if (isError) stderr.write(bytes);
    else if (!stdout.write(bytes)) await untilDrained(stdout);
  }
};

/** Starts a program without a terminal: a terminal would hide from the program that its client has died. */
export const execIn = async (docker: Docker, container: string, argv: string[]): Promise<ExecHandle> => {
  const what = `running ${argv[0] ?? 'a program'} in container ${container}`;
  const { exec, socket } = await bounded(what, async (signal) => {
    const options = { Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false };
    const created = await docker.getContainer(container).exec(withSignal(options, signal));
    const stream = await created.start(withSignal({ hijack: true, stdin: true }, signal));
    return { exec: created, socket: stream };
  });

  const stdout = new PassThrough();
  const stderr = new PassThrough();
  // Reading what is left must go on although the caller has closed its side of the pipe.
  socket.on('error', () => undefined);
  const relay = async (): Promise<void> => {
    try {
      await demultiplex(socket, stdout, stderr);
      stdout.end();
      stderr.end();
    } catch (error) {
      stdout.destroy(error as Error);
      stderr.destroy(error as Error);
    }
  };
  const done = relay();
  stdout.on('error', () => undefined);
  stderr.on('error', () => undefined);

  const exitCode = async (): Promise<number> => {
    await done;
    await finished(stdout, { writable: true, readable: false }).catch(() => undefined);
    for (let tries = 0; tries < 50; tries += 1) {
      const state = await bounded(what, async (signal) => await exec.inspect(withSignal({}, signal)));
      if (!state.Running && state.ExitCode !== null) return state.ExitCode;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new JackinError('engine.unreachable', `${what}: its streams ended, but the engine does not say how it exited`);
  };
  return { stdin: socket, stdout, stderr, exitCode };
};
