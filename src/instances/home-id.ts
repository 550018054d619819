import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { isErrno } from '../shared/errors.ts';

const read = async (file: string): Promise<string | undefined> => {
  try {
    return (await readFile(file, 'utf8')).trim() || undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
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
  await mkdir(path.dirname(paths.homeIdFile), { recursive: true, mode: 0o700 });
  const draft = `${paths.homeIdFile}.${process.pid}.${randomUUID()}`;
  await writeFile(draft, `${randomUUID()}\n`, { flag: 'wx', mode: 0o600 });
  try {
    await link(draft, paths.homeIdFile);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  } finally {
    await unlink(draft);
  }
  return (await read(paths.homeIdFile))!;
};
