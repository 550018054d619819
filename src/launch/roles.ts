import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { readConfigFiles } from '../config/files.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import type { RoleFreshness } from '../plan/request.ts';
import { builtInRoles } from '../roles/find-role.ts';
import { LOCK_FILE } from '../shared/context-files.ts';
import { type CommitFault, faultIn, keyOf, readCache, type RoleCache, roleDir } from '../roles/role-cache.ts';
import { type OpenedRole, openGitRole } from '../roles/git-role.ts';
import { isSameSource, sourceOf } from '../roles/source.ts';
import { readTrust, type TrustRecord, writeTrust } from '../roles/trust-store.ts';
import { unlessMissing } from '../shared/atomic-files.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import type { Deps } from './deps.ts';
import { brokenCommit, readOffer } from './read-offer.ts';
import { type ConfiguredRoles, obtainRole, type RoleAsking, roleWorld } from './obtain-role.ts';

export interface ListedRole {
  role: string;
  source: 'built-in' | 'git';
  /** Repository; null for built-in ones. */
  git: string | null;
  /** Commit that a load uses; null when none is trusted yet. */
  commit: string | null;
  /** Newest commit that was fetched. */
  newest: string | null;
  /** Why the newest commit cannot be used; null when it can, or when nobody has looked. */
  newest_broken: string | null;
  fetched_at: string | null;
  trusted: boolean;
  /** Who says so: part of jackin, the record of what was agreed to, or a file of the configuration. */
  trusted_by: string | null;
  branches: string[];
  /** Whether a jackin.lock says what a launch uses. */
  pinned: boolean;
}

