import { AGENT_SLUGS, type AgentSlug, type AuthMode } from '../agents/agents.ts';
import type { KeyPath, TomlDocument } from './document.ts';
import type { ConfigFiles } from './files.ts';
import { expandHome } from './paths.ts';
import type { EnvToml } from './schema.ts';

export type Layer = 'command line' | 'workspace × role' | 'workspace' | 'role' | 'global' | 'directory' | 'default';

/** Who decided a value. File and line are there when a file did. */
export interface Origin {
  layer: Layer;
  file?: string;
  line?: number;
}

/** A decided value, and the layers that were asked, nearest first, with what each said. */
export interface Decision<T> {
  value: T;
  origin: Origin;
  trace: { origin: Origin; key: string; value: T | undefined }[];
}

export interface AuthDecision {
  mode: Decision<AuthMode>;
  /** Undefined when no layer sets one: the agent's own directory. */
  sourceDir: Decision<string> | undefined;
}

/** Where the value of a variable comes from. A literal is held here and nowhere in the plan. */
export type EnvSource =
  | { kind: 'literal'; value: string }
  | { kind: 'host'; name: string }
  | { kind: 'op'; reference: string; account?: string };

export interface EnvEntry {
  name: string;
  source: EnvSource;
  origin: Origin;
}

export interface MountEntry {
  source: string;
  target: string;
  readonly: boolean;
  origin: Origin;
}

export interface WorkspaceDecision {
  kind: 'saved' | 'directory';
  /** Null for a directory that is not saved. */
  name: string | null;
  file: string | null;
  workdir: string;
  allowedRoles: string[];
  defaultAgent: Decision<AgentSlug> | undefined;
}

/** Everything the configuration decides for one launch. Every leaf tells who decided it. */
export interface ResolvedConfig {
  workspace: WorkspaceDecision;
  mounts: MountEntry[];
  auth: Record<AgentSlug, AuthDecision>;
  /** The winner for each name, and the names of the layers that were asked. */
  env: EnvEntry[];
  envLayers: Origin[];
  agentVersions: Partial<Record<AgentSlug, { version: string; origin: Origin }>>;
}

export interface ResolveInput {
  role: string;
  /** Name of a saved workspace, or null with `directory` set. */
  workspace: string | null;
  /** Absolute directory of an ad-hoc launch. */
  directory: string | null;
  mounts: { source: string; target: string; readonly: boolean }[];
  /** Operator's home, for `~`. */
  home: string;
}

const DEFAULT_ORIGIN: Origin = { layer: 'default' };

const originOf = (layer: Layer, document: TomlDocument, path: KeyPath): Origin => ({
  layer,
  file: document.file,
  line: document.locate(path).line,
});

interface LayerView {
  layer: Layer;
  document: TomlDocument | undefined;
  /** Where the agent blocks of this layer stand. */
  prefix: KeyPath;
}

const authLayers = (files: ConfigFiles, role: string): LayerView[] => [
  { layer: 'workspace × role', document: files.workspace?.document, prefix: ['roles', role] },
  { layer: 'workspace', document: files.workspace?.document, prefix: [] },
  { layer: 'global', document: files.global?.document, prefix: [] },
];

const lookUp = (value: unknown, path: KeyPath): unknown => {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string | number, unknown>)[key];
  }
  return current;
};

/** The nearest layer that says something decides; without any the fallback does. */
const decide = <T>(layers: LayerView[], key: KeyPath, fallback: T | undefined): Decision<T> | undefined => {
  const trace = layers.map(({ layer, document, prefix }) => {
    const path = [...prefix, ...key];
    const value = document === undefined ? undefined : (lookUp(document.value, path) as T | undefined);
    const origin = document === undefined || value === undefined ? { layer } : originOf(layer, document, path);
    return { origin, key: path.join('.'), value };
  });
  const winner = trace.find(({ value }) => value !== undefined);
  if (winner !== undefined) return { value: winner.value as T, origin: winner.origin, trace };
  return fallback === undefined ? undefined : { value: fallback, origin: DEFAULT_ORIGIN, trace };
};

export const resolveAuth = (files: ConfigFiles, role: string, agent: AgentSlug, home: string): AuthDecision => {
  const layers = authLayers(files, role);
  const sourceDir = decide<string>(layers, [agent, 'sync_source_dir'], undefined);
  return {
    mode: decide<AuthMode>(layers, [agent, 'auth_forward'], 'sync')!,
    sourceDir: sourceDir && { ...sourceDir, value: expandHome(sourceDir.value, home) },
  };
};

