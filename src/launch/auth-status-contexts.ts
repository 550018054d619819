import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { type ConfigFiles, type LoadedFile, readAllWorkspaces, readConfigFiles, validateAll } from '../config/files.ts';
import { decide, workspaceLayer } from '../config/layers.ts';
import type { Paths } from '../config/paths.ts';
import { resolveRole } from '../config/resolve.ts';
import type { ConfigToml, WorkspaceToml } from '../config/schema.ts';

/** What a person asks about; nothing named means all. */
export interface AuthQuestion {
  workspace?: string | undefined;
  role?: string | undefined;
  agent?: AgentSlug | undefined;
}

/** One launch that could be: from any directory, or in a saved workspace. */
export interface LaunchContext {
  /** Null for a directory that is not saved. */
  workspace: string | null;
  /** Null when none is named: then the layers of roles say nothing. */
  role: string | null;
  defaultAgent: AgentSlug | null;
  files: ConfigFiles;
}

/** The files that were read, for the contexts and for the instances. */
export interface StatusFiles {
  global: LoadedFile<ConfigToml> | undefined;
  workspaces: ReadonlyMap<string, LoadedFile<WorkspaceToml>>;
}

/** Reads what there is to know: one workspace when it is named, else all. All problems of all files are thrown at once. */
export const readStatusFiles = async (paths: Paths, name: string | undefined): Promise<StatusFiles> => {
  if (name !== undefined) {
    const { global, workspace } = await readConfigFiles(paths, name);
    return { global, workspaces: new Map(workspace && [[name, workspace]]) };
  }
  try {
    const { global } = await readConfigFiles(paths);
    return { global, workspaces: await readAllWorkspaces(paths) };
  } catch (error) {
    // One half may have hidden the problems of the other.
    await validateAll(paths);
    throw error;
  }
};

const KEYS_OF_LOGINS = [...AGENT_SLUGS, 'github', 'env'] as const;

/** The roles for which a file says something about logins or variables. */
const rolesWithOverrides = (file: LoadedFile<ConfigToml> | LoadedFile<WorkspaceToml> | undefined): string[] =>
  Object.entries(file?.value.roles ?? {}).flatMap(([role, settings]) => (KEYS_OF_LOGINS.some((key) => Object.hasOwn(settings, key)) ? [role] : []));

const contextsOf = (workspace: string | null, files: ConfigFiles, named: string | undefined): LaunchContext[] => {
  const usual = named ?? resolveRole(files)?.value ?? null;
  const others = named === undefined ? rolesWithOverrides(workspace === null ? files.global : files.workspace) : [];
  const defaultAgent = decide<AgentSlug>([workspaceLayer(files)], ['default_agent'])?.value ?? null;
  const roles = [usual, ...others.filter((role) => role !== usual)];
  return roles.map((role) => ({ workspace, role, defaultAgent, files }));
};

/**
 * Every launch that the question is about. A workspace comes with the role that a load
 * there would take, and then with each role for which it says something of its own.
 */
export const listContexts = ({ workspace, role }: AuthQuestion, { global, workspaces }: StatusFiles): LaunchContext[] => [
  ...(workspace === undefined ? contextsOf(null, { global, workspace: undefined }, role) : []),
  ...[...workspaces].flatMap(([name, file]) => contextsOf(name, { global, workspace: file }, role)),
];
