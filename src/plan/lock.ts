import type { AgentSlug } from '../agents/agents.ts';
import { describeOrigin } from '../config/layers.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { JackinError } from '../shared/errors.ts';
import type { Facts, LockedPackage } from './facts.ts';

/** What the configuration pins goes before a role's jackin.lock: it is the operator's own. */
export const pinnedVersion = (config: ResolvedConfig, { role }: Facts, slug: AgentSlug): string | null =>
  config.agentVersions[slug]?.value ?? role.lock?.agents[slug]?.version ?? null;

/** Digests of the packages that an agent must be made of; null where no lock says so. */
export const pinnedPackages = (config: ResolvedConfig, facts: Facts, slug: AgentSlug): LockedPackage[] | null => {
  const locked = facts.role.lock?.agents[slug];
  return locked !== undefined && pinnedVersion(config, facts, slug) === locked.version ? locked.packages : null;
};

/** In what a launch differs from the role's jackin.lock, one clause each. */
export const lockDrift = (config: ResolvedConfig, { role, image }: Facts, slug: AgentSlug): string[] => {
  const { lock } = role;
  if (lock === null) return [];
  const own = config.agentVersions[slug];
  const locked = lock.agents[slug];
  const commit = role.source.kind === 'git' ? role.source.commit : null;
  return [
    ...(commit !== lock.commit ? [`its commit is ${commit?.slice(0, 12) ?? 'none'}, and ${lock.commit?.slice(0, 12) ?? 'none'} is pinned`] : []),
    ...(role.contentHash !== lock.content ? ['its files are not those that were pinned'] : []),
    ...(image.construct !== lock.construct ? [`the construct is ${image.construct}, and ${lock.construct} is pinned`] : []),
    ...(locked === undefined ? [`${slug} is not pinned`] : []),
    ...(locked !== undefined && own !== undefined && own.value !== locked.version ? [`${slug} is ${own.value} (${describeOrigin(own.origin)}), and ${locked.version} is pinned`] : []),
  ];
};

/** For `--locked`: throws `conflict` unless the launch is what was pinned. */
export const assertLocked = (config: ResolvedConfig, facts: Facts, slug: AgentSlug): void => {
  const { key, lock } = facts.role;
  const repair = `\`jackin role pin ${facts.role.source.kind === 'folder' ? facts.role.source.path : key}\``;
  if (lock === null) throw new JackinError('conflict', `role ${key} is not pinned, and --locked refuses what is not`, { hint: `${repair} pins it` });
  const drift = lockDrift(config, facts, slug);
  if (drift.length > 0) throw new JackinError('conflict', `role ${key} is not what ${lock.file} says: ${drift.join('; ')}`, { hint: `${repair} pins it as it is now` });
};
