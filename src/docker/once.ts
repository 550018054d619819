import path from 'node:path';
import { ensurePrivateDir } from '../shared/atomic-files.ts';
import { withFileLock } from '../shared/lock.ts';
import type { LongCall } from './engine.ts';

/**
 * Makes an image while no other jackin of this home makes the same one. Whoever waited
 * has to look again whether there is still something to do. Without a folder for
 * locks it just goes on: two who build the same both succeed.
 */
export const once = async <T>(locks: string | undefined, tag: string, call: LongCall, make: () => Promise<T>): Promise<T> => {
  if (locks === undefined) return await make();
  await ensurePrivateDir(locks);
  const patience = {
    signal: call.signal ?? new AbortController().signal,
    onWait: (owner: string) => call.onLine?.(`another jackin (${owner}) builds ${tag}: waiting for it`),
  };
  return await withFileLock(path.join(locks, `${tag.replaceAll(/[^\w.-]/g, '_')}.lock`), { doing: `builds ${tag}`, patience }, make);
};
