import path from 'node:path';
import type { Paths } from '../config/paths.ts';
import { didYouMean } from '../config/nearest.ts';
import type { LockFacts, RoleFacts } from '../plan/facts.ts';
import type { RoleHandling, RoleSelector } from '../plan/request.ts';
import { builtInRoles, readBuiltInRole, readFolderRole } from '../roles/find-role.ts';
import { type OpenedRole, openGitRole, type RoleWorld } from '../roles/git-role.ts';
import { LOCK_FILE } from '../shared/context-files.ts';
import { lockFileOf, readLock } from '../roles/lock-file.ts';
import { readCache, roleDir } from '../roles/role-cache.ts';
import type { Repository } from '../roles/repository.ts';
import { isBranchName, isSameSource, sourceOf } from '../roles/source.ts';
import { readTrust, type TrustRecord, writeTrust } from '../roles/trust-store.ts';
import { JackinError } from '../shared/errors.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';
import { brokenCommit, readCommit, readOffer } from './read-offer.ts';
import { changesBetween, describeOffer, shownText } from './role-offer.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A cache that is older is mentioned. */
const OLD_DAYS = 14;

/** What the configuration says of roles. */
export type ConfiguredRoles = Readonly<Record<string, { git?: string | undefined; trusted?: boolean | undefined }>>;

export interface RoleAsking {
  /** Undefined when nobody can be asked. */
  confirm?: ((question: string) => Promise<boolean>) | undefined;
  say: (line: string) => void;
  report: Report;
}

export interface ObtainedRole {
  role: RoleFacts;
  /** To be written down when the role is really used. */
  trust?: { key: string; record: TrustRecord };
  /** Its repository, where it comes by git. */
  opened?: OpenedRole;
  /** Why its newest commit cannot be used, where the trusted one is used in its place. */
  broken?: string;
}

export const roleWorld = (paths: Paths, deps: Deps, report: Report): RoleWorld => ({ paths, env: deps.env, signal: deps.signal, now: deps.now, report, version: deps.version });

const ageNote = (key: string, { fetchedAt, stale }: OpenedRole, now: Date): string[] => {
  if (stale !== undefined) return [`role ${key} is used as it is cached, because nothing newer could be fetched: ${stale}`];
  const days = Math.floor((now.getTime() - fetchedAt.getTime()) / DAY_MS);
  return days < OLD_DAYS ? [] : [`role ${key} was last looked for ${days} days ago; \`jackin role update ${key}\` looks again`];
};

interface GitAsk {
  key: string;
  branch: string | undefined;
  handling: RoleHandling;
  configured: ConfiguredRoles;
}

const isBefore = async (repository: Repository, older: string, newer: string): Promise<boolean> => (await repository.has(newer)) && repository.isAncestor(older, newer);

interface Judged {
  head: string;
  /** From this very source. */
  trusted: string | undefined;
  known: TrustRecord | undefined;
}

/** Whether the commit may be used, and why: where it is trusted, or only harmless files have changed since the trusted one. */
const judge = async (opened: OpenedRole, { key, branch, handling, configured }: GitAsk, { head, trusted, known }: Judged) => {
  if (head === handling.trust) return { by: 'named on the command line' as const };
  if (branch !== undefined) return { why: 'a branch is agreed to every time', changes: trusted === undefined ? undefined : await changesBetween(await opened.repository(), trusted, head) };
  if (trusted === head) return { by: 'recorded' as const };
  if (trusted !== undefined) {
    const changes = await changesBetween(await opened.repository(), trusted, head);
    if (changes?.running.length === 0) return { by: 'nothing that runs has changed' as const };
    if (changes !== undefined) return { why: 'what it runs has changed since it was trusted', changes };
    const isOlder = await isBefore(await opened.repository(), head, trusted);
    return { why: isOlder ? `it is older than ${trusted.slice(0, 12)}, which is trusted` : 'its history was rewritten since it was trusted' };
  }
  if (known === undefined && configured[key]?.trusted === true) return { by: 'granted' as const };
  return { why: known === undefined ? 'it is used for the first time' : `it came from ${known.url} when it was trusted` };
};

const WHY = { recorded: 'this commit was agreed to', 'named on the command line': 'this commit is named on the command line', granted: 'the configuration trusts this role: from now on this commit of it', 'nothing that runs has changed': 'what it runs is what was agreed to' } as const;

