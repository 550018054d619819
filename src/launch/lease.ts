import type { OwnLogin } from '../auth/own-login.ts';
import { holdLogin } from '../keeper/fresh-login.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { messageOf } from '../shared/errors.ts';
import type { Deps } from './deps.ts';

/** A launch's place among the holders of a login of jackin's own, for the time in which it is made and looked at. */
export interface LeaseHold {
  /** Reads the login. Undefined: the plan uses none, or it cannot be had and another agent is started. */
  read: (() => Promise<OwnLogin>) | undefined;
  /** The container runs, so that the engine tells how long it holds it. */
  started: () => Promise<void>;
  release: () => void;
}

const NONE: LeaseHold = { read: undefined, started: async () => undefined, release: () => undefined };

/** The account of jackin's own login that the plan hands out a lease of. */
export const leasedAccount = ({ auth }: LaunchPlan): string | undefined => auth.find(({ delivery }) => delivery === 'lease')?.own_login?.account;

/** Sees to it that the login which the plan uses is good, and keeps it so. Stops a launch only for the agent that it starts. */
export const holdLease = async (plan: LaunchPlan, container: string, deps: Deps, say: (line: string) => void): Promise<LeaseHold> => {
  const account = leasedAccount(plan);
  if (account === undefined) return NONE;
  try {
    return await holdLogin(account, container, deps);
  } catch (error) {
    if (plan.agent.slug === 'kimi' || deps.signal.aborted) throw error;
    say(`note       kimi: ${messageOf(error)}`);
    return NONE;
  }
};
