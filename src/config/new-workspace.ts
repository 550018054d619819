import { stringify } from 'smol-toml';
import { JackinError } from '../shared/errors.ts';
import { isProblem, parseDocument } from './document.ts';
import { createWorkspaceFile, exists } from './files.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { CONFIG_VERSION, WorkspaceSchema } from './schema.ts';
import { validateDocument } from './validate.ts';

export interface NewWorkspace {
  workdir: string;
  mounts: { source: string; target: string; readonly: boolean }[];
  allowedRoles: string[];
  defaultRole: string | undefined;
  defaultAgent: string | undefined;
}

const render = ({ workdir, mounts, allowedRoles, defaultRole, defaultAgent }: NewWorkspace): string =>
  stringify({
    version: CONFIG_VERSION,
    workdir,
    ...(allowedRoles.length === 0 ? {} : { allowed_roles: allowedRoles }),
    ...(defaultRole === undefined ? {} : { default_role: defaultRole }),
    ...(defaultAgent === undefined ? {} : { default_agent: defaultAgent }),
    // The isolation is always written out, so that a file says what it means.
    mounts: mounts.map(({ source, target, readonly }) => ({ src: source, dst: target, readonly, isolation: 'shared' })),
  });

/** Saves a workspace. What would be refused when it is read is refused before it is written. Returns the file. */
export const createWorkspace = async (paths: Paths, name: string, wanted: NewWorkspace): Promise<string> => {
  for (const { source } of wanted.mounts) {
    if (await exists(source)) continue;
    throw new JackinError('not-found', `mount source ${source} does not exist`, { hint: 'create it, or correct --mount' });
  }
  const text = `${render(wanted).trimEnd()}\n`;
  const document = parseDocument(workspaceFile(paths, name), text);
  if (isProblem(document)) throw new Error('a rendered workspace is always valid TOML');
  const result = validateDocument(WorkspaceSchema, document);
  if (!result.ok) {
    throw new JackinError('usage', `this workspace cannot be saved:\n${result.problems.map(({ message }) => `  ${message}`).join('\n')}`);
  }
  return createWorkspaceFile(paths, name, text);
};
