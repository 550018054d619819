import type { AgentSlug } from '../agents/agents.ts';
import { describeOrigin } from '../config/layers.ts';
import type { ResolvedConfig } from '../config/resolve.ts';
import { JackinError } from '../shared/errors.ts';
import type { Facts, LockedPackage } from './facts.ts';

/** What an agent is pinned to: a version, and the packages that it must be made of where a lock names them. */
export interface AgentPin {
  version: string | null;
  packages: LockedPackage[] | null;
}

/** What the configuration pins goes before a role's jackin.lock: it is the operator's own. */
export const pinOf = (configured: string | undefined, { lock }: Facts['role'], slug: AgentSlug): AgentPin => {
  const locked = lock?.agents[slug];
  if (locked !== undefined && (configured === undefined || configured === locked.version)) return locked;
  return { version: configured ?? null, packages: null };
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
