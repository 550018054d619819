import { parseDockerfile } from '../docker/dockerfile-parse.ts';
import { MANIFEST } from '../roles/find-role.ts';
import { parseManifest } from '../roles/manifest.ts';
import { JackinError } from '../shared/errors.ts';

/** Whether a change of a file, given by its path below the role's folder, can change what runs. */
export type RunsCheck = (file: string) => boolean;

const everything: RunsCheck = () => true;

/** `./bin/` → `bin`, `scripts/*.sh` → `scripts/`, `.` → everything. A variable could mean anything. */
const copiedBy = (source: string): RunsCheck => {
  const cut = source.search(/[$*?[]/);
  const plain = (cut === -1 ? source : source.slice(0, cut)).replace(/^(\.?\/)+/, '').replace(/^\.$/, '');
  if (plain === '') return everything;
  const place = plain.replace(/\/+$/, '');
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
  return /--from=/.test(flags) ? [] : words(rest.slice(flags.length)).slice(0, -1);
};

const checksOf = (dockerfile: string): RunsCheck[] =>
  parseDockerfile(dockerfile, 'Dockerfile').flatMap(({ keyword, rest }) => {
    if (keyword === 'COPY' || keyword === 'ADD') return copySources(rest).map(copiedBy);
    // It may mount the folder itself.
    return keyword === 'RUN' && rest.includes('--mount=') ? [everything] : [];
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
    const { dockerfile, hooks } = parseManifest(MANIFEST, manifest ?? '');
    const text = await read(dockerfile);
    if (text === undefined) return everything;
    const named = new Set([MANIFEST, dockerfile, ...hooks.map(({ file }) => file)]);
    const copied = checksOf(text);
    return (file) => named.has(file) || file.endsWith('.dockerignore') || copied.some((check) => check(file));
  } catch (error) {
    if (error instanceof JackinError && error.code !== 'interrupted') return everything;
    throw error;
  }
};
