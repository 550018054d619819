import * as z from 'zod';
import { AGENT_SLUGS, AGENTS, type AgentSlug } from '../agents/agents.ts';
import { isProblem, parseDocument } from '../config/document.ts';
import { originOf } from '../config/layers.ts';
import { configError, type Problem } from '../config/problems.ts';
import type { EnvEntry } from '../config/resolve-env.ts';
import { envName } from '../config/schema.ts';
import { validateDocument } from '../config/validate.ts';
import { HOOK_NAMES, type RoleHook } from '../plan/hooks.ts';

const MANIFEST_VERSIONS = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4', 'v1alpha5', 'v1alpha6'];

const insideRole = z.string().refine((value) => value !== '' && !value.startsWith('/') && !value.split('/').includes('..') && !value.includes('\0'), {
  error: 'expected a relative path inside the role',
});

/**
 * A hook is copied into the image by an instruction of a Dockerfile, where blanks,
 * patterns and variables would mean something; and git's own files are no part of it.
 */
const hook = insideRole
  .refine((value) => /^[\w.@+/-]*$/.test(value) && !value.startsWith('-'), { error: 'expected a path of letters, digits and . _ - + @ /' })
  .refine((value) => !value.split('/').includes('.git'), { error: 'expected a file of the role, not one of git' });

/** A model goes to the agent as one argument: it may not look like a flag. */
const model = z.string().regex(/^[^-\s]\S{0,199}$/, 'expected a model name or alias');
const agentTable = z
  .strictObject({ model: model.optional().meta({ description: 'Model that the agent is started with.', otherwise: 'the agent’s own', refused: 'what looks like a flag' }) })
  .optional()
  .describe('The role supports this agent.');

/** Said of every hook. */
const HOOKS_REFUSED = 'absolute paths, `..`, links, and what is no file of the role or empty';

/** A role never says how somebody is logged in: keys are the operator's. */
const KEYS = new Set(['GH_TOKEN', 'GITHUB_TOKEN', ...Object.values(AGENTS).flatMap(({ keys }) => Object.values(keys))]);

const variableName = envName.refine((name) => !KEYS.has(name), { error: 'a role cannot set a key: keys come from the operator' });

const variable = z.strictObject({
  default: z.string().meta({ description: 'Value, where no layer of the operator’s sets the variable. It is taken as it stands.' }),
});

/** What a role says of itself. A role can never say how logins are forwarded. */
export const ManifestSchema = z
  .strictObject({
    version: z.enum(MANIFEST_VERSIONS as [string, ...string[]]).describe('Schema version of this file.'),
    dockerfile: insideRole.meta({ description: 'Dockerfile of the role.', refused: 'absolute paths, `..`, links' }),
    identity: z
      .strictObject({ name: z.string().max(80).optional().meta({ description: 'Name for people.', otherwise: 'the key of the role', refused: 'more than 80 characters' }) })
      .optional()
      .describe('How the role presents itself.'),
    agents: z
      .array(z.enum(AGENT_SLUGS as [AgentSlug, ...AgentSlug[]]))
      .min(1)
      .optional()
      .meta({ description: 'Agents that the role supports.', otherwise: 'Claude alone', refused: 'an agent without its table' }),
    env: z
      .record(variableName, variable)
      .optional()
      .meta({ description: 'Variables that the role needs.', refused: 'names that jackin sets itself, and those of keys' }),
    hooks: z
      .strictObject({
        setup_once: hook.optional().meta({ description: 'Program that runs once in every instance, and again until it succeeds.', refused: HOOKS_REFUSED }),
        source: hook.optional().meta({ description: 'Shell script that is sourced before every session of an agent: what it exports reaches the agent.', refused: HOOKS_REFUSED }),
        preflight: hook.optional().meta({ description: 'Program that runs last before every session of an agent.', refused: HOOKS_REFUSED }),
      })
      .optional()
      .describe('What runs in the container before an agent starts, in this order. A hook that fails stops the launch.'),
    ...(Object.fromEntries(AGENT_SLUGS.map((slug) => [slug, agentTable])) as Record<AgentSlug, typeof agentTable>),
  })
  .superRefine((manifest, context) => {
    for (const slug of manifest.agents ?? ['claude']) {
      if (manifest[slug as AgentSlug] === undefined) {
        context.addIssue({ code: 'custom', path: ['agents'], message: `the agent ${slug} needs its table: add [${slug}]` });
      }
    }
  });

/** A hook, and how to say what is wrong with it at its place. */
export interface ManifestHook extends RoleHook {
  problem: (message: string) => Problem;
}

export interface Manifest {
  name: string | undefined;
  dockerfile: string;
  agents: AgentSlug[];
  models: Partial<Record<AgentSlug, string>>;
  /** Its variables; the operator's go before them. */
  env: EnvEntry[];
  /** In the order in which they run. */
  hooks: ManifestHook[];
}

/** Parses and checks a `jackin.role.toml`. Problems are told as those of the configuration are. */
export const parseManifest = (file: string, text: string): Manifest => {
  const document = parseDocument(file, text);
  if (isProblem(document)) throw configError([document]);
  const result = validateDocument(ManifestSchema, document);
  if (!result.ok) throw configError(result.problems);
  const { value } = result;
  // Without a list, a role is for Claude alone: the rule of the first manifests.
  const agents = value.agents ?? ['claude'];
  const models: Manifest['models'] = {};
  for (const slug of agents) {
    const wanted = value[slug]?.model;
    if (wanted !== undefined) models[slug] = wanted;
  }
  const env = Object.entries(value.env ?? {}).map(([name, { default: literal }]): EnvEntry => {
    const origin = originOf('role manifest', document, ['env', name, 'default']);
    return { name, source: { kind: 'literal', value: literal }, origin, beaten: [] };
  });
  const hooks = HOOK_NAMES.flatMap((name): ManifestHook[] => {
    const wanted = value.hooks?.[name];
    return wanted === undefined ? [] : [{ name, file: wanted, problem: (message) => document.problem(['hooks', name], message) }];
  });
  return { name: value.identity?.name, dockerfile: value.dockerfile, agents, models, env, hooks };
};