/** Finds the commit that is meant: the one that is named, that of the jackin.lock, else the newest that was fetched. */
const findWantedCommit = async (opened: OpenedRole, { key, branch, handling }: GitAsk, paths: Paths): Promise<{ head: string; isPinned: boolean }> => {
  // An instance of a branch comes back as it was, wherever the branch is by now.
  if (branch !== undefined && handling.trust !== undefined && (await (await opened.repository()).has(handling.trust))) return { head: handling.trust, isPinned: false };
  const file = path.join(roleDir(paths, key), LOCK_FILE);
  const pinned = branch === undefined && handling.pinned ? (await readLock(file))?.commit : undefined;
  if (pinned === undefined) return { head: opened.head, isPinned: false };
  if (pinned === opened.head || (await (await opened.repository()).has(pinned))) return { head: pinned, isPinned: true };
  throw new JackinError('conflict', `role ${key} is pinned to ${pinned.slice(0, 12)}, which is not in what was fetched from ${opened.url}`, {
    hint: `\`jackin role pin ${key} --remove\` takes the pin away (${file})`,
  });
};

/** The trusted commit that stays in use where the wanted one is not. Nothing takes the place of a branch or of what is pinned. */
const findStandIn = async (opened: OpenedRole, { branch }: GitAsk, { head, trusted }: Judged, isPinned: boolean): Promise<string | undefined> => {
  if (branch !== undefined || isPinned || trusted === undefined || trusted === head) return undefined;
  // A history that was fetched anew may not hold it.
  return (await opened.holds(trusted)) ? trusted : undefined;
};

const withNotes = (role: RoleFacts, notes: string[]): RoleFacts => ({ ...role, notes: [...role.notes, ...notes] });

/** Reads the trusted commit in the place of a newer one, and notes why that one is not used. */
const readStandIn = async (opened: OpenedRole, key: string, commit: string, why: string): Promise<RoleFacts> => {
  const role = await readCommit(opened, { key, commit, branch: undefined, trust: { state: 'trusted', why: WHY.recorded } });
  return withNotes(role, [`role ${key}: ${why}; ${commit.slice(0, 12)}, which is trusted, is used`]);
};

interface Offered extends Judged {
  role: RoleFacts;
  /** Commit that is used when the offer is not taken. */
  standIn: string | undefined;
}

/** Asks about a commit that can be used, where it is not trusted yet. */
const settleOffer = async (opened: OpenedRole, ask: GitAsk, offered: Offered, { confirm, say }: RoleAsking, now: Date): Promise<ObtainedRole> => {
  const { key, branch, handling } = ask;
  const { head, trusted, standIn } = offered;
  const verdict = await judge(opened, ask, offered);
  const recordFor = (by: TrustRecord['by']) => (branch === undefined ? { trust: { key, record: { url: opened.url, commit: head, at: now.toISOString(), by } } } : {});
  if (verdict.by !== undefined) {
    const role: RoleFacts = { ...offered.role, trust: { state: 'trusted', why: WHY[verdict.by] } };
    return { role, ...(verdict.by === 'recorded' ? {} : recordFor(verdict.by)) };
  }
  const { why, changes } = verdict;
  const role: RoleFacts = { ...offered.role, trust: { state: 'needed', why } };
  if (confirm !== undefined) {
    for (const line of await describeOffer(role, opened, trusted, changes)) say(line);
    if (await confirm(`Trust ${key} at ${head.slice(0, 12)}?`)) return { role: { ...role, trust: { state: 'trusted', why: 'you have just agreed to this commit' } }, ...recordFor('asked') };
  }
  if (standIn === undefined) {
    if (confirm !== undefined && handling.refusalEnds) throw new JackinError('consent.needed', `role ${key} is not trusted: nothing of it was built or run`);
    return { role };
  }
  const changed = changes === undefined ? '' : ` (${changes.running.slice(0, 3).map(shownText).join(', ')})`;
  return { role: await readStandIn(opened, key, standIn, `${head.slice(0, 12)} is newer and not trusted: ${why}${changed}`) };
};

const obtainGitRole = async (opened: OpenedRole, ask: GitAsk, paths: Paths, asking: RoleAsking, now: Date): Promise<ObtainedRole> => {
  const { key, branch, handling } = ask;
  const { head, isPinned } = await findWantedCommit(opened, ask, paths);
  const known = (await readTrust(paths)).get(key);
  const judged: Judged = { head, known, trusted: known !== undefined && isSameSource(known.url, opened.url) ? known.commit : undefined };
  const standIn = await findStandIn(opened, ask, judged, isPinned);
  const wanted = { key, commit: head, branch, trust: { state: 'needed', why: 'it is looked at' } as const };
  const isAgreedTo = head === (branch === undefined ? judged.trusted : handling.trust);
  const offer = await readOffer(opened, wanted, { mustBuild: !isAgreedTo, mayRecall: standIn !== undefined });
  if (offer.fault !== undefined) {
    if (standIn === undefined) throw brokenCommit(opened, wanted, offer.fault);
    const { why } = offer.fault;
    return { role: await readStandIn(opened, key, standIn, `the newest commit ${head.slice(0, 12)} is broken: ${why}`), broken: why };
  }
  return settleOffer(opened, ask, { ...judged, role: offer.role, standIn }, asking, now);
};