/** Names of the folders of the cache, as role keys. */
const cachedRoles = async (paths: Paths): Promise<string[]> => {
  try {
    const names = (await readdir(paths.rolesDir, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => keyOf(name));
    // A built-in role has a folder there when it is pinned.
    const cached = await Promise.all(names.map(async (role) => ((await readCache(roleDir(paths, role))) === undefined ? [] : [role])));
    return cached.flat();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};

interface Known {
  configured: ConfiguredRoles;
  configFile: string | undefined;
  trust: ReadonlyMap<string, TrustRecord>;
  /** Of jackin. */
  version: string;
}

const listGitRole = (role: string, cache: RoleCache | undefined, pinned: boolean, { configured, configFile, trust, version }: Known): ListedRole => {
  const { url } = sourceOf(role, configured[role]?.git ?? cache?.url);
  const known = trust.get(role);
  const record = known !== undefined && isSameSource(known.url, url) ? known : undefined;
  const granted = record === undefined && configured[role]?.trusted === true;
  return {
    role,
    source: 'git',
    git: url,
    commit: record?.commit ?? null,
    newest: cache?.head?.commit ?? null,
    newest_broken: cache?.head == null ? null : (faultIn(cache, cache.head.commit, version)?.why ?? null),
    fetched_at: cache?.head?.at ?? null,
    trusted: record !== undefined || granted,
    trusted_by: record === undefined ? (granted ? (configFile ?? null) : null) : `${record.by}, ${record.at.slice(0, 10)}`,
    branches: Object.keys(cache?.branches ?? {}),
    pinned,
  };
};

const isPinned = async (role: string, paths: Paths): Promise<boolean> => (await unlessMissing(lstat(path.join(roleDir(paths, role), LOCK_FILE)))) !== undefined;

const listBuiltIn = async (role: string, paths: Paths): Promise<ListedRole> => ({
  role,
  source: 'built-in',
  git: null,
  commit: null,
  newest: null,
  newest_broken: null,
  fetched_at: null,
  trusted: true,
  trusted_by: 'part of jackin',
  branches: [],
  pinned: await isPinned(role, paths),
});

/** Every role that this machine knows of: built in, configured, cached or trusted. Asks no network. */
export const listRoles = async (deps: Deps): Promise<ListedRole[]> => {
  const paths = locatePaths(deps);
  const { global } = await readConfigFiles(paths);
  const known: Known = { configured: global?.value.roles ?? {}, configFile: global?.document.file, trust: await readTrust(paths), version: deps.version };
  const builtIn = (await builtInRoles(deps.packageRoot)).filter((role) => known.configured[role]?.git === undefined);
  const others = new Set([...Object.keys(known.configured), ...(await cachedRoles(paths)), ...known.trust.keys()]);
  const git = [...others].filter((role) => !builtIn.includes(role)).sort();
  return [
    ...(await Promise.all(builtIn.map((role) => listBuiltIn(role, paths)))),
    ...(await Promise.all(git.map(async (role) => listGitRole(role, await readCache(roleDir(paths, role)), await isPinned(role, paths), known)))),
  ];
};

export interface UpdatedRole {
  role: string;
  /** Commit that was in use before; null when none was. */
  from: string | null;
  /** Commit in use now; null when none is trusted. */
  to: string | null;
  /** Newest commit of the source, when it is not the one in use: it waits for the operator's word, or the role is pinned. */
  waiting: string | null;
  /** Why the waiting commit cannot be used; null when it can. */
  broken: string | null;
  pinned: boolean;
  why: string;
  /** What went wrong; null when nothing did. */
  failed: string | null;
}

type UpdateFreshness = Extract<RoleFreshness, 'fetch' | 'replace'>;

const rolesToUpdate = async (named: string[], deps: Deps, paths: Paths): Promise<string[]> => {
  const builtIn = named.find((role) => !role.includes('/'));
  const isBuiltIn = builtIn !== undefined && (await listRoles(deps)).some(({ role, source }) => role === builtIn && source === 'built-in');
  if (isBuiltIn) throw new JackinError('usage', `${builtIn} is built in: it comes with jackin, and is updated with it`);
  return named.length > 0 ? named : await cachedRoles(paths);
};

/** Why a commit cannot be used; undefined when it can. */
const findFault = async (opened: OpenedRole, key: string, commit: string): Promise<CommitFault | undefined> => {
  const offer = await readOffer(opened, { key, commit, branch: undefined, trust: { state: 'needed', why: 'it is looked at' } }, { mustBuild: true, mayRecall: false });
  return offer.fault;
};

const updateRole = async (key: string, freshness: UpdateFreshness, configured: ConfiguredRoles, paths: Paths, asking: RoleAsking, deps: Deps): Promise<UpdatedRole> => {
  const before = (await readTrust(paths)).get(key)?.commit ?? null;
  const { role, trust, opened, broken } = await obtainRole({ kind: 'name', key }, { freshness, trust: undefined, refusalEnds: false, pinned: true }, configured, paths, asking, deps);
  if (trust !== undefined) await writeTrust(paths, trust.key, trust.record);
  const to = role.trust.state === 'needed' || role.source.kind !== 'git' ? null : role.source.commit;
  // What was trusted is no part of what is there now: it can never be used again. Where the
  // configuration trusts the role, the record stays, or the next launch would take this one for the first.
  if (to === null && freshness === 'replace' && configured[key]?.trusted !== true) await writeTrust(paths, key, undefined);
  // A launch that has begun with the one before still needs its files.
  await opened?.tidy([to, before].filter((one) => one !== null));
  const waiting = opened === undefined || opened.head === to ? null : opened.head;
  const pinned = role.lock?.commit != null;
  // A launch of a pinned role does not look at the newest commit; an update is about that one.
  const fault = broken ?? (pinned && waiting !== null ? (await findFault(opened!, key, waiting))?.why : undefined);
  return { role: key, from: before, to, waiting, broken: fault ?? null, pinned, why: role.trust.why, failed: null };
};

/** Looks for newer commits of roles, asks about what is not trusted, and forgets checkouts that nobody needs. Of several, one that fails stops no other. */
export const updateRoles = async (named: string[], freshness: UpdateFreshness, asking: RoleAsking, deps: Deps): Promise<UpdatedRole[]> => {
  const paths = locatePaths(deps);
  const { global } = await readConfigFiles(paths);
  const roles = await rolesToUpdate(named, deps, paths);
  const updated: UpdatedRole[] = [];
  for (const key of roles) {
    try {
      updated.push(await updateRole(key, freshness, global?.value.roles ?? {}, paths, asking, deps));
    } catch (error) {
      if (roles.length === 1 || !(error instanceof JackinError) || error.code === 'interrupted') throw error;
      updated.push({ role: key, from: null, to: null, waiting: null, broken: null, pinned: false, why: '', failed: error.message });
    }
  }
  return updated;
};

/**
 * Trusts a role beforehand: the newest commit that is cached, or the one that is
 * named, which is fetched when it is not here. Undefined when nothing is cached and
 * none is named: then only the configuration can say that the role is trusted.
 */
export const grantTrust = async (key: string, commit: string | undefined, asking: RoleAsking, deps: Deps): Promise<TrustRecord | undefined> => {
  const paths = locatePaths(deps);
  const { global } = await readConfigFiles(paths);
  const source = sourceOf(key, global?.value.roles?.[key]?.git);
  const cache = await readCache(roleDir(paths, key));
  if (commit === undefined && (cache?.head == null || !isSameSource(cache.url, source.url))) return undefined;
  const open = (freshness: RoleFreshness) => openGitRole({ key, source, branch: undefined, freshness }, roleWorld(paths, deps, asking.report));
  const chosen = async (opened: OpenedRole): Promise<string | undefined> => {
    const repository = await opened.repository();
    const wanted = commit ?? opened.head;
    return (await repository.has(wanted)) && (await repository.isAncestor(wanted, opened.head)) ? wanted : undefined;
  };
  let opened = await open('cached');
  let found = await chosen(opened);
  if (found === undefined) {
    opened = await open('fetch');
    found = await chosen(opened);
  }
  if (found === undefined) {
    throw new JackinError('not-found', `${commit?.slice(0, 12)} is no commit of role ${key}, whose newest one is ${opened.head.slice(0, 12)} (${opened.url})`);
  }
  const fault = await findFault(opened, key, found);
  if (fault !== undefined) throw brokenCommit(opened, { key, commit: found, branch: undefined }, fault);
  const record: TrustRecord = { url: opened.url, commit: found, at: deps.now().toISOString(), by: 'granted' };
  await writeTrust(paths, key, record);
  return record;
};

/** Takes back what was agreed to. */
export const revokeTrust = async (key: string, deps: Deps): Promise<boolean> => {
  const paths = locatePaths(deps);
  if (!(await readTrust(paths)).has(key)) return false;
  await writeTrust(paths, key, undefined);
  return true;
};
