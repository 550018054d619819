import { mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { AgentSlug } from '../agents/agents.ts';
import { asDiskError } from '../shared/atomic-files.ts';
import { isErrno, JackinError } from '../shared/errors.ts';
import { MANIFEST } from './find-role.ts';
import { MANIFEST_VERSIONS } from './manifest-schema.ts';

const DOCKERFILE = `# The construct is what every role builds on: Debian with git and the usual tools,
# and the user that the agent runs as. What is installed here, the agent has.
FROM projectjackin/construct:trixie

# USER root
# RUN apt-get update \\
#     && apt-get install -y --no-install-recommends shellcheck \\
#     && rm -rf /var/lib/apt/lists/*
# USER agent
`;

const manifestOf = (name: string, agents: readonly AgentSlug[]): string =>
  [
    `version = "${MANIFEST_VERSIONS.at(-1)}"`,
    'dockerfile = "Dockerfile"',
    `agents = [${agents.map((slug) => `"${slug}"`).join(', ')}]`,
    '',
    '[identity]',
    `name = ${JSON.stringify(name)}`,
    ...agents.flatMap((slug) => ['', `[${slug}]`]),
    '',
  ].join('\n');

/** Makes the folder, or takes one that is empty. Returns the outermost folder that was made. */
const claim = async (folder: string): Promise<string | undefined> => {
  const made = await mkdir(folder, { recursive: true });
  if (made !== undefined || (await readdir(folder)).length === 0) return made;
  throw new JackinError('conflict', `${folder} is not empty: nothing was written`, { hint: 'name a folder that is empty or not there yet' });
};

const removeFolders = async (folder: string, outermost: string): Promise<void> => {
  await rmdir(folder);
  if (folder !== outermost) await removeFolders(path.dirname(folder), outermost);
};

const writeNew = async (file: string, text: string): Promise<void> => {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    // Half of it may be there, unless it is somebody else's.
    if (!isErrno(error, 'EEXIST')) await rm(file, { force: true });
    throw error;
  }
};

const asFolderError = (error: unknown, folder: string): unknown =>
  isErrno(error, 'EEXIST', 'ENOTDIR') ? new JackinError('conflict', `${folder} cannot be a folder: a file is in its place`, { cause: error }) : asDiskError(error, `making the role in ${folder}`);

export interface NewRole {
  folder: string;
  /** For people. */
  name: string;
  agents: readonly AgentSlug[];
}

/**
 * Writes a role that can be loaded as it is, into a folder that is empty or not there
 * yet. The manifest comes last: without it a folder is no role. Throws `conflict` for
 * any other folder; after an error nothing that was written stays. Returns the files.
 */
export const createRole = async ({ folder, name, agents }: NewRole): Promise<string[]> => {
  const written: string[] = [];
  let made: string | undefined;
  try {
    made = await claim(folder);
    for (const [file, text] of [['Dockerfile', DOCKERFILE], [MANIFEST, manifestOf(name, agents)]] as const) {
      await writeNew(path.join(folder, file), text);
      written.push(path.join(folder, file));
    }
    return written;
  } catch (error) {
    for (const file of written) await rm(file, { force: true });
    if (made !== undefined) await removeFolders(folder, made).catch(() => undefined);
    throw asFolderError(error, folder);
  }
};
