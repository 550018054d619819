import { JackinError } from '../shared/errors.ts';
import type { Manifest, Registry } from './registry.ts';

interface Wanted {
  name: string;
  range: string;
  by: string;
}

/** Publishing copies optional dependencies among the others; they are optional all the same. */
const needs = (manifest: Manifest, omit: readonly string[]): Wanted[] =>
  Object.entries(manifest.dependencies)
    .filter(([name]) => !omit.includes(name) && !Object.hasOwn(manifest.optionalDependencies, name))
    .map(([name, range]) => ({ name, range, by: `${manifest.name}@${manifest.version}` }));

/**
 * A package and everything that it cannot run without, one version of each: the
 * package first, then its dependencies by name. Throws `download.failed` when two
 * of them need versions of a third that exclude each other.
 */
export const resolveClosure = async (
  registry: Registry,
  root: { name: string; wanted: string; omit: readonly string[] },
  signal?: AbortSignal,
): Promise<Manifest[]> => {
  const { default: semver } = await import('semver');
  const first = await registry.resolvePackage(root.name, root.wanted, signal);
  const chosen = new Map<string, Manifest>([[first.name, first]]);
  const queue = needs(first, root.omit);
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { name, range, by } = next;
    if (semver.validRange(range) === null) {
      throw new JackinError('download.failed', `${by} needs ${name} from "${range}", which is not a version on the npm registry`);
    }
    const there = chosen.get(name);
    if (there === undefined) {
      const manifest = await registry.resolvePackage(name, range, signal);
      chosen.set(name, manifest);
      queue.push(...needs(manifest, root.omit));
    } else if (!semver.satisfies(there.version, range)) {
      const message = `${by} needs ${name} ${range}, but another package of ${first.name} needs ${there.version}`;
      throw new JackinError('download.failed', message, { hint: 'pin an older version of the agent in the configuration' });
    }
  }
  const [, ...others] = chosen.values();
  return [first, ...others.sort((a, b) => (a.name < b.name ? -1 : 1))];
};
