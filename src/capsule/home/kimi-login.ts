import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { deriveKimiCode } from '../../agents/kimi-derive.ts';
import { isLoginPath, judgeLogin, type KimiFiles, type KimiLogin } from '../../agents/kimi-login.ts';
import { unlessMissing } from '../../shared/atomic-files.ts';
import { isErrno } from '../../shared/errors.ts';
import { readTree } from '../../shared/safe-read.ts';
import type { LoginView } from './decide.ts';

/** A login by path below the home of the container. */
export interface PlacedLogin {
  files: Map<string, Buffer>;
  login: KimiLogin;
}

export const KIMI_CODE_HOME = '.kimi-code';
export const KIMI_CLI_HOME = '.kimi';

const below = (dir: string, files: KimiFiles): [string, Buffer][] =>
  [...files].map(([file, bytes]) => [`${dir}/${file}`, bytes]);

/** The login in the home of the container, whoever put it there. */
export const readHomeLogin = async (home: string, now: Date): Promise<PlacedLogin> => {
  const files = await readLogin(path.join(home, KIMI_CODE_HOME));
  return { files: new Map(below(KIMI_CODE_HOME, files ?? new Map())), login: judgeLogin(files ?? new Map(), 'kimi-code', now) };
};

/**
 * The login that the host hands over, as it would stand in the home; undefined
 * when there is none. One of kimi-cli comes with a Kimi Code home made from it.
 */
export const readHandoffLogin = async (handoff: string, now: Date): Promise<PlacedLogin | undefined> => {
  const set = await readCurrentSet(handoff);
  if (set === undefined) return undefined;
  const kimiCode = set.name === 'kimi-code' ? set.files : deriveKimiCode(set.files);
  return {
    files: new Map([...(set.name === 'kimi' ? below(KIMI_CLI_HOME, set.files) : []), ...below(KIMI_CODE_HOME, kimiCode)]),
    login: judgeLogin(kimiCode, 'kimi-code', now),
  };
};

const readCurrentSet = async (handoff: string): Promise<{ name: 'kimi-code' | 'kimi'; files: KimiFiles } | undefined> => {
  for (;;) {
    // Resolved once for the whole set: the host may point it elsewhere at any moment.
    const generation = await unlessMissing(realpath(path.join(handoff, 'current')));
    if (generation === undefined) return undefined;
    for (const name of ['kimi-code', 'kimi'] as const) {
      const files = await readLogin(path.join(generation, name));
      if (files !== undefined) return { name, files };
    }
    // Nothing in it, unless it was replaced twice and removed since.
    if ((await unlessMissing(readdir(generation))) !== undefined) return undefined;
  }
};

/** The files of a login below a Kimi directory; undefined when there is no such directory. */
export const readLogin = async (dir: string): Promise<KimiFiles | undefined> => {
  try {
    return (await readTree(dir, { wanted: isLoginPath, owner: 'anyone' })).files;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
};

/** What the decision looks at; undefined when there is no credential. */
export const viewOf = (placed: PlacedLogin | undefined): LoginView | undefined => {
  if (placed?.login.digest === undefined) return undefined;
  const { digest, state, refreshable, expiresAt, account } = placed.login;
  return { digest, state, refreshable, expiresAt, account };
};
