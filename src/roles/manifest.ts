import type { AgentSlug } from '../agents/agents.ts';
import { isProblem, parseDocument, type TomlDocument } from '../config/document.ts';
import { originOf } from '../config/layers.ts';
import { configError, type Problem, problemLines } from '../config/problems.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { validateDocument } from '../config/validate.ts';
import { HOOK_NAMES, type RoleHook } from '../plan/hooks.ts';
import { envNotes, envProblems, tooManyVariables } from './manifest-env.ts';
import { agentNotes, agentProblems, loginProblems, newerProblems, ownAgents, pluginProblems, versionProblem, withoutLogins } from './manifest-rules.ts';
import { ManifestSchema, type ManifestToml } from './manifest-schema.ts';

/** A file that the manifest names, and how to say what is wrong with it at its place. */
export interface NamedFile {
  /** Path below the role’s folder. */
  file: string;
  problem: (message: string) => Problem;
}

export interface Manifest {
  name: string | undefined;
  dockerfile: string;
  publishedImage: string | undefined;
  agents: AgentSlug[];
  models: Partial<Record<AgentSlug, string>>;
  /** Its variables; the operator's go before them. */
  env: EnvEntry[];
  /** In the order in which they run. */
  hooks: RoleHook[];
  /** Its Dockerfile and its hooks. */
  files: NamedFile[];
  /** What a person should know about it, each with its place. */
  notes: string[];
}

/** What the manifest says, unless something is wrong with it. */
export interface CheckedManifest {
  manifest: Manifest | undefined;
  problems: Problem[];
}

/** In the order of the text, each place and sentence once. */
const arranged = (problems: Problem[]): Problem[] => {
  const unique = [...new Map(problems.map((problem) => [JSON.stringify([problem.line, problem.column, problem.message]), problem])).values()];
  return unique.sort((a, b) => a.line - b.line || a.column - b.column);
};

const withoutEnv = (document: TomlDocument): TomlDocument => {
  const { env: _env, ...value } = document.value;
  return { ...document, value };
};

const rulesOf = (document: TomlDocument): Problem[] => [...newerProblems(document), ...loginProblems(document), ...agentProblems(document), ...pluginProblems(document)];

const envSource = ({ default: proposed, interactive = false, skippable = false, prompt, options, depends_on: dependsOn = [] }: NonNullable<ManifestToml['env']>[string]): EnvEntry['source'] =>
  !interactive && dependsOn.length === 0
    ? { kind: 'literal', value: proposed! }
    : { kind: 'prompt', question: { interactive, skippable, prompt, options, proposed, dependsOn: dependsOn.map((one) => one.slice('env.'.length)) } };

const filesOf = (document: TomlDocument, { dockerfile, hooks = {} }: ManifestToml): NamedFile[] => [
  { file: dockerfile, problem: (message) => document.problem(['dockerfile'], `dockerfile: ${message}`) },
  ...HOOK_NAMES.flatMap((name): NamedFile[] => {
    const file = hooks[name];
    return file === undefined ? [] : [{ file, problem: (message) => document.problem(['hooks', name], `hooks.${name}: ${message}`) }];
  }),
];

const notesOf = (document: TomlDocument): string[] =>
  problemLines(arranged([...agentNotes(document), ...envNotes(document)]), ({ file, line, message }) => `${file}:${line}: ${message}`);

const read = (document: TomlDocument, value: ManifestToml): Manifest => {
  const agents = ownAgents(document) as AgentSlug[];
  const models: Manifest['models'] = {};
  for (const slug of agents) {
    const { model }: { model?: string | undefined } = value[slug] ?? {};
    if (model !== undefined) models[slug] = model;
  }
  const env = Object.entries(value.env ?? {}).map(([name, variable]): EnvEntry => {
    const origin = originOf('role manifest', document, ['env', name, 'default']);
    return { name, source: envSource(variable), origin, beaten: [] };
  });
  const hooks = HOOK_NAMES.flatMap((name): RoleHook[] => {
    const file = value.hooks?.[name];
    return file === undefined ? [] : [{ name, file }];
  });
  const files = filesOf(document, value);
  return { name: value.identity?.name, dockerfile: value.dockerfile, publishedImage: value.published_image, agents, models, env, hooks, files, notes: notesOf(document) };
};

/** Everything that is wrong with a `jackin.role.toml`, or what it says. */
export const checkManifest = (file: string, text: string): CheckedManifest => {
  const document = parseDocument(file, text);
  if (isProblem(document)) return { manifest: undefined, problems: [document] };
  const version = versionProblem(document);
  if (version !== undefined) return { manifest: undefined, problems: [version] };
  const tooMany = tooManyVariables(document);
  const result = validateDocument(ManifestSchema, withoutLogins(tooMany === undefined ? document : withoutEnv(document)));
  const ofEnv = tooMany === undefined ? envProblems(document) : [tooMany];
  const problems = arranged([...rulesOf(document), ...ofEnv, ...(result.ok ? [] : result.problems)]);
  return { manifest: result.ok && problems.length === 0 ? read(document, result.value) : undefined, problems };
};

/** As {@link checkManifest}; problems are thrown as those of the configuration are, as `config.invalid`. */
export const parseManifest = (file: string, text: string): Manifest => {
  const { manifest, problems } = checkManifest(file, text);
  if (manifest === undefined) throw configError(problems);
  return manifest;
};
