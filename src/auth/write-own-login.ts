import { randomUUID, randomBytes } from 'node:crypto';
import path from 'node:path';
import { type KimiConfig, printKimiConfig, slotForHosts } from '../agents/kimi-config.ts';
import type { KimiHosts } from '../agents/kimi-hosts.ts';
import { CONFIG_FILE, CREDENTIALS_DIR, DEVICE_FILE, slotFile } from '../agents/kimi-login.ts';
import { type KimiToken, printToken } from '../agents/kimi-token.ts';
import { createPrivateDir, createPrivateFile, ensurePrivateDir, type FsLayer, isTemporaryName, nodeFs, syncDirectory, writeFileAtomic } from '../shared/atomic-files.ts';
import { withFileLock } from '../shared/lock.ts';
import { ownLoginDir } from './own-login.ts';

export const newDeviceId = (): string => randomUUID();

/** What makes up a login on the disk. */
export interface NewLogin extends KimiHosts {
  deviceId: string;
  token: KimiToken;
  config: KimiConfig;
}

const kimiDir = (loginsDir: string): string => path.join(loginsDir, 'kimi');

const temporaryDir = (loginsDir: string, account: string): string => path.join(kimiDir(loginsDir), `.${account}.${randomBytes(6).toString('hex')}.tmp`);

/** What a command that was killed has left: nobody reads it, and it may hold a token. */
const sweep = async (dir: string): Promise<void> => {
  for (const name of await nodeFs.readdir(dir)) {
    if (isTemporaryName(name)) await nodeFs.rm(path.join(dir, name), { recursive: true, force: true });
  }
};

/** Runs `work` while no other command makes or removes logins; what a killed one left is gone by then. */
export const withLoginsLock = async <T>(loginsDir: string, work: () => Promise<T>): Promise<T> => {
  const dir = kimiDir(loginsDir);
  await ensurePrivateDir(loginsDir);
  await ensurePrivateDir(dir);
  return withFileLock(path.join(dir, '.lock'), { doing: 'makes or removes logins' }, async () => {
    await sweep(dir);
    return work();
  });
};

/** Makes the directory of a login that is not there yet. It appears whole or not at all. Needs the logins' lock. */
export const createOwnLogin = async (loginsDir: string, account: string, login: NewLogin, fs: FsLayer = nodeFs): Promise<void> => {
  const temporary = temporaryDir(loginsDir, account);
  const at = (name: string): string => path.join(temporary, name);
  try {
    await createPrivateDir(temporary, { fs });
    await createPrivateDir(at(CREDENTIALS_DIR), { fs });
    await createPrivateDir(at('oauth'), { fs });
    await createPrivateFile(at(slotFile(slotForHosts(login.baseUrl, login.oauthHost))), printToken(login.token), { fs });
    await createPrivateFile(at(DEVICE_FILE), login.deviceId, { fs });
    await createPrivateFile(at(CONFIG_FILE), printKimiConfig(login.config), { fs });
    await syncDirectory(at(CREDENTIALS_DIR), fs);
    await syncDirectory(temporary, fs);
    await fs.rename(temporary, ownLoginDir(loginsDir, account));
  } catch (error) {
    await fs.rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(kimiDir(loginsDir), fs);
};

export const writeOwnConfig = (dir: string, config: KimiConfig): Promise<void> => writeFileAtomic(path.join(dir, CONFIG_FILE), printKimiConfig(config));

/** A grant for hosts that the configuration no longer names is a secret that nobody needs. */
const removeOtherSlots = async (credentials: string, kept: string, fs: FsLayer): Promise<void> => {
  for (const name of await fs.readdir(credentials)) {
    if (name.endsWith('.json') && name !== kept) await fs.rm(path.join(credentials, name), { force: true });
  }
};

/**
 * Puts a new grant in the place of the old one: the directory, its device and what
 * a person set in the configuration stay. Needs the logins' lock and Kimi's own.
 */
export const replaceGrant = async (dir: string, login: NewLogin, fs: FsLayer = nodeFs): Promise<void> => {
  const credential = path.join(dir, slotFile(slotForHosts(login.baseUrl, login.oauthHost)));
  await ensurePrivateDir(path.dirname(credential), { fs });
  await writeFileAtomic(path.join(dir, DEVICE_FILE), login.deviceId, { fs });
  await writeFileAtomic(credential, printToken(login.token), { fs });
  // The configuration names the hosts, and they name the credential file: other hosts count from here on, all at once.
  await writeFileAtomic(path.join(dir, CONFIG_FILE), printKimiConfig(login.config), { fs });
  await removeOtherSlots(path.dirname(credential), path.basename(credential), fs);
};

/** Removes a login as a whole: from the first step on nobody finds it. Needs the logins' lock. */
export const removeOwnLogin = async (loginsDir: string, account: string): Promise<void> => {
  const temporary = temporaryDir(loginsDir, account);
  await nodeFs.rename(ownLoginDir(loginsDir, account), temporary);
  await nodeFs.rm(temporary, { recursive: true, force: true });
};
