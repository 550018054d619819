import { describeOrigin } from '../config/layers.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import type { Facts } from './facts.ts';
import type { LaunchPlan } from './plan.ts';

/** Who commits in the container, and what their messages get. */
export const planCommits = ({ git: { coauthorTrailer, dco } }: ResolvedConfig, { identity }: Facts): LaunchPlan['commits'] => ({
  identity: identity?.name === undefined && identity?.email === undefined ? null : { name: identity.name ?? null, email: identity.email ?? null },
  coauthor_trailer: { on: coauthorTrailer.value, decided_by: coauthorTrailer.origin },
  dco: { on: dco.value, decided_by: dco.origin },
});

/** A sign-off needs somebody who signs. */
export const commitWarnings = ({ git: { dco } }: ResolvedConfig, { identity }: Facts): string[] => {
  const missing = (['name', 'email'] as const).filter((key) => identity?.[key] === undefined).map((key) => `user.${key}`);
  if (!dco.value || missing.length === 0) return [];
  return [`commits get no Signed-off-by (git.dco, ${describeOrigin(dco.origin)}) where git does not know ${missing.join(' and ')}: set it with git config`];
};

/** `commits as Neo <neo@example.test>, with Co-authored-by and Signed-off-by`; undefined when there is nothing to say. */
export const commitLine = ({ identity, coauthor_trailer, dco }: LaunchPlan['commits']): string | undefined => {
  const who = identity === null ? '' : ` as ${[identity.name, identity.email === null ? null : `<${identity.email}>`].filter((part) => part !== null).join(' ')}`;
  const trailers = [...(coauthor_trailer.on ? ['Co-authored-by'] : []), ...(dco.on ? ['Signed-off-by'] : [])];
  if (trailers.length === 0) return undefined;
  return `commits${who}, with ${trailers.join(' and ')}`;
};
