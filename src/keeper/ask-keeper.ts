import { connect, type Socket } from 'node:net';
import type { Paths } from '../config/paths.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { atSocket, type KeeperAnswer, type KeeperRequest, MAX_ANSWER_CHARS, parseAnswer, socketOf } from './keeper-socket.ts';
import type { KeeperStatus } from './keeper-status.ts';

/** One conversation with the keeper. */
export interface KeeperLine {
  /** Throws what the keeper answers with as an error, `failed` when it is gone or hangs, and `interrupted`. */
  ask: (request: KeeperRequest, signal?: AbortSignal) => Promise<unknown>;
  /** Resolves when the conversation is over, whoever ended it: true when the keeper was told to end. */
  ended: Promise<boolean>;
  close: () => void;
}

const open = async (paths: Pick<Paths, 'keeperDir'>): Promise<Socket | undefined> => {
  const reach = (address: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(address);
      socket.once('connect', () => resolve(socket));
      socket.once('error', reject);
    });
  try {
    return await atSocket(paths, reach);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ENOTDIR')) return undefined;
    if (error instanceof JackinError) throw error;
    throw new JackinError('failed', `the keeper's socket ${socketOf(paths)} cannot be opened: ${messageOf(error)}`, { cause: error });
  }
};

/** A kimi may hold a login's lock for a minute, and its server take half a one to answer; nothing else takes long. */
const ANSWER_MS: Readonly<Record<KeeperRequest['op'], number>> = { status: 5000, started: 5000, stop: 5000, fresh: 120_000, hold: 120_000 };

const hangs = ({ keeperDir }: Pick<Paths, 'keeperDir'>): JackinError =>
  new JackinError('failed', 'the keeper runs and does not answer', { hint: `end the process that ${keeperDir}/keeper.lock names, and run the command again: it starts another one` });

const noKeeper = (paths: Pick<Paths, 'keeperDir'>): JackinError =>
  new JackinError('failed', `what listens at ${socketOf(paths)} does not answer as a keeper of this version does`, { hint: 'end it with the jackin that started it: `jackin keeper stop`' });

/** Hands on whole lines until one is not understood, or has no end: then the conversation is over. */
const hear = (socket: Socket, understand: (line: string) => boolean): void => {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (!lines.every(understand) || rest.length > MAX_ANSWER_CHARS) socket.destroy();
  });
};

const gone = (): JackinError => new JackinError('failed', 'the keeper ended before it answered', { hint: 'run the command again; `jackin keeper status` shows whether it runs' });

/** Speaks to the keeper of this jackin home; undefined when none runs. */
export const connectKeeper = async (paths: Pick<Paths, 'keeperDir'>): Promise<KeeperLine | undefined> => {
  const socket = await open(paths);
  if (socket === undefined) return undefined;
  const waiting: { resolve: (answer: KeeperAnswer) => void; reject: (error: unknown) => void }[] = [];
  // What breaks the conversation is told by its end.
  socket.on('error', () => undefined);
  let dismissed = false;
  const ended = new Promise<boolean>((resolve) => {
    socket.once('close', () => {
      for (const { reject } of waiting.splice(0)) reject(gone());
      resolve(dismissed);
    });
  });
  hear(socket, (line) => {
    const said = parseAnswer(line);
    if (said === undefined) waiting.shift()?.reject(noKeeper(paths));
    else if ('bye' in said) dismissed = true;
    else waiting.shift()?.resolve(said);
    return said !== undefined;
  });
  const answerTo = async (request: KeeperRequest, signal?: AbortSignal): Promise<KeeperAnswer> => {
    let giveUp: (error: JackinError) => void = () => undefined;
    const interrupt = (): void => giveUp(new JackinError('interrupted', 'waiting for the keeper: interrupted'));
    const timer = setTimeout(() => giveUp(hangs(paths)), ANSWER_MS[request.op]);
    signal?.addEventListener('abort', interrupt);
    try {
      return await new Promise<KeeperAnswer>((resolve, reject) => {
        if (socket.destroyed) return reject(gone());
        giveUp = reject;
        waiting.push({ resolve, reject });
        socket.write(`${JSON.stringify(request)}\n`);
        if (signal?.aborted) interrupt();
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', interrupt);
    }
  };
  const ask = async (request: KeeperRequest, signal?: AbortSignal): Promise<unknown> => {
    const answer = await answerTo(request, signal);
    if ('ok' in answer) return answer.ok;
    const { code, message, hint } = answer.error;
    throw new JackinError(code, message, hint === undefined ? {} : { hint });
  };
  return { ask, ended, close: () => socket.destroy() };
};

/** What the keeper says of itself; undefined when none runs. */
export const keeperStatus = async (paths: Pick<Paths, 'keeperDir'>): Promise<KeeperStatus | undefined> => {
  const line = await connectKeeper(paths);
  try {
    return (await line?.ask({ op: 'status' })) as KeeperStatus | undefined;
  } finally {
    line?.close();
  }
};