/** As {@link obtainGitRole}, with a note about a cache that is old. */
const obtainNoted = async (opened: OpenedRole, ask: GitAsk, paths: Paths, asking: RoleAsking, now: Date): Promise<ObtainedRole> => {
  const obtained = await obtainGitRole(opened, ask, paths, asking, now);
  return { ...obtained, role: withNotes(obtained.role, ageNote(ask.key, opened, now)), opened };
};

/** A name that is nearly a known one is a slip, or somebody's trap: it is not fetched unless the configuration names it. */
const assertNoSlip = async (key: string, configured: ConfiguredRoles, paths: Paths, packageRoot: string): Promise<void> => {
  if (configured[key] !== undefined || (await readCache(roleDir(paths, key))) !== undefined) return;
  const meant = didYouMean(key, [...(await builtInRoles(packageRoot)), ...Object.keys(configured)]);
  if (meant === '') return;
  throw new JackinError('not-found', `there is no role "${key}"`, { hint: `${meant} If not, set its address as git in [roles."${key}"] of config.toml` });
};

/** A branch is tried out as it is. */
const lockFacts = async (paths: Paths, { key, source }: RoleFacts): Promise<LockFacts | null> => {
  if (source.kind === 'git' && source.branch !== null) return null;
  const file = lockFileOf(paths, { key, source });
  const lock = await readLock(file);
  return lock === undefined ? null : { file, commit: lock.commit ?? null, content: lock.content, construct: lock.construct, agents: withoutUndefined(lock.agents) };
};

const withoutUndefined = <T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };

/**
 * Finds a role and reads what it says of itself: built in, in a folder, or from git,
 * where it is cloned when it is not cached. Asks whether it is trusted where somebody
 * can be asked; otherwise the answer says that this is still needed.
 */
export const obtainRole = async (selector: RoleSelector, handling: RoleHandling, configured: ConfiguredRoles, paths: Paths, asking: RoleAsking, deps: Deps): Promise<ObtainedRole> => {
  const obtained = await findRole(selector, handling, configured, paths, asking, deps);
  return { ...obtained, role: { ...obtained.role, lock: handling.pinned ? await lockFacts(paths, obtained.role) : null } };
};

const findRole = async (selector: RoleSelector, handling: RoleHandling, configured: ConfiguredRoles, paths: Paths, asking: RoleAsking, deps: Deps): Promise<ObtainedRole> => {
  if (selector.kind === 'folder') return { role: await readFolderRole(selector.path) };
  const { key, branch } = selector;
  const git = configured[key]?.git;
  if (git === undefined && (await builtInRoles(deps.packageRoot)).includes(key)) {
    if (branch === undefined) return { role: await readBuiltInRole(key, deps.packageRoot) };
    throw new JackinError('usage', `${key} is built in and has no branches`, { hint: `to load it from a repository, set git in [roles.${key}] of config.toml` });
  }
  if (branch !== undefined && !isBranchName(branch)) throw new JackinError('usage', `${JSON.stringify(branch.slice(0, 80))} is not the name of a branch`);
  const source = sourceOf(key, git);
  // A branch is there to be worked on: it is looked up every time, unless one commit of it is wanted.
  const freshness = branch !== undefined && handling.freshness === 'cached' && handling.trust === undefined ? 'try' : handling.freshness;
  await assertNoSlip(key, configured, paths, deps.packageRoot);
  const opened = await openGitRole({ key, source, branch, freshness }, roleWorld(paths, deps, asking.report));
  return obtainNoted(opened, { key, branch, handling, configured }, paths, asking, deps.now());
};

/** Nothing of a role is built or run before this: throws `consent.needed` unless it is trusted, and writes down what was agreed to. */
export const settleTrust = async ({ role, trust }: ObtainedRole, paths: Paths): Promise<void> => {
  if (role.trust.state === 'needed' && role.source.kind === 'git') {
    const { url, commit, branch } = role.source;
    const agree = branch === null ? `agree with \`jackin config trust grant ${role.key} --commit ${commit}\`` : `load it with --trust ${commit}`;
    throw new JackinError('consent.needed', `role ${role.key} is not trusted at ${commit.slice(0, 12)} (${url}${branch === null ? '' : `, branch ${branch}`}): ${role.trust.why}`, {
      hint: `run it in a terminal to be asked, or look at ${role.source.path} and ${agree}`,
    });
  }
  if (trust !== undefined) await writeTrust(paths, trust.key, trust.record);
};
