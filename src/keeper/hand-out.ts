import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { CONFIG_FILE, DEVICE_FILE, slotFile } from '../agents/kimi-login.ts';
import { leaseOf, printToken } from '../agents/kimi-token.ts';
import { type HandoffChange, provisionHandoff } from '../auth/handoff.ts';
import type { OwnLogin } from '../auth/own-login.ts';
import { unlessMissing } from '../shared/atomic-files.ts';
import { JackinError } from '../shared/errors.ts';
import { withFileLock } from '../shared/lock.ts';
import { readLease } from './holders.ts';

/** Whoever writes into the handoff of an instance that may have a lease holds this: launch and keeper do so at the same time. */
export const withHandoffLock = <T>(instanceDir: string, work: () => Promise<T>): Promise<T> =>
  withFileLock(path.join(instanceDir, '.jackin', 'handoff.lock'), { doing: `hands logins to ${path.basename(instanceDir)}`, stuckMs: 10_000 }, work);

/** What an instance gets of a login: its configuration and device id, and a lease of its token. */
export const leaseChanges = ({ account, files, slot, token }: OwnLogin): HandoffChange[] => {
  if (token === undefined) throw new JackinError('auth.dead', `the login kimi:${account} holds no token`, { hint: `log in again with \`jackin login kimi --account ${account}\`` });
  const settings = [CONFIG_FILE, DEVICE_FILE].flatMap((file) => {
    const bytes = files.get(file);
    return bytes === undefined ? [] : [{ path: file, bytes }];
  });
  return [
    { name: 'kimi-code', action: 'replace', files: [...settings, { path: slotFile(slot), bytes: Buffer.from(printToken(leaseOf(token))) }] },
    { name: 'kimi', action: 'remove' },
  ];
};

/**
 * Hands the newest token of a login to an instance, as one more generation of its
 * handoff; the capsule takes it into the home. Nothing is written below the home:
 * that is the container's, which may put a link there at any moment.
 */
export const handOutLease = async (instanceDir: string, login: OwnLogin): Promise<void> => {
  try {
    await handOut(instanceDir, login);
  } catch (error) {
    // Purged since the holders were listed: there is no instance that could miss it.
    if ((await unlessMissing(lstat(instanceDir))) !== undefined) throw error;
  }
};

const handOut = async (instanceDir: string, login: OwnLogin): Promise<void> => {
  const changes = leaseChanges(login);
  await withHandoffLock(instanceDir, async () => {
    // Since the holders were listed a launch may have given it another login, or none, and that is the last word.
    if ((await readLease(instanceDir)) !== login.account) return;
    const handoff = path.join(instanceDir, 'handoff');
    const { uid, gid } = await lstat(handoff);
    await provisionHandoff(handoff, changes, { uid, gid });
  });
};
