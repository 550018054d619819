import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { isAccountName } from '../agents/account-name.ts';
import { textOf, tableOf } from '../agents/judge.ts';
import type { KimiHosts } from '../agents/kimi-hosts.ts';
import { type KimiConfig, MANAGED_PROVIDER, parseKimiConfig, slotForHosts } from '../agents/kimi-config.ts';
import { CONFIG_FILE, DEVICE_FILE, isLoginPath, type KimiFiles, slotFile } from '../agents/kimi-login.ts';
import { type KimiToken, parseToken } from '../agents/kimi-token.ts';
import { KIMI_REGIONS } from '../agents/kimi-hosts.ts';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import { readTree } from '../shared/safe-read.ts';

/**
 * Logins of jackin's own: `$JACKIN_HOME_DIR/logins/kimi/<account>/`, each a
 * directory as Kimi Code itself would have it, with a grant that nothing else
 * holds. Who wants a token of one asks its keeper; only the keeper renews it.
 */
export interface OwnLogin extends KimiHosts {
  account: string;
  dir: string;
  /** Name of its credential file, without `.json`. */
  slot: string;
  deviceId: string;
  config: KimiConfig;
  /** Undefined: there is none that could be sent. */
  token: KimiToken | undefined;
  /** Content by path below the directory. */
  files: KimiFiles;
}

export const ownLoginDir = (loginsDir: string, account: string): string => path.join(loginsDir, 'kimi', account);

/** The accounts, sorted. Whether their logins work is not asked. */
export const listOwnLogins = async (loginsDir: string): Promise<string[]> => {
  const dir = path.join(loginsDir, 'kimi');
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && isAccountName(entry.name)).map(({ name }) => name).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new JackinError('failed', `cannot list ${dir}: ${messageOf(error)}`, { cause: error });
  }
};

const loginAgain = (account: string): { hint: string } => ({ hint: `log in with \`jackin login kimi --account ${account}\`` });

/**
 * Reads one of jackin's own logins. Throws `not-found` when there is no such login,
 * `auth.dead` when its files make no sense, `auth.missing` when they are somebody else's.
 */
export const readOwnLogin = async (loginsDir: string, account: string, uid: number): Promise<OwnLogin> => {
  // Before it is a path: it may come over a socket.
  if (!isAccountName(account)) throw new JackinError('usage', `${JSON.stringify(account.slice(0, 80))} is not the name of a login`, { hint: '`jackin logins list` shows them' });
  const dir = ownLoginDir(loginsDir, account);
  const { files } = await readTree(dir, { wanted: isLoginPath, owner: uid }).catch(async (error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    const known = await listOwnLogins(loginsDir);
    const there = known.length === 0 ? 'there are none yet' : `there are: ${known.join(', ')}`;
    throw new JackinError('not-found', `there is no login kimi:${account} of jackin's own (${there})`, loginAgain(account));
  });
  const parsed = parseKimiConfig(files.get(CONFIG_FILE)?.toString('utf8') ?? '');
  if ('broken' in parsed) throw new JackinError('auth.dead', `${path.join(dir, CONFIG_FILE)} cannot be read: ${parsed.broken}`, loginAgain(account));
  const { config } = parsed;
  const provider = tableOf(tableOf(config, 'providers'), MANAGED_PROVIDER);
  const baseUrl = textOf(provider, 'base_url') ?? KIMI_REGIONS['mainland-cn'].baseUrl;
  const oauthHost = textOf(tableOf(provider, 'oauth'), 'oauth_host') ?? KIMI_REGIONS['mainland-cn'].oauthHost;
  const slot = slotForHosts(baseUrl, oauthHost);
  const bytes = files.get(slotFile(slot));
  const deviceId = files.get(DEVICE_FILE)?.toString('utf8').trim() ?? '';
  return { account, dir, slot, baseUrl, oauthHost, deviceId, config, files, token: bytes && parseToken(bytes.toString('utf8')) };
};
