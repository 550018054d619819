import path from 'node:path';
import { parseDockerfile } from '../docker/dockerfile-parse.ts';
import { MANIFEST } from '../roles/find-role.ts';
import { parseManifest } from '../roles/manifest.ts';
import { JackinError } from '../shared/errors.ts';
import { trimTail } from '../shared/trim.ts';

/** Whether a change of a file, given by its path below the role's folder, can change what runs. */
export type RunsCheck = (file: string) => boolean;

const everything: RunsCheck = () => true;

/** What a builder takes apart before it looks for a file: it could mean any of them. */
const UNCLEAR = /["'\\`$<]/;

/** `./bin/` → `bin`, `scripts/*.sh` → `scripts/`, `.` → everything. */
const copiedBy = (source: string): RunsCheck => {
  if (UNCLEAR.test(source) || source.split('/').includes('..')) return everything;
  const clean = path.posix.normalize(source);
  const cut = clean.search(/[*?[]/);
  const plain = (cut === -1 ? clean : clean.slice(0, cut)).replace(/^(\.?\/)+/, '').replace(/^\.$/, '');
  if (plain === '') return everything;
  const place = trimTail(plain, '/');
  return cut === -1 ? (file) => file === place || file.startsWith(`${place}/`) : (file) => file.startsWith(plain);
};

const words = (rest: string): string[] => {
  if (!rest.startsWith('[')) return rest.split(/\s+/);
  try {
    return (JSON.parse(rest) as unknown[]).map(String);
  } catch {
    return rest.split(/\s+/);
  }
};

/** What a COPY or ADD takes from the role's folder. */
const copySources = (rest: string): string[] => {
  const flags = /^(--\S+\s+)*/.exec(rest)?.[0] ?? '';
  if (UNCLEAR.test(flags)) return ['.'];
  // An empty one means the role's folder, and `--exclude=--from=x` is none at all.
  const isFromElsewhere = /(?:^|\s)--from=\S/.test(flags);
  return isFromElsewhere ? [] : words(rest.slice(flags.length)).slice(0, -1);
};

const checksOf = (dockerfile: string): RunsCheck[] =>
  parseDockerfile(dockerfile, 'Dockerfile').flatMap(({ keyword, rest }) => {
    if (keyword === 'COPY' || keyword === 'ADD') return copySources(rest).map(copiedBy);
    // It may mount the folder itself, in more spellings than one.
    return keyword === 'RUN' && rest.startsWith('--') ? [everything] : [];
  });

export interface RoleTexts {
  manifest: string | undefined;
  /** By its path below the role's folder. */
  read: (file: string) => Promise<string | undefined>;
}

/**
 * What of a role can change what runs: its manifest, its Dockerfile, its hooks, and
 * what the Dockerfile copies. Of a role that cannot be understood that is everything.
 */
export const whatRuns = async ({ manifest, read }: RoleTexts): Promise<RunsCheck> => {
  try {
    const parsed = parseManifest(MANIFEST, manifest ?? '');
    // A manifest may write `./hooks/x.sh`; git does not.
    const dockerfile = path.posix.normalize(parsed.dockerfile);
    const text = await read(dockerfile);
    if (text === undefined) return everything;
    const named = new Set([MANIFEST, dockerfile, ...parsed.hooks.map(({ file }) => path.posix.normalize(file))]);
    const copied = checksOf(text);
    return (file) => named.has(file) || file.endsWith('.dockerignore') || copied.some((check) => check(file));
  } catch (error) {
    if (error instanceof JackinError && error.code !== 'interrupted') return everything;
    throw error;
  }
};
