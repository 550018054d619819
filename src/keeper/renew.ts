import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CREDENTIALS_DIR, slotFile } from '../agents/kimi-login.ts';
import { type KimiToken, parseToken, printToken } from '../agents/kimi-token.ts';
import { requestRefresh } from '../auth/kimi-oauth.ts';
import type { RefreshOutcome, Send } from '../auth/kimi-requests.ts';
import { type OwnLogin, readOwnLogin } from '../auth/own-login.ts';
import { ensurePrivateDir, type FsLayer, nodeFs, syncDirectory, unlessMissing } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { withKimiLock } from './kimi-lock.ts';
import { digestOf, endOf, type LoginNote, readLoginNote, writeLoginNote } from './login-note.ts';

/** What renewing needs of the world. */
export interface RenewWorld {
  loginsDir: string;
  keeperDir: string;
  uid: number;
  /** Unix time in milliseconds. */
  now: () => number;
  send: Send;
  /** Headers by which a Kimi with this device id tells who it is. */
  identity: (deviceId: string) => Record<string, string>;
  /** Ends waiting for a lock, and no renewal begins after it. A request that was sent is never cut short: its answer may be the login. */
  signal: AbortSignal;
  fs?: FsLayer;
}

export type Renewal =
  /** The login is good, whoever renewed it. */
  | { kind: 'good'; login: OwnLogin }
  /** The server takes its refresh token no more; only logging in again helps. */
  | { kind: 'ended'; why: string; login: OwnLogin }
  /** Not now. `afterMs`: how long the server asks to be left alone. `unsaved`: this process alone has the new pair. */
  | { kind: 'failed'; why: string; afterMs?: number; unsaved?: true };

export type Renew = (account: string, isDue: (login: OwnLogin) => boolean) => Promise<Renewal>;

/** More than any credential file has. */
const RESERVED_BYTES = 32 * 1024;
/** What Kimi gives another process to write what it has just got. */
const PEER_MS = 100;

const NO_TOKEN = 'its credential file holds no token: a kimi that shares the directory was logged out, or the file was damaged';
const NO_REFRESH = 'its credential file holds no refresh token';
const LOST = 'an answer of the server never arrived, with which it had renewed the login, so nobody has the new token';

const why = (reason: string, account: string): string => `The login kimi:${account} has ended: ${reason}.`;

interface Reserved {
  /** Writes the text in the place of the old file. The space is there. What fails leaves the file: it may hold the whole pair. */
  commit: (text: string) => Promise<void>;
  drop: () => Promise<void>;
}

const OURS = 'jackin';
const temporaryOf = (slot: string): string => `${slot}.json.tmp.${OURS}.${randomBytes(4).toString('hex')}`;

/** Takes the space for a new credential file before the server is asked: a full disk must not cost the pair that it gives. */
const reserve = async (login: OwnLogin, fs: FsLayer): Promise<Reserved> => {
  const dir = path.join(login.dir, CREDENTIALS_DIR);
  await ensurePrivateDir(dir, { fs });
  const temporary = path.join(dir, temporaryOf(login.slot));
  const handle = await fs.open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  const drop = async (): Promise<void> => {
    await handle.close().catch(() => undefined);
    await fs.unlink(temporary).catch(() => undefined);
  };
  try {
    await handle.chmod(0o600);
    // Blanks mean nothing after a JSON text: what a crash leaves of a pair can still be read.
    await handle.write(Buffer.alloc(RESERVED_BYTES, ' '), 0, RESERVED_BYTES, 0);
    await handle.sync();
  } catch (error) {
    await drop();
    throw error;
  }
  const commit = async (text: string): Promise<void> => {
    const bytes = Buffer.from(text);
    try {
      await handle.write(bytes, 0, bytes.length, 0);
      await handle.truncate(bytes.length);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, path.join(login.dir, slotFile(login.slot)));
    await syncDirectory(dir, fs);
  };
  return { commit, drop };
};

/**
 * What a killed keeper has left beside the credential file: a pair that it got and
 * could not put in place any more is still the login; everything else goes.
 */
const adoptLeftover = async (login: OwnLogin, wasSent: boolean, fs: FsLayer): Promise<boolean> => {
  const dir = path.join(login.dir, CREDENTIALS_DIR);
  let adopted = false;
  for (const name of (await unlessMissing(fs.readdir(dir))) ?? []) {
    if (!name.startsWith(`${login.slot}.json.tmp.${OURS}.`)) continue;
    const file = path.join(dir, name);
    const token = parseToken(await readFile(file, 'utf8'));
    if (wasSent && token !== undefined && token.refreshToken !== '' && token.refreshToken !== login.token?.refreshToken) {
      await fs.rename(file, path.join(login.dir, slotFile(login.slot)));
      adopted = true;
    } else {
      await fs.unlink(file);
    }
  }
  if (adopted) await syncDirectory(dir, fs);
  return adopted;
};

const diskTrouble = (error: unknown): string => (isErrno(error, 'ENOSPC', 'EDQUOT') ? 'the disk is full' : messageOf(error));

/**
 * The one place where a login of jackin's own is renewed. A refresh token that was
 * refused is never sent again; that one was sent is written down before it is; the
 * new pair is on the disk before anybody sees it.
 */
