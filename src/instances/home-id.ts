import { randomUUID } from 'node:crypto';
import { link, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { asDiskError, createPrivateFile, ensureDir, temporaryName } from '../shared/atomic-files.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';

const read = async (file: string): Promise<string | undefined> => {
  try {
    return (await readFile(file, 'utf8')).trim() || undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw new JackinError('failed', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
};

/**
 * Identity of this jackin home, made when there is none. It is in the labels of
 * everything that is made from here: two homes on one engine never touch each
 * other's instances. Of two first commands at once, both get the same.
 */
export const ensureHomeId = async (paths: Paths): Promise<string> => {
  const existing = await read(paths.homeIdFile);
  if (existing !== undefined) return existing;
  const draft = temporaryName(paths.homeIdFile);
  try {
    await ensureDir(path.dirname(paths.homeIdFile));
    await createPrivateFile(draft, `${randomUUID()}\n`);
    await link(draft, paths.homeIdFile);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw asDiskError(error, `writing ${paths.homeIdFile}`);
  } finally {
    await unlink(draft).catch(() => undefined);
  }
  return (await read(paths.homeIdFile))!;
};
