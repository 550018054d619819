import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { type ErrorCode, JackinError } from '../shared/errors.ts';

/**
 * What launches and the keeper say to each other, over a Unix socket: one line of
 * JSON each way. No token ever travels here: whoever may open the socket may read the
 * login's directory.
 */
export type KeeperRequest =
  | { op: 'status' }
  /** The login's token is good for a while when this is answered. */
  | { op: 'fresh'; account: string }
  /** The same, for a container that is about to start: it counts as a holder until {@link KeeperRequest} `started`, or until the connection ends. */
  | { op: 'hold'; account: string; container: string }
  /** The container of this connection runs: from here on the engine tells how long. */
  | { op: 'started' }
  /** Without `force` refused while somebody holds a login. */
  | { op: 'stop'; force: boolean };

export type KeeperAnswer = { ok: unknown } | { error: { code: ErrorCode; message: string; hint?: string } };

/** Said unasked when the keeper was told to end: nobody is to start another one for it. */
export const FAREWELL = { bye: true } as const;

export const MAX_LINE_BYTES = 64 * 1024;

/** What the system takes of a socket's path; a longer one is cut off without a word. */
const MAX_SOCKET_PATH = 100;

/** Where the keeper of a jackin home listens. */
export const socketOf = ({ keeperDir }: Pick<Paths, 'keeperDir'>): string => path.join(keeperDir, 'keeper.sock');

/**
 * Listens or connects there: `use` gets a name of the socket that is short enough. It
 * is good until what `use` returns is settled. Throws `ENOENT` where there is no such directory.
 */
export const atSocket = async <T>(paths: Pick<Paths, 'keeperDir'>, use: (address: string) => Promise<T>): Promise<T> => {
  const usual = socketOf(paths);
  if (Buffer.byteLength(usual) <= MAX_SOCKET_PATH) return use(usual);
  if (process.platform !== 'linux') {
    throw new JackinError('failed', `${usual} is too long for a socket (${Buffer.byteLength(usual)} bytes; ${MAX_SOCKET_PATH} are possible)`, { hint: 'choose a shorter JACKIN_HOME_DIR' });
  }
  // The directory by its number: it is the very same place, not one elsewhere that others could reach.
  const handle = await open(paths.keeperDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await use(`/proc/self/fd/${handle.fd}/${path.basename(usual)}`);
  } finally {
    await handle.close();
  }
};
