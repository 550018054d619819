import path from 'node:path';
import { MANIFEST } from '../roles/find-role.ts';
import type { OpenedRole } from '../roles/git-role.ts';
import type { CommitInfo, Repository } from '../roles/repository.ts';
import type { RoleFacts } from '../plan/facts.ts';
import { JackinError } from '../shared/errors.ts';
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

/** On one line, and nothing in it that a terminal would obey or hide. */
export const shownText = (text: string): string => text.replaceAll('\t', '  ').replaceAll(/\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu, '\ufffd');

/** What is left out is told: a line could be long for the sake of its end. */
const shownLine = (line: string): string => (line.length <= LINE_LENGTH ? line : `${line.slice(0, LINE_LENGTH)} … and ${line.length - LINE_LENGTH} more characters`);

/** What decides most comes first: nobody's long list of names may push it out of sight. */
const byWeight = (files: readonly string[], { dockerfile, hooks }: RoleFacts): string[] => {
  const first = [MANIFEST, dockerfile, ...hooks.map(({ file }) => file)].map((file) => path.posix.normalize(file));
  const weight = (file: string): number => (first.includes(file) ? first.indexOf(file) : first.length);
  return [...files].sort((one, other) => weight(one) - weight(other));
};

const diffOf = (repository: Repository, older: string, newer: string, file: string): Promise<string> =>
  repository.diff(older, newer, [file]).catch((error: unknown) => {
    // More than git may say at once, or a file that it cannot read; there is a way to see it all.
    if (error instanceof JackinError && error.code !== 'interrupted') return `${file}: cannot be shown: ${error.message}`;
    throw error;
  });

/** The diff of what runs, for a terminal: no control characters, no endless lines; what is left out is told, and how to see it. */
const shownDiff = async (role: RoleFacts, repository: Repository, older: string, newer: string, running: readonly string[]): Promise<string[]> => {
  const shown: string[] = [];
  const files = byWeight(running, role);
  for (const [index, file] of files.entries()) {
    const lines = (await diffOf(repository, older, newer, file)).trimEnd().split('\n').map((line) => shownLine(shownText(line)));
    const room = DIFF_LINES - shown.length;
    shown.push(...lines.slice(0, room));
    const [moreLines, moreFiles] = [lines.length - room, files.length - index - 1];
    if (moreLines < 0 || (moreLines === 0 && moreFiles === 0)) continue;
    shown.push(`… and ${Math.max(0, moreLines)} more lines of ${shownText(file)}${moreFiles > 0 ? `, and ${moreFiles} more files` : ''}`);
    shown.push(`  all of it: git --git-dir ${repository.directory} diff ${older} ${newer}`);
    break;
  }
  return shown.map((line) => `  | ${line}`);
};

const described = ({ subject, author, date }: CommitInfo): string => `"${shownText(subject).slice(0, 100)}" by ${shownText(author).slice(0, 60)}, ${date.slice(0, 10)}`;

const whatItDoes = ({ hooks, agents, dockerfile }: RoleFacts): string[] => [
  `  agents     ${agents.join(', ')}`,
  `  runs       ${shownText(dockerfile)}, while its image is built: as root in the build, with access to the network`,
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
  const diff = changes === undefined || trustedCommit === undefined || changes.running.length === 0 ? [] : await shownDiff(role, repository, trustedCommit, commit, changes.running);
  return [
    headline(role.key, trustedCommit, changes),
    `  source     ${url}`,
    ...(branch === null ? [] : [`  branch     ${branch}`]),
    `  commit     ${commit} ${described(info)}`,
    ...(changes === undefined || changes.running.length === 0 ? [] : [`  changed    ${changes.running.slice(0, 8).map(shownText).join(', ')}${changes.running.length > 8 ? ' …' : ''} (${changes.commits} ${changes.commits === 1 ? 'commit' : 'commits'})`]),
    ...whatItDoes(role),
    ...diff,
    MEANING,
  ];
};
