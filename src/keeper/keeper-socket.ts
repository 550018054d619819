import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import type { ErrorCode } from '../shared/errors.ts';

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

/** A longer path is cut off by the system without a word. */
const MAX_SOCKET_PATH = 100;

/** Where the keeper of a jackin home listens. */
export const socketOf = ({ keeperDir }: Pick<Paths, 'keeperDir'>): string => {
  const usual = path.join(keeperDir, 'keeper.sock');
  if (Buffer.byteLength(usual) <= MAX_SOCKET_PATH) return usual;
  const hash = createHash('sha256').update(keeperDir).digest('hex').slice(0, 16);
  return `/tmp/jackin-keeper-${hash}/keeper.sock`;
};
