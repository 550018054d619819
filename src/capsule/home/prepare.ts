import { asDiskError } from '../../shared/atomic-files.ts';
import type { LoginOutcome, SetupReport, SetupRequest } from '../protocol.ts';
import { prepareKimi } from './kimi.ts';
import { seedHome } from './seed.ts';

/** Directories of the container that setting up the home works on. */
export interface HomeRoots {
  /** The agent's home; its durable parts are mount points below it. */
  home: string;
  /** What the host hands over, read-only; `current` is the set that counts. */
  handoff: string;
  /** Durable notes of the instance, without secrets. */
  state: string;
  /** The home as the role's image brings it. */
  defaultHome: string;
}

/**
 * Gets the home ready before an agent starts: the image's files on the first
 * launch, then every agent's login. Can be repeated at any time, and makes good
 * what an interrupted run left behind.
 */
export const prepareHome = async (request: SetupRequest, roots: HomeRoots, now: Date): Promise<SetupReport> => {
  try {
    await seedHome(roots.defaultHome, roots.home, roots.state);
    const logins: LoginOutcome[] = [];
    for (const setup of request.agents) {
      if (setup.slug === 'kimi') logins.push(await prepareKimi(setup, request.workdir, roots, now));
    }
    return { logins };
  } catch (error) {
    throw asDiskError(error, `setting up ${roots.home}`);
  }
};
