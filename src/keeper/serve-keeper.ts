import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import type { Paths } from '../config/paths.ts';
import { ensurePrivateDir } from '../shared/atomic-files.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { Keeper } from './keeper.ts';
import { atSocket, FAREWELL, type KeeperAnswer, type KeeperRequest, MAX_LINE_BYTES, parseRequest, socketOf } from './keeper-socket.ts';

export interface KeeperServer {
  /** Conversations of launches and of those who wait for a token. Who only asks how it is keeps no keeper. */
  clients: () => number;
  /** Tells every conversation that the keeper ends because somebody wants it to. */
  dismiss: () => void;
  /** Ends every conversation and takes the socket away. */
  close: () => Promise<void>;
}

interface ServeOptions {
  keeper: Keeper;
  /** Something may have to be done now. */
  poke: () => void;
  stop: () => void;
}

/** The engine may take a moment to tell that a container runs. */
const SETTLING_MS = 5000;

const failure = (error: unknown): KeeperAnswer => {
  const known = error instanceof JackinError ? error : new JackinError('failed', messageOf(error));
  return { error: { code: known.code, message: known.message, ...(known.hint !== undefined && { hint: known.hint }) } };
};

/** Answers the requests of one conversation, in their order. */
const converse = (socket: Socket, clients: Set<Socket>, { keeper, poke, stop }: ServeOptions): void => {
  let release: (() => void) | undefined;
  const letGo = (hold: (() => void) | undefined): void => {
    hold?.();
    poke();
  };
  const freshen = async (account: string): Promise<void> => {
    clients.add(socket);
    await keeper.ensureFresh(account);
  };
  const handle = async (request: KeeperRequest): Promise<unknown> => {
    switch (request.op) {
      case 'status':
        return keeper.status();
      case 'fresh':
        return freshen(request.account);
      case 'hold':
        release?.();
        release = keeper.expect(request.account, request.container);
        // When it is due next may be sooner than anything that was known before.
        poke();
        return freshen(request.account);
      case 'started':
        setTimeout(letGo, SETTLING_MS, release).unref();
        release = undefined;
        return poke();
      case 'stop': {
        const held = await keeper.held();
        if (held.length > 0 && !request.force) {
          throw new JackinError('conflict', `the keeper keeps ${held.map((account) => `kimi:${account}`).join(', ')}, which running instances hold`, {
            hint: 'without it they work until their access ends; `jackin keeper stop --force` stops it all the same',
          });
        }
        // Whoever asked hears of it first.
        setImmediate(stop);
        return undefined;
      }
      default:
        return request satisfies never;
    }
  };
  const answer = async (line: string): Promise<KeeperAnswer> => {
    try {
      return { ok: (await handle(parseRequest(line))) ?? null };
    } catch (error) {
      return failure(error);
    }
  };
  let rest = '';
  let queue = Promise.resolve();
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_BYTES) socket.destroy();
    for (const line of lines) queue = queue.then(async () => void socket.write(`${JSON.stringify(await answer(line))}\n`));
  });
  socket.on('error', () => undefined);
  socket.on('close', () => letGo(release));
};

/** Listens on a socket that only its owner may open: the directory is 0700. */
export const serveKeeper = async (paths: Pick<Paths, 'keeperDir'>, options: ServeOptions): Promise<KeeperServer> => {
  await ensurePrivateDir(paths.keeperDir);
  const file = socketOf(paths);
  // Whoever holds the keeper's lock is the only one: what is there is a dead one's.
  await rm(file, { force: true });
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      clients.delete(socket);
    });
    converse(socket, clients, options);
  });
  await atSocket(
    paths,
    (address) =>
      new Promise<void>((resolve, reject) => {
        // Heard for good: a connection that cannot be taken, for want of a file handle, must not end the process.
        server.on('error', (error) => reject(new JackinError('failed', `the keeper cannot listen on ${file}: ${error.message}`, { cause: error })));
        server.listen(address, resolve);
      }),
  );
  return {
    clients: () => clients.size,
    dismiss: () => {
      for (const socket of sockets) socket.write(`${JSON.stringify(FAREWELL)}\n`);
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      await rm(file, { force: true });
    },
  };
};
