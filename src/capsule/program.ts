import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';

/** Written last when an agent's volume is filled: without it the volume is a torso. */
const COMPLETE_MARKER = '.jackin-complete';

export interface ProgramPlace {
  cwd: string;
  /** The session's `PATH`. */
  path: string | undefined;
  /** Where the agents' volumes are mounted, one directory per slug. */
  agentsDir: string;
}

export type FoundProgram = { file: string } | { missing: string };

/**
 * The program file of an argv, looked up as a shell would, or why there is none.
 * Asked before a session starts, because a PTY with a missing program shows
 * nothing and ends with a code that says nothing.
 */
export const findProgram = async (argv: readonly string[], place: ProgramPlace): Promise<FoundProgram> => {
  const [name = '', script = ''] = argv;
  for (const part of [name, script]) {
    const slug = slugBelow(place.agentsDir, part);
    if (slug === undefined) continue;
    const volume = path.join(place.agentsDir, slug);
    if (!(await isFile(path.join(volume, COMPLETE_MARKER)))) return { missing: `the files of ${slug} in ${volume} are not complete` };
    if (!(await isFile(part))) return { missing: `there is no ${part} in the container` };
  }
  const candidates = name.includes('/')
    ? [path.resolve(place.cwd, name)]
    : (place.path ?? '').split(':').map((directory) => path.resolve(place.cwd, directory, name));
  for (const candidate of name === '' ? [] : candidates) {
    if (await isFile(candidate, constants.X_OK)) return { file: candidate };
  }
  return { missing: name.includes('/') ? `${name} is no program of the container` : `there is no program ${name} in the PATH of the container` };
};

/** In the order in which people like them; the last one is in every image that can run anything. */
const SHELLS = ['bash', 'zsh', 'fish', 'sh'];

/** The best shell of the container, or that there is none. */
export const findShell = async (place: ProgramPlace): Promise<FoundProgram> => {
  for (const shell of SHELLS) {
    const found = await findProgram([shell], place);
    if ('file' in found) return found;
  }
  return { missing: `there is no shell in the PATH of the container (looked for ${SHELLS.join(', ')})` };
};

const slugBelow = (agentsDir: string, file: string): string | undefined =>
  file.startsWith(`${agentsDir}/`) ? file.slice(agentsDir.length + 1).split('/')[0] : undefined;

const isFile = async (file: string, mode = constants.R_OK): Promise<boolean> => {
  try {
    await access(file, mode);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
};
