import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { isTable, type Table, tableOf, textOf } from '../agents/judge.ts';
import type { Paths } from '../config/paths.ts';
import { type ErrorCode, EXIT_CODES, JackinError } from '../shared/errors.ts';

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

/** Of a request. */
export const MAX_LINE_BYTES = 64 * 1024;

/** Of an answer, which may tell of many logins. */
export const MAX_ANSWER_CHARS = 4 * 1024 * 1024;

const jsonIn = (line: string): Table | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return isTable(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** A text of a request. Whether it is a name of anything is for the keeper to say. */
const nameIn = (request: Table, key: string): string => {
  const name = textOf(request, key);
  if (name !== undefined) return name;
  throw new JackinError('usage', `the keeper was asked something without ${key}`);
};

/** The request in a line. Throws a JackinError `usage` for anything else. */
export const parseRequest = (line: string): KeeperRequest => {
  const request = jsonIn(line);
  if (request === undefined) throw new JackinError('usage', 'the keeper was asked something that is no request');
  const { op } = request;
  switch (op) {
    case 'status':
    case 'started':
      return { op };
    case 'fresh':
      return { op, account: nameIn(request, 'account') };
    case 'hold':
      return { op, account: nameIn(request, 'account'), container: nameIn(request, 'container') };
    case 'stop':
      return { op, force: request['force'] === true };
    default:
      throw new JackinError('usage', `the keeper does not know what ${JSON.stringify(op)?.slice(0, 80)} means`);
  }
};

/** The answer in a line; undefined for anything else: whatever listens there is no keeper of this version. */
export const parseAnswer = (line: string): KeeperAnswer | typeof FAREWELL | undefined => {
  const said = jsonIn(line);
  if (said === undefined) return undefined;
  if (said['bye'] === true) return FAREWELL;
  if (Object.hasOwn(said, 'ok')) return { ok: said['ok'] };
  const error = tableOf(said, 'error');
  const code = textOf(error, 'code') ?? '';
  const message = textOf(error, 'message');
  if (message === undefined || !Object.hasOwn(EXIT_CODES, code)) return undefined;
  const hint = textOf(error, 'hint');
  return { error: { code: code as ErrorCode, message, ...(hint !== undefined && { hint }) } };
};

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
