import { type FSWatcher, watch } from 'node:fs';
import { readlink } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import type { SetupRequest } from '../protocol.ts';
import { takeNewLease } from './kimi.ts';
import type { HomeRoots } from './roots.ts';
import { inTurn } from './turns.ts';

/** Some engines tell nothing of what the host changes in a mount. */
const POLL_MS = 2000;

/**
 * Takes each newer lease that the host hands over into the home, for as long as the
 * last set-up says that Kimi has one. The result is told of every set-up, and resolves
 * when the newest lease is in place.
 */
export const createLeaseFollower = (roots: HomeRoots, log: (line: string) => void): ((setup: Pick<SetupRequest, 'agents'>) => Promise<void>) => {
  let following: { watcher: FSWatcher | undefined; timer: NodeJS.Timeout } | undefined;
  let taken: string | undefined;
  let trouble: string | undefined;

  const take = (): Promise<void> =>
    inTurn(async () => {
      const current = await readlink(path.join(roots.handoff, 'current')).catch(() => undefined);
      if (following === undefined || current === taken) return;
      try {
        await takeNewLease(roots, new Date());
        taken = current;
        trouble = undefined;
      } catch (error) {
        // Tried again at the next look; a disk that is full is told once.
        if (messageOf(error) !== trouble) log(`the new token of Kimi cannot be put in place: ${messageOf(error)}`);
        trouble = messageOf(error);
      }
    });

  const openWatcher = (): FSWatcher | undefined => {
    try {
      const watcher = watch(roots.handoff, () => void take());
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  };

  return async ({ agents }) => {
    const kimi = agents.find(({ slug }) => slug === 'kimi');
    // A session of another agent says nothing about Kimi.
    if (kimi === undefined) return;
    if (kimi.leased && following === undefined) {
      following = { watcher: openWatcher(), timer: setInterval(() => void take(), POLL_MS) };
      following.timer.unref();
      taken = undefined;
    }
    if (!kimi.leased && following !== undefined) {
      following.watcher?.close();
      clearInterval(following.timer);
      following = undefined;
    }
    await take();
  };
};
