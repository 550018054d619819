import path from 'node:path';
import type { Facts, PullFacts } from './facts.ts';
import type { LaunchPlan } from './plan.ts';

export type PlannedPull = LaunchPlan['pulls'][number];

const planPull = ({ directory, target, followed, agreed }: PullFacts): PlannedPull => {
  if ('why' in followed) return { directory, target, state: 'skipped', why: followed.why, from: null };
  const { branch, remote, remoteBranch, address } = followed;
  const from = { address, remote, remote_branch: remoteBranch, branch };
  if (agreed === address) return { directory, target, state: 'agreed', why: 'the address was agreed to', from };
  const why = agreed === undefined ? `nobody has agreed to its address ${address}` : `its address is ${address} now, and ${agreed} was agreed to`;
  return { directory, target, state: agreed === undefined ? 'new' : 'changed', why, from };
};

/** Decides for each mounted repository whether new commits are fetched for it, and from where. */
export const planPulls = ({ pulls }: Pick<Facts, 'pulls'>): PlannedPull[] => (pulls ?? []).map(planPull);

/** Returns what pulling writes on the host: never in the repository itself, which the container brings up to date. */
export const pullEffects = ({ pulls = [], paths }: Pick<Facts, 'pulls' | 'paths'>): LaunchPlan['host_effects'] =>
  pulls.some(({ followed }) => !('why' in followed))
    ? [{ path: path.join(paths.jackinHome, 'pulls'), what: 'new commits of the mounted repositories, on their way into the container' }]
    : [];
