import { MANIFEST } from '../roles/find-role.ts';
import type { OpenedRole } from '../roles/git-role.ts';
import type { CommitInfo, Repository } from '../roles/repository.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { whatRuns } from './what-runs.ts';

/** What a person sees of a diff before the rest is only counted. */
const DIFF_LINES = 60;
const LINE_LENGTH = 160;

/** What has changed between two commits of a role. */
export interface RoleChanges {
  commits: number;
  /** All files that are not the same. */
  files: string[];
  /** Those of them that can change what runs. */
  running: string[];
}

const runsAt = async (repository: Repository, commit: string) => {
  const read = (file: string) => repository.readFile(commit, file);
  return whatRuns({ manifest: await read(MANIFEST), read });
};

/** What differs from an older commit; undefined when the newer one does not descend from it. */
export const changesBetween = async (repository: Repository, older: string, newer: string): Promise<RoleChanges | undefined> => {
  if (!(await repository.has(older)) || !(await repository.isAncestor(older, newer))) return undefined;
  const [files, before, after, commits] = await Promise.all([
    repository.changedFiles(older, newer),
    runsAt(repository, older),
    runsAt(repository, newer),
    repository.distance(older, newer),
  ]);
  // A file that mattered and no longer does changes what runs as well.
  return { commits, files, running: files.filter((file) => before(file) || after(file)) };
};

/** A diff for a terminal: no control characters, no endless lines, the rest counted. */
const shownDiff = (diff: string): string[] => {
  const lines = diff.trimEnd().split('\n').map((line) => line.replaceAll('\t', '  ').replaceAll(/\p{Cc}|\p{Cf}/gu, '\ufffd').slice(0, LINE_LENGTH));
  const more = lines.length - DIFF_LINES;
  return [...lines.slice(0, DIFF_LINES).map((line) => `  | ${line}`), ...(more > 0 ? [`  | … and ${more} more lines`] : [])];
};

const described = ({ subject, author, date }: CommitInfo): string => `"${subject.slice(0, 100)}" by ${author.slice(0, 60)}, ${date.slice(0, 10)}`;

const whatItDoes = ({ hooks, agents, dockerfile }: RoleFacts): string[] => [
  `  agents     ${agents.join(', ')}`,
  `  runs       ${dockerfile}, while its image is built: as root in the build, with access to the network`,
  ...(hooks.length === 0 ? [] : [`             ${hooks.map(({ name, file }) => `${name} (${file})`).join(', ')}: in its containers, before an agent starts`]),
];

const MEANING = 'Trusting it means: what it installs runs beside your files and your logins. A commit that changes what runs is asked about again.';

const headline = (key: string, trustedCommit: string | undefined, changes: RoleChanges | undefined): string => {
  if (changes === undefined) return `Role ${key} is not trusted yet.`;
  const since = `${trustedCommit?.slice(0, 12)}, which you trust`;
  return changes.running.length === 0 ? `Role ${key} runs here what it runs at ${since}.` : `Role ${key} has changed in what it runs since ${since}.`;
};

/** What a person is told before the question whether a commit of a role is trusted. */
export const describeOffer = async (role: RoleFacts, opened: OpenedRole, trustedCommit: string | undefined, changes: RoleChanges | undefined): Promise<string[]> => {
  if (role.source.kind !== 'git') return [];
  const { commit, branch, url } = role.source;
  const repository = await opened.repository();
  const info = await repository.describe(commit);
  const diff = changes === undefined || trustedCommit === undefined || changes.running.length === 0 ? [] : shownDiff(await repository.diff(trustedCommit, commit, changes.running));
  return [
    headline(role.key, trustedCommit, changes),
    `  source     ${url}`,
    ...(branch === null ? [] : [`  branch     ${branch}`]),
    `  commit     ${commit.slice(0, 12)} ${described(info)}`,
    ...(changes === undefined || changes.running.length === 0 ? [] : [`  changed    ${changes.running.slice(0, 8).join(', ')}${changes.running.length > 8 ? ' …' : ''} (${changes.commits} ${changes.commits === 1 ? 'commit' : 'commits'})`]),
    ...whatItDoes(role),
    ...diff,
    MEANING,
  ];
};
