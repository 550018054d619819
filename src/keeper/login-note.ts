import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { isTable, sha256, textOf } from '../agents/judge.ts';
import type { KimiToken } from '../agents/kimi-token.ts';
import { ensurePrivateDir, type FsLayer, nodeFs, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';

/**
 * What the keeper remembers of a login from one run to the next. Tokens are told
 * apart by digests: the note holds no secret. Without a note nothing is lost but
 * the memory of what was tried.
 */
export interface LoginNote {
  /** ISO 8601; null when the keeper never renewed it. */
  refreshed_at: string | null;
  /** A refresh token that was sent and whose answer is not in the login's file: written before it is sent. */
  sent: { token: string; at: string } | null;
  /** A refresh token that the server does not take: it is never sent again. It may be another one by now: ask {@link endOf}. */
  ended: { token: string; why: string; at: string } | null;
}

const NOTHING: LoginNote = { refreshed_at: null, sent: null, ended: null };

const fileOf = ({ keeperDir }: Pick<Paths, 'keeperDir'>, account: string): string => path.join(keeperDir, 'notes', `kimi-${account}.json`);

const parse = (text: string): LoginNote => {
  try {
    const value: unknown = JSON.parse(text);
    if (!isTable(value)) return NOTHING;
    const sent = value['sent'];
    const ended = value['ended'];
    return {
      refreshed_at: textOf(value, 'refreshed_at') ?? null,
      sent: isTable(sent) ? { token: textOf(sent, 'token') ?? '', at: textOf(sent, 'at') ?? '' } : null,
      ended: isTable(ended) ? { token: textOf(ended, 'token') ?? '', why: textOf(ended, 'why') ?? '', at: textOf(ended, 'at') ?? '' } : null,
    };
  } catch {
    return NOTHING;
  }
};

/** A refresh token is told apart from another one by this, which is worth nothing to anybody. */
export const digestOf = ({ refreshToken }: KimiToken): string => sha256(`refresh ${refreshToken}`).slice(0, 32);

/** Why a login has ended, when it was this very token that the server did not take; undefined while it may work. */
export const endOf = ({ ended }: LoginNote, token: KimiToken): { why: string; at: string } | undefined =>
  ended?.token === digestOf(token) ? { why: ended.why, at: ended.at } : undefined;

/** The note of a login; an empty one when there is none that can be read. */
export const readLoginNote = async (paths: Pick<Paths, 'keeperDir'>, account: string): Promise<LoginNote> => {
  const text = await unlessMissing(readFile(fileOf(paths, account), 'utf8'));
  return text === undefined ? NOTHING : parse(text);
};

export const writeLoginNote = async (paths: Pick<Paths, 'keeperDir'>, account: string, note: LoginNote, fs: FsLayer = nodeFs): Promise<void> => {
  const file = fileOf(paths, account);
  await ensurePrivateDir(path.dirname(file), { fs });
  await writeFileAtomic(file, `${JSON.stringify(note)}\n`, { fs });
};

/** Forgets what was: a new grant under an old name has no past. */
export const forgetLoginNote = (paths: Pick<Paths, 'keeperDir'>, account: string): Promise<void> => rm(fileOf(paths, account), { force: true });
