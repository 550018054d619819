import type { AgentPackage } from '../agents/agents.ts';
import { resolveClosure } from './closure.ts';
import type { LongCall } from './engine.ts';
import { placeStripped, resolvePlatform } from './platform-package.ts';
import type { Manifest, Registry } from './registry.ts';
import type { Placement } from './repack.ts';

export interface AgentContent {
  /** Of the program that runs. */
  version: string;
  /** The version under which it is pinned; undefined when it cannot be. */
  release: string | undefined;
  parts: { manifest: Manifest; place: Placement }[];
}

export interface ContentRequest {
  recipe: AgentPackage;
  /** For agents that come as a program: the optional dependency that holds it. */
  dependency: string | undefined;
  /** Exact version; otherwise the latest. */
  pinned: string | undefined;
}

/** The packages that an agent's volume is made of, and where their files go. Downloads none of them. */
export const resolveContent = async (registry: Registry, { recipe, dependency, pinned }: ContentRequest, call: LongCall): Promise<AgentContent> => {
  if (dependency !== undefined) {
    const { manifest, version, release } = await resolvePlatform(registry, { name: recipe.name, dependency, pinned }, call);
    return { version, release, parts: [{ manifest, place: placeStripped(recipe) }] };
  }
  const root = { name: recipe.name, wanted: pinned ?? 'latest', omit: recipe.omit };
  const manifests = await resolveClosure(registry, root, call.signal);
  const parts = manifests.map((manifest) => {
    const dropped = manifest.name === recipe.name ? recipe.drop : [];
    const place: Placement = (file) =>
      dropped.some((prefix) => file.startsWith(prefix)) ? undefined : `node_modules/${manifest.name}/${file}`;
    return { manifest, place };
  });
  const version = manifests[0]?.version ?? '';
  return { version, release: version, parts };
};