const HOST_REFERENCE = /^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})$/;

const envSource = (value: EnvToml[string]): EnvSource => {
  if (typeof value !== 'string') return { kind: 'op', reference: value.op, ...(value.account && { account: value.account }) };
  if (value.startsWith('op://')) return { kind: 'op', reference: value };
  const reference = HOST_REFERENCE.exec(value);
  return reference === null ? { kind: 'literal', value } : { kind: 'host', name: (reference[1] ?? reference[2])! };
};

/** Operator variables: global, role, workspace, workspace × role; a later layer wins. */
const resolveEnv = (files: ConfigFiles, role: string): { env: EnvEntry[]; envLayers: Origin[] } => {
  const layers: LayerView[] = [
    { layer: 'global', document: files.global?.document, prefix: ['env'] },
    { layer: 'role', document: files.global?.document, prefix: ['roles', role, 'env'] },
    { layer: 'workspace', document: files.workspace?.document, prefix: ['env'] },
    { layer: 'workspace × role', document: files.workspace?.document, prefix: ['roles', role, 'env'] },
  ];
  const env = new Map<string, EnvEntry>();
  for (const { layer, document, prefix } of layers) {
    if (document === undefined) continue;
    for (const [name, value] of Object.entries((lookUp(document.value, prefix) ?? {}) as EnvToml)) {
      env.set(name, { name, source: envSource(value), origin: originOf(layer, document, [...prefix, name]) });
    }
  }
  return {
    env: [...env.values()].sort((a, b) => a.name.localeCompare(b.name)),
    envLayers: layers.map(({ layer, document }) => ({ layer, ...(document && { file: document.file }) })),
  };
};

const resolveWorkspace = (files: ConfigFiles, input: ResolveInput): WorkspaceDecision => {
  if (files.workspace === undefined) {
    const directory = input.directory!;
    return { kind: 'directory', name: null, file: null, workdir: directory, allowedRoles: [], defaultAgent: undefined };
  }
  const { document, value } = files.workspace;
  const workspaceLayer: LayerView = { layer: 'workspace', document, prefix: [] };
  return {
    kind: 'saved',
    name: input.workspace,
    file: document.file,
    workdir: value.workdir,
    allowedRoles: value.allowed_roles ?? [],
    defaultAgent: decide<AgentSlug>([workspaceLayer], ['default_agent'], undefined),
  };
};

const resolveMounts = (files: ConfigFiles, input: ResolveInput): MountEntry[] => {
  const mounts: MountEntry[] = [];
  if (files.workspace !== undefined) {
    const { document, value } = files.workspace;
    value.mounts.forEach(({ src, dst, readonly }, index) => {
      const origin = originOf('workspace', document, ['mounts', index, 'src']);
      mounts.push({ source: expandHome(src, input.home), target: dst, readonly: readonly ?? false, origin });
    });
  } else {
    const directory = input.directory!;
    mounts.push({ source: directory, target: directory, readonly: false, origin: { layer: 'directory' } });
  }
  return [...mounts, ...input.mounts.map((mount) => ({ ...mount, origin: { layer: 'command line' as const } }))];
};

/** Pure: what the files and the command line decide for one launch, each answer with its origin. */
export const resolveConfig = (files: ConfigFiles, input: ResolveInput): ResolvedConfig => {
  const auth = Object.fromEntries(
    AGENT_SLUGS.map((slug) => [slug, resolveAuth(files, input.role, slug, input.home)]),
  ) as Record<AgentSlug, AuthDecision>;
  const agentVersions: ResolvedConfig['agentVersions'] = {};
  for (const slug of AGENT_SLUGS) {
    const version = files.global?.value.agents?.[slug]?.version;
    if (version === undefined) continue;
    agentVersions[slug] = { version, origin: originOf('global', files.global!.document, ['agents', slug, 'version']) };
  }
  return {
    workspace: resolveWorkspace(files, input),
    mounts: resolveMounts(files, input),
    auth,
    ...resolveEnv(files, input.role),
    agentVersions,
  };
};

/** `workspace × role (workspaces/app.toml:12)`, or just the layer. */
export const describeOrigin = ({ layer, file, line }: Origin): string => {
  if (file === undefined) return layer;
  return `${layer} (${file}${line === undefined ? '' : `:${line}`})`;
};