export const createRenew = (world: RenewWorld): Renew => {
  const { loginsDir, uid, fs = nodeFs } = world;
  /** Pairs that the disk would not take, by account: the only copies there are. */
  const unsaved = new Map<string, { replaces: string; token: KimiToken }>();
  /** Why, by digest: what the server refused is not sent again, even when that could not be written down. */
  const refused = new Map<string, string>();
  const read = (account: string): Promise<OwnLogin> => readOwnLogin(loginsDir, account, uid);
  const iso = (): string => new Date(world.now()).toISOString();

  const keptInMemory = (account: string, error: unknown): Renewal => ({
    kind: 'failed',
    unsaved: true,
    why: `The login kimi:${account} was renewed and cannot be written (${diskTrouble(error)}); it is kept in memory until it can.`,
  });

  const saved = async (account: string): Promise<Renewal> => {
    unsaved.delete(account);
    // The pair is safe. Without the note only the time of the renewal is not known.
    await writeLoginNote(world, account, { refreshed_at: iso(), sent: null, ended: null }, fs).catch(() => undefined);
    return { kind: 'good', login: await read(account) };
  };

  const save = async (account: string, login: OwnLogin, token: KimiToken, reserved: Reserved): Promise<Renewal> => {
    const replaces = login.token === undefined ? '' : digestOf(login.token);
    try {
      await reserved.commit(printToken(token));
    } catch (error) {
      unsaved.set(account, { replaces, token });
      return keptInMemory(account, error);
    }
    return saved(account);
  };

  const settle = async (account: string, login: OwnLogin & { token: KimiToken }, note: LoginNote, outcome: RefreshOutcome, startedAt: number, reserved: Reserved): Promise<Renewal> => {
    const token = digestOf(login.token);
    if (outcome.kind === 'renewed') {
      // Counted from before it was asked: an answer that took long is that much older.
      const renewed: KimiToken = { ...outcome.token, expiresAt: Math.floor(startedAt / 1000) + outcome.token.expiresIn };
      return save(account, login, renewed, reserved);
    }
    await reserved.drop();
    if (outcome.kind === 'no answer') {
      // A token that certainly never arrived was not used up by this.
      if (!outcome.arrived) await writeLoginNote(world, account, note, fs).catch(() => undefined);
      return { kind: 'failed', why: `The login kimi:${account} could not be renewed: ${outcome.why}.`, ...(outcome.afterMs !== undefined && { afterMs: outcome.afterMs }) };
    }
    await sleep(PEER_MS);
    const again = await read(account);
    if (again.token !== undefined && again.token.refreshToken !== '' && digestOf(again.token) !== token) return { kind: 'good', login: again };
    const reason = note.sent?.token === token ? `${LOST} (${outcome.why})` : `the server does not take its refresh token: ${outcome.why}`;
    refused.set(token, reason);
    await writeLoginNote(world, account, { ...note, sent: null, ended: { token, why: reason, at: iso() } }, fs).catch(() => undefined);
    return { kind: 'ended', why: why(reason, account), login };
  };

  const locked = async (account: string, isDue: (login: OwnLogin) => boolean): Promise<Renewal> => {
    let login = await read(account);
    const note = await readLoginNote(world, account);
    const wasSent = login.token !== undefined && note.sent?.token === digestOf(login.token);
    if (await adoptLeftover(login, wasSent, fs)) login = await read(account);
    const { token } = login;
    if (token === undefined) return { kind: 'ended', why: why(NO_TOKEN, account), login };
    const kept = unsaved.get(account);
    // What could not be put in place the last time stood beside it.
    if (kept?.token.refreshToken === token.refreshToken) return saved(account);
    if (kept !== undefined && kept.replaces === digestOf(token)) return save(account, login, kept.token, await reserve(login, fs));
    unsaved.delete(account);
    if (!isDue(login)) return { kind: 'good', login };
    if (token.refreshToken === '') return { kind: 'ended', why: why(NO_REFRESH, account), login };
    const digest = digestOf(token);
    const end = endOf(note, token)?.why ?? refused.get(digest);
    if (end !== undefined) return { kind: 'ended', why: why(end, account), login };
    const reserved = await reserve(login, fs);
    try {
      await writeLoginNote(world, account, { ...note, ended: null, sent: { token: digest, at: iso() } }, fs);
    } catch (error) {
      await reserved.drop();
      throw error;
    }
    const startedAt = world.now();
    const outcome = await requestRefresh(world.send, { oauthHost: login.oauthHost, refreshToken: token.refreshToken, headers: world.identity(login.deviceId) }, new AbortController().signal);
    return settle(account, { ...login, token }, note, outcome, startedAt, reserved);
  };

  return async (account, isDue) => {
    // Whoever ends the keeper waits for what is under way by then, and for nothing else.
    if (world.signal.aborted) return { kind: 'failed', why: `The login kimi:${account} could not be renewed: the keeper ends.` };
    try {
      const { dir, slot } = await read(account);
      return await withKimiLock(dir, slot, () => locked(account, isDue), world.signal);
    } catch (error) {
      if (error instanceof JackinError && (error.code === 'not-found' || error.code.startsWith('auth.'))) throw error;
      return unsaved.has(account) ? keptInMemory(account, error) : { kind: 'failed', why: `The login kimi:${account} could not be renewed: ${diskTrouble(error)}.` };
    }
  };
};
