import { readFile } from 'node:fs/promises';
import type { AgentPackage } from '../agents/agents.ts';
import { JackinError } from '../shared/errors.ts';
import type { Engine, LongCall } from './engine.ts';
import type { Manifest, Registry } from './registry.ts';
import type { Placement } from './repack.ts';

/** How many releases are looked back at for one that is whole: an older one is no substitute for what was asked for. */
const LOOK_BACK = 20;

/** One release of an agent as it was built for a platform. */
export interface PlatformBuild {
  manifest: Manifest;
  /** What runs, without the platform's suffix. */
  version: string;
  /** The release that names this build; undefined when none does. */
  release: string | undefined;
}

export interface PlatformRequest {
  /** The package that names its builds as optional dependencies. */
  name: string;
  /** Which of them. */
  dependency: string;
  /** Exact version of the package; never replaced by another one. */
  pinned: string | undefined;
}

const lacksAvx2 = async (cpuInfo: string): Promise<boolean> => {
  // Without such a file (macOS, say) nothing speaks against the usual build.
  const text = await readFile(cpuInfo, 'utf8').catch(() => '');
  const flags = /^flags\s*:(.*)$/m.exec(text)?.[1];
  return flags !== undefined && !/\bavx2\b/.test(flags);
};

/** The optional dependency with the program for the engine's machine; undefined for agents that are not programs. */
export const platformDependency = async ({ platform }: AgentPackage, arch: Engine['arch'], cpuInfo: string): Promise<string | undefined> => {
  const baseline = arch === 'x64' ? platform?.x64Baseline : undefined;
  return baseline !== undefined && (await lacksAvx2(cpuInfo)) ? baseline : platform?.[arch];
};

/** Places a platform package's files at the root of a volume; `drop` counts from there. */
export const placeStripped = ({ platform, drop }: AgentPackage): Placement => {
  const pattern = platform?.strip?.split('/') ?? [];
  return (file) => {
    const parts = file.split('/');
    if (!pattern.every((part, index) => part === '*' || part === parts[index])) return undefined;
    const rest = parts.slice(pattern.length).join('/');
    // A package that brought the marker of a complete volume would vouch for its own torso.
    const unwanted = rest === '' || rest.startsWith('.jackin') || drop.some((prefix) => rest.startsWith(prefix));
    return unwanted ? undefined : rest;
  };
};

type Semver = typeof import('semver');

interface Target {
  name: string;
  wanted: string;
  /** What an alias such as `npm:<package>@1.2.3-linux-x64` appends to the version of its release. */
  suffix: string;
}

const targetOf = (semver: Semver, meta: Manifest, dependency: string): Target | undefined => {
  const spec = meta.optionalDependencies[dependency] ?? '';
  const [, alias, version] = /^npm:(@?[^@]+)@(.+)$/.exec(spec) ?? [];
  const wanted = version ?? spec;
  if (wanted === '' || semver.validRange(wanted) === null) return undefined;
  const suffix = alias !== undefined && wanted.startsWith(`${meta.version}-`) ? wanted.slice(meta.version.length) : '';
  return { name: alias ?? dependency, wanted, suffix };
};

const withoutSuffix = (version: string, suffix: string): string => (version.endsWith(suffix) ? version.slice(0, version.length - suffix.length) : version);

const buildOf = (manifest: Manifest, { suffix }: Target, release: string | undefined): PlatformBuild => ({
  manifest,
  version: withoutSuffix(manifest.version, suffix),
  release,
});

/** Newest first. Versions that are not for everybody count only where the latest is such a one itself. */
const newestFirst = (semver: Semver, versions: Iterable<string>, latest: string): string[] => {
  const preview = semver.prerelease(latest) !== null;
  const fit = [...versions].filter((version) => semver.valid(version) !== null && (preview || semver.prerelease(version) === null));
  return fit.sort(semver.rcompare);
};

type Lists = (name: string) => Promise<ReadonlyMap<string, Manifest>>;

/** Each package is asked for once, however many releases are looked at. */
const listsOf = (registry: Registry, signal: AbortSignal | undefined): Lists => {
  const known = new Map<string, ReadonlyMap<string, Manifest>>();
  return async (name) => {
    const list = known.get(name) ?? (await registry.listVersions(name, signal));
    known.set(name, list);
    return list;
  };
};

const walkBack = async (semver: Semver, lists: Lists, latest: Manifest, dependency: string): Promise<PlatformBuild | undefined> => {
  const releases = await lists(latest.name);
  const older = newestFirst(semver, releases.keys(), latest.version).filter((version) => semver.lt(version, latest.version));
  for (const version of older.slice(0, LOOK_BACK)) {
    const release = releases.get(version);
    const target = release && targetOf(semver, release, dependency);
    if (target === undefined) continue;
    const builds = await lists(target.name);
    const manifest = builds.get(semver.maxSatisfying([...builds.keys()], target.wanted) ?? '');
    if (manifest !== undefined) return buildOf(manifest, target, version);
  }
  return undefined;
};

const newestBuild = async (semver: Semver, lists: Lists, latest: Manifest, target: Target): Promise<PlatformBuild | undefined> => {
  const builds = await lists(target.name);
  const ofPlatform = new Map([...builds].filter(([version]) => version.endsWith(target.suffix)).map(([version, build]) => [withoutSuffix(version, target.suffix), build]));
  const manifest = ofPlatform.get(newestFirst(semver, ofPlatform.keys(), latest.version)[0] ?? '');
  return manifest && buildOf(manifest, target, undefined);
};

/**
 * The build of an agent for one platform: the one that the pinned or the latest
 * release names. Where the registry does not have that one, the newest release
 * that is whole, else the platform's newest build, and a line says so. Throws
 * `download.failed` for a pinned release without it, and when there is none at all.
 */
export const resolvePlatform = async (registry: Registry, { name, dependency, pinned }: PlatformRequest, call: LongCall): Promise<PlatformBuild> => {
  const { default: semver } = await import('semver');
  const meta = await registry.resolvePackage(name, pinned ?? 'latest', call.signal);
  const target = targetOf(semver, meta, dependency);
  const manifest = target && (await registry.findPackage(target.name, target.wanted, call.signal));
  if (manifest !== undefined) return buildOf(manifest, target as Target, meta.version);

  const missing = `the npm registry does not have the part of ${name}@${meta.version} for this machine (${dependency})`;
  if (pinned !== undefined) {
    throw new JackinError('download.failed', missing, { hint: 'pin another version of the agent in the configuration, or none' });
  }
  const lists = listsOf(registry, call.signal);
  const usual: Target = target ?? { name: dependency, wanted: '*', suffix: '' };
  const older = await walkBack(semver, lists, meta, dependency);
  const build = older ?? (await newestBuild(semver, lists, meta, usual));
  if (build === undefined) throw new JackinError('download.failed', `${missing}, nor that of another version`);
  call.onLine?.(`${missing}: using ${build.version} instead, the newest ${older === undefined ? 'of that part' : 'version that is whole'}`);
  return build;
};
