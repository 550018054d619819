import { AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import type { ConfigFiles } from './files.ts';
import { decide, decideOr, type Decision, globalLayer, type Origin, workspaceLayer } from './layers.ts';
import { type AuthDecision, type GithubDecision, resolveAuth, resolveGithub } from './resolve-auth.ts';
import { type EnvEntry, envLayers, resolveEnvTables } from './resolve-env.ts';
import { type MountEntry, resolveMounts } from './resolve-mounts.ts';

export interface WorkspaceDecision {
  kind: 'saved' | 'directory';
  /** Null for a directory that is not saved. */
  name: string | null;
  file: string | null;
  workdir: string;
  allowedRoles: Decision<string[]>;
  defaultAgent: Decision<AgentSlug> | undefined;
  gitPull: Decision<boolean>;
  keepAwake: Decision<boolean>;
  lastRole: Decision<string> | undefined;
}

/** Everything the configuration decides for one launch. Every leaf tells who decided it. */
export interface ResolvedConfig {
  /** Files of an older version that were read: a launch brings them to the newest. */
  outdated: { file: string; from: string }[];
  workspace: WorkspaceDecision;
  mounts: MountEntry[];
  auth: Record<AgentSlug, AuthDecision>;
  github: GithubDecision;
  git: { coauthorTrailer: Decision<boolean>; dco: Decision<boolean> };
  env: EnvEntry[];
  /** The layers that were asked for variables, in the order in which they win. */
  envLayers: Origin[];
  agentVersions: Record<AgentSlug, Decision<string> | undefined>;
  /** Where the configuration says that the role comes from. */
  role: { git: Decision<string> | undefined; trusted: Decision<boolean> };
}

export interface ResolveInput {
  role: string;
  /** Name of a saved workspace, or null with `directory` set. */
  workspace: string | null;
  /** Absolute directory of an ad-hoc launch. */
  directory: string | null;
  mounts: { source: string; target: string; readonly: boolean }[];
  /** Login of jackin's own that the command line names, for Kimi. */
  login?: string | undefined;
  /** Operator's home, for `~`. */
  home: string;
}

const resolveWorkspace = (files: ConfigFiles, input: ResolveInput): WorkspaceDecision => {
  const layers = [workspaceLayer(files)];
  return {
    kind: files.workspace === undefined ? 'directory' : 'saved',
    name: input.workspace,
    file: files.workspace?.document.file ?? null,
    workdir: files.workspace?.value.workdir ?? input.directory!,
    allowedRoles: decideOr<string[]>(layers, ['allowed_roles'], []),
    defaultAgent: decide<AgentSlug>(layers, ['default_agent']),
    gitPull: decideOr(layers, ['git_pull_on_entry'], false),
    keepAwake: decideOr(layers, ['keep_awake', 'enabled'], false),
    lastRole: decide<string>(layers, ['last_role']),
  };
};

const forEachAgent = <T>(answer: (slug: AgentSlug) => T): Record<AgentSlug, T> =>
  Object.fromEntries(AGENT_SLUGS.map((slug) => [slug, answer(slug)])) as Record<AgentSlug, T>;

/** Pure: what the files and the command line decide for one launch, each answer with its origin. */
export const resolveConfig = (files: ConfigFiles, input: ResolveInput): ResolvedConfig => {
  const { role, home } = input;
  const global = [globalLayer(files)];
  const layers = envLayers(files, role);
  return {
    outdated: [files.global, files.workspace].flatMap((file) => (file?.from === undefined ? [] : [{ file: file.document.file, from: file.from }])),
    workspace: resolveWorkspace(files, input),
    mounts: resolveMounts(files, input),
    auth: forEachAgent((slug) => resolveAuth(files, role, slug, home, slug === 'kimi' ? input.login : undefined)),
    github: resolveGithub(files, role),
    git: { coauthorTrailer: decideOr(global, ['git', 'coauthor_trailer'], false), dco: decideOr(global, ['git', 'dco'], false) },
    env: resolveEnvTables(layers),
    envLayers: layers.map(({ layer, document }) => ({ layer, ...(document && { file: document.file }) })),
    agentVersions: forEachAgent((slug) => decide<string>(global, ['agents', slug, 'version'])),
    role: { git: decide<string>(global, ['roles', role, 'git']), trusted: decideOr(global, ['roles', role, 'trusted'], false) },
  };
};

/** The role of a load that names none: the workspace's default, else the one that was used last. */
export const resolveRole = (files: ConfigFiles): Decision<string> | undefined => {
  const layers = [workspaceLayer(files)];
  return decide<string>(layers, ['default_role']) ?? decide<string>(layers, ['last_role']);
};
