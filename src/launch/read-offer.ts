import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { substituteConstruct } from '../docker/dockerfile.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { readRole } from '../roles/find-role.ts';
import type { OpenedRole } from '../roles/git-role.ts';
import { GitMissing } from '../roles/git.ts';
import type { CommitFault } from '../roles/role-cache.ts';
import { JackinError } from '../shared/errors.ts';
import { shownText } from './role-offer.ts';

/** A commit of a role, and what is known of it beforehand. */
export interface Wanted {
  key: string;
  commit: string;
  branch: string | undefined;
  trust: RoleFacts['trust'];
}

/** Reads the role of a commit. */
export const readCommit = (opened: OpenedRole, { key, commit, branch, trust }: Wanted): Promise<RoleFacts> =>
  opened.checkout(commit, (folder) => readRole({ key, source: { kind: 'git', path: folder, url: opened.url, commit, branch: branch ?? null }, trust }));

const MAX_WHY = 300;

/** The first thing that an error says, on one line, without the folder of the cache, and how many more there are. */
const firstLine = (message: string, commit: string): string => {
  const [first = '', second] = message.split('\n');
  const [, count] = /^(a problem|\d+ problems) in the configuration$/.exec(first) ?? [];
  const text = count === undefined ? first : (second ?? first);
  const folder = `\\S*/checkouts/${commit}`;
  const shown = text.replaceAll(new RegExp(`( in)? ${folder}(?=[ :])`, 'g'), '').replaceAll(new RegExp(`${folder}/`, 'g'), '').replaceAll(new RegExp(folder, 'g'), 'it');
  const more = Number.parseInt(count ?? '', 10) - 1;
  const line = shownText(shown);
  return `${line.length > MAX_WHY ? `${line.slice(0, MAX_WHY)}…` : line}${more > 0 ? ` (and ${more} more)` : ''}`;
};

/** Errors that say nothing of the commit: any other one would meet them as well. */
const isOurOwn = (error: JackinError): boolean => error.code === 'interrupted' || error.code === 'disk.full' || error instanceof GitMissing;

const assertBuildable = async ({ source, dockerfile }: RoleFacts): Promise<void> => {
  substituteConstruct(await readFile(path.join(source.path, dockerfile), 'utf8'), dockerfile, 'scratch');
};

export type Offer = { role: RoleFacts; fault?: undefined } | { fault: CommitFault };

interface OfferOptions {
  /** Judges its Dockerfile too, because a commit that cannot be built must not take the place of one that can. */
  mustBuild: boolean;
  /** Takes a fault that was found before for an answer, because another commit can be used. */
  mayRecall: boolean;
}

/** Reads a commit that may come from anybody. What is wrong with it is an answer, and is remembered. */
export const readOffer = async (opened: OpenedRole, wanted: Wanted, { mustBuild, mayRecall }: OfferOptions): Promise<Offer> => {
  const { commit } = wanted;
  const known = mayRecall ? opened.knownFault(commit) : undefined;
  if (known !== undefined) return { fault: known };
  try {
    const role = await readCommit(opened, wanted);
    if (mustBuild) await assertBuildable(role);
    await opened.rememberFault(commit, undefined);
    return { role };
  } catch (error) {
    if (!(error instanceof JackinError) || isOurOwn(error)) throw error;
    const fault: CommitFault = { why: firstLine(error.message, commit), code: error.code };
    await opened.rememberFault(commit, fault).catch((failure: unknown) => {
      // It is found out again by the next command.
      if (failure instanceof JackinError && failure.code === 'interrupted') throw failure;
    });
    return { fault };
  }
};

/** The error for a broken commit that nothing else can stand in for. */
export const brokenCommit = (opened: OpenedRole, { key, commit, branch }: Omit<Wanted, 'trust'>, { why, code }: CommitFault): JackinError => {
  const what = branch === undefined ? `role ${key}` : `branch ${branch} of role ${key}`;
  return new JackinError(code, `${what} is broken at ${commit.slice(0, 12)} (${opened.url}): ${why}`, {
    hint: `its author has to correct it; \`jackin role update ${key}\` looks for a newer commit`,
  });
};
