import { stringify } from 'smol-toml';
import { JackinError } from '../shared/errors.ts';
import { type MountIsolation, withIsolations } from './change-workspace.ts';
import { type CoveredMount, coveredMounts, type MountToml } from './collapse.ts';
import { isProblem, parseDocument } from './document.ts';
import { schemaLine } from './editor-schema.ts';
import { createWorkspaceFile, exists } from './files.ts';
import { type Paths, workspaceFile } from './paths.ts';
import { CONFIG_VERSION, WorkspaceSchema } from './schema.ts';
import { validateDocument } from './validate.ts';

export interface NewWorkspace {
  workdir: string;
  mounts: { src: string; dst: string; readonly: boolean }[];
  isolations: MountIsolation[];
  allowedRoles: string[];
  defaultRole: string | undefined;
  defaultAgent: string | undefined;
  keepAwake: boolean;
  gitPull: boolean;
}

const render = (wanted: NewWorkspace, mounts: MountToml[]): string => {
  const { workdir, allowedRoles, defaultRole, defaultAgent, keepAwake, gitPull } = wanted;
  const content = {
    version: CONFIG_VERSION,
    workdir,
    ...(allowedRoles.length === 0 ? {} : { allowed_roles: allowedRoles }),
    ...(defaultRole === undefined ? {} : { default_role: defaultRole }),
    ...(defaultAgent === undefined ? {} : { default_agent: defaultAgent }),
    ...(gitPull ? { git_pull_on_entry: true } : {}),
    // The isolation is always written out, so that a file says what it means.
    mounts: mounts.map(({ src, dst, readonly = false, isolation = 'shared' }) => ({ src, dst, readonly, isolation })),
    ...(keepAwake ? { keep_awake: { enabled: true } } : {}),
  };
  return `${schemaLine('workspace')}\n${stringify(content).trimEnd()}\n`;
};

/**
 * Saves a workspace. What would be refused when it is read is refused before it is
 * written. Mounts that another one covers are left out, and told.
 */
export const createWorkspace = async (paths: Paths, name: string, wanted: NewWorkspace, home: string): Promise<{ file: string; covered: CoveredMount[] }> => {
  for (const { src } of wanted.mounts) {
    if (await exists(src)) continue;
    throw new JackinError('not-found', `mount source ${src} does not exist`, { hint: 'create it, or correct --mount' });
  }
  const mounts = withIsolations(wanted.mounts, wanted.isolations);
  const covered = coveredMounts(mounts, home);
  const text = render(wanted, mounts.filter((mount) => !covered.some((entry) => entry.mount === mount)));
  const document = parseDocument(workspaceFile(paths, name), text);
  if (isProblem(document)) throw new Error('a rendered workspace is always valid TOML');
  const result = validateDocument(WorkspaceSchema, document);
  if (!result.ok) {
    throw new JackinError('usage', `this workspace cannot be saved:\n${result.problems.map(({ message }) => `  ${message}`).join('\n')}`);
  }
  return { file: await createWorkspaceFile(paths, name, text), covered };
};
