import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { ensurePrivateDir, unlessMissing } from '../shared/atomic-files.ts';

/** What the keeper needs of a launch's environment: where things are, and how to reach servers. No key or token is among it. */
const NEEDED = /^(PATH|HOME|USER|TMPDIR|XDG_RUNTIME_DIR|JACKIN_(CONFIG|HOME)_DIR|DOCKER_(HOST|CONTEXT|CONFIG|TLS_VERIFY)|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|LANG|LC_ALL|TZ)$/;

const MAX_LOG_BYTES = 256 * 1024;

interface StartOptions {
  /** The program and its arguments. */
  program: readonly [string, ...string[]];
  env: Readonly<Record<string, string | undefined>>;
}

const openLog = async (file: string): Promise<Awaited<ReturnType<typeof open>>> => {
  const found = await unlessMissing(stat(file));
  if (found !== undefined && found.size > MAX_LOG_BYTES) await rename(file, `${file}.1`);
  return open(file, constants.O_CREAT | constants.O_APPEND | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
};

/** Starts the keeper in a session of its own, so that no Ctrl-C and no closed terminal ends it. */
export const startKeeper = async (paths: Pick<Paths, 'jackinHome' | 'keeperDir'>, { program: [file, ...args], env }: StartOptions): Promise<void> => {
  await ensurePrivateDir(paths.keeperDir);
  const log = await openLog(path.join(paths.keeperDir, 'log'));
  try {
    const child = spawn(file, args, {
      cwd: '/',
      detached: true,
      // It stands elsewhere than its launch: the home by its whole name, whatever it was called.
      env: { ...Object.fromEntries(Object.entries(env).filter(([name]) => NEEDED.test(name))), JACKIN_HOME_DIR: paths.jackinHome },
      stdio: ['ignore', 'ignore', log.fd],
    });
    // Whoever waits for its socket says that it did not come.
    child.on('error', () => undefined);
    child.unref();
  } finally {
    await log.close();
  }
};
