import type { AgentPackage } from '../agents/agents.ts';
import { resolveClosure } from './closure.ts';
import { JackinError } from '../shared/errors.ts';
import type { LongCall } from './engine.ts';
import type { Part } from './fetch-packages.ts';
import type { ExactPackage } from './package-list.ts';
import { placeStripped, resolvePlatform } from './platform-package.ts';
import type { Manifest, Registry } from './registry.ts';
import type { Placement } from './repack.ts';

export interface AgentContent {
  /** Of the program that runs. */
  version: string;
  /** The version under which it is pinned; undefined when it cannot be. */
  release: string | undefined;
  parts: Part[];
}

export interface ContentRequest {
  recipe: AgentPackage;
  /** For agents that come as a program: the optional dependency that holds it. */
  dependency: string | undefined;
  /** Exact version; otherwise the latest. */
  pinned: string | undefined;
}

/** Each package of a closure where Node looks for it. */
const placeInTree = (recipe: AgentPackage, manifest: Manifest): Part => {
  const dropped = manifest.name === recipe.name ? recipe.drop : [];
  const place: Placement = (file) => (dropped.some((prefix) => file.startsWith(prefix)) ? undefined : `node_modules/${manifest.name}/${file}`);
  return { manifest, place };
};

/** The packages that an agent's volume is made of, and where their files go. Downloads none of them. */
export const resolveContent = async (registry: Registry, { recipe, dependency, pinned }: ContentRequest, call: LongCall): Promise<AgentContent> => {
  if (dependency !== undefined) {
    const { manifest, version, release } = await resolvePlatform(registry, { name: recipe.name, dependency, pinned }, call);
    return { version, release, parts: [{ manifest, place: placeStripped(recipe) }] };
  }
  const root = { name: recipe.name, wanted: pinned ?? 'latest', omit: recipe.omit };
  const manifests = await resolveClosure(registry, root, call.signal);
  const version = manifests[0]?.version ?? '';
  return { version, release: version, parts: manifests.map((manifest) => placeInTree(recipe, manifest)) };
};

export interface ExactRequest extends Omit<ContentRequest, 'pinned'> {
  expected: readonly ExactPackage[];
}

/** What an alias such as `<package>@1.2.3-linux-x64` has behind the version of its release. */
const withoutPlatform = (version: string, { name }: AgentPackage, dependency: string): string => {
  const suffix = dependency.startsWith(name) ? dependency.slice(name.length) : '';
  return suffix !== '' && version.endsWith(suffix) ? version.slice(0, -suffix.length) : version;
};

/** The same for packages that were written down before: nothing is resolved, and their digests are not looked at yet. */
export const exactContent = async (registry: Registry, { recipe, dependency, expected }: ExactRequest, call: LongCall): Promise<AgentContent> => {
  const named = [...expected].sort((a, b) => (a.name === recipe.name ? -1 : b.name === recipe.name ? 1 : a.name < b.name ? -1 : 1));
  const [root] = named;
  const isWhole = root !== undefined && (dependency === undefined ? root.name === recipe.name : named.length === 1);
  if (!isWhole) throw new JackinError('conflict', `the pinned packages of ${recipe.name} are not those that it is made of here: ${named.map(({ name }) => name).join(', ') || 'none'}`);
  const manifests = await Promise.all(named.map(async ({ name, version }) => await registry.resolvePackage(name, version, call.signal)));
  if (dependency === undefined) return { version: root.version, release: root.version, parts: manifests.map((manifest) => placeInTree(recipe, manifest)) };
  const parts = manifests.map((manifest) => ({ manifest, place: placeStripped(recipe) }));
  return { version: withoutPlatform(root.version, recipe, dependency), release: undefined, parts };
};
