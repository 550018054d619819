import * as z from 'zod';
import { AGENT_SLUGS, AGENTS } from '../agents/agents.ts';
import { envName } from '../config/schema.ts';
import { isOneLine } from '../config/values.ts';

/** Oldest first; the last one is what this jackin writes. */
export const MANIFEST_VERSIONS = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4', 'v1alpha5', 'v1alpha6'] as const;

/** Agents that the format knows, and not this jackin. */
export const FOREIGN_AGENTS = ['grok'] as const;

/** Their checks, their questions and their answers are bounded. */
export const MAX_VARIABLES = 500;

const relative = z.string().refine((value) => value !== '' && !value.startsWith('/') && !value.split('/').includes('..') && !value.includes('\0'), {
  error: 'expected a relative path inside the role',
});

/** Git's own files are no part of a role: they differ from one checkout to the next. */
const insideRole = relative.refine((value) => !value.split('/').includes('.git'), { error: 'expected a file of the role, not one of git' });

/**
 * A hook is copied into the image by an instruction of a Dockerfile, where blanks,
 * patterns and variables would mean something.
 */
const hook = insideRole.refine((value) => /^[\w.@+/-]*$/.test(value) && !value.startsWith('-'), { error: 'expected a path of letters, digits and . _ - + @ /' });

/** `[host[:port]/]path[:tag][@digest]`: what an engine can be asked for. */
const IMAGE = /^(?=.{1,400}$)(?:[A-Za-z0-9.-]+(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;

/** A model goes to the agent as one argument: it may not look like a flag. */
const model = z
  .string()
  .regex(/^[^-\s]\S{0,199}$/, 'expected a model name or alias')
  .refine(isOneLine, { error: 'expected a model name without control characters' })
  .optional()
  .meta({ description: 'Model that the agent is started with.', otherwise: 'the agent’s own', refused: 'what looks like a flag' });

const NO_EFFECT = 'Without effect in this version.';

const providers = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'expected a provider’s name: lower-case letters, digits, "-" and "_"'),
    z.strictObject({ model: model.meta({ description: 'Model that is asked for at this provider.' }) }),
  )
  .optional()
  .meta({ description: `Other endpoints that the agent may be used with. ${NO_EFFECT}`, refused: 'in manifests before v1alpha5' });

const claude = z
  .strictObject({
    model,
    plugins: z
      .array(z.string().regex(/^[\w.-]{1,100}@[\w.-]{1,100}$/, 'expected plugin@marketplace'))
      .optional()
      .meta({ description: `Plugins of Claude, as \`plugin@marketplace\`. ${NO_EFFECT}`, refused: 'a marketplace that is not listed' }),
    marketplaces: z
      .array(
        z.strictObject({
          source: z.string().min(1, 'expected a repository').max(400, 'expected a repository').describe('Repository of the marketplace.'),
          sparse: z.array(relative).optional().meta({ description: 'Paths of it that are fetched.', otherwise: 'all' }),
        }),
      )
      .optional()
      .describe(`Where plugins of Claude come from. ${NO_EFFECT}`),
    providers,
  })
  .optional();

const SUPPORTED = 'The role supports this agent.';

/** Said of every hook. */
const HOOKS_REFUSED = 'absolute paths, `..`, links, and what is no file of the role or empty';

/** A role never says how somebody is logged in: keys are the operator's. */
const KEYS = new Set(['GH_TOKEN', 'GITHUB_TOKEN', ...Object.values(AGENTS).flatMap(({ keys }) => Object.values(keys))]);

/** Where an agent sends the operator's key is the operator's as well. */
const ENDPOINT = /^(KIMI|MOONSHOT|ANTHROPIC|CLAUDE|OPENAI|CODEX|AMP|OPENCODE)_(\w+_)?(BASE_URL|URL|HOST|ENDPOINT)$|^(HTTPS?|ALL)_PROXY$/i;

/** What starts a program in front of a shell or of git. */
const IN_FRONT = /^(BASH_ENV|ENV|LD_\w+|NODE_EXTRA_\w+|GIT_SSH(_COMMAND)?|GIT_CONFIG\w*|GIT_EXEC_PATH|GIT_ASKPASS|GIT_EDITOR|GIT_PAGER)$/;

const variableName = envName
  .refine((name) => !KEYS.has(name), { error: 'a role cannot set a key: keys come from the operator' })
  .refine((name) => !ENDPOINT.test(name), { error: 'a role cannot say where an agent sends the operator’s key: set it in your own [env]' })
  .refine((name) => !IN_FRONT.test(name), { error: 'a role cannot put a program in front of a shell or of git: set it in your own [env], or use a hook' });

const text = z.string().refine((value) => !value.includes('\0'), { error: 'expected a text without NUL characters, which no variable can hold' });

const variable = z.strictObject({
  default: text.optional().meta({
    description: 'Value, where no layer of the operator’s sets the variable; of a question the answer that is proposed. `${env.NAME}` stands for another variable.',
    refused: 'to be missing, unless the variable is asked for',
  }),
  interactive: z.boolean().optional().meta({ description: 'Whether the operator is asked for the value.', default: false }),
  skippable: z.boolean().optional().meta({ description: 'Whether the question may be left without an answer.', default: false }),
  prompt: z.string().max(400, 'expected at most 400 characters').optional().meta({ description: 'The question. `${env.NAME}` stands for another variable.', otherwise: 'the variable’s name' }),
  options: z.array(text.min(1, 'expected an answer, not an empty text')).min(1, 'expected at least one answer').optional().meta({ description: 'The only answers that there are.', refused: 'without a question; `${env.NAME}`' }),
  depends_on: z
    .array(z.string().regex(/^env\.[A-Za-z_][A-Za-z0-9_]*$/, 'expected env.NAME'))
    .optional()
    .meta({ description: 'Variables, as `env.NAME`, that come before this one. When one of them is skipped, so is this one.', refused: 'the variable itself, one that the manifest does not have, a circle' }),
});

const hosts = z.array(z.string().regex(/^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(:\d{1,5})?$/, 'expected the name of a host'));

/** What a role says of itself. A role can never say how logins are forwarded. */
export const ManifestSchema = z.strictObject({
  version: z.enum(MANIFEST_VERSIONS).describe('Schema version of this file.'),
  dockerfile: insideRole.meta({ description: 'Dockerfile of the role.', refused: 'absolute paths, `..`, links' }),
  published_image: z.string().regex(IMAGE, 'expected the name of an image').optional().meta({ description: 'Image that the role’s author has built of it.', refused: 'what is no name of an image' }),
  identity: z
    .strictObject({ name: z.string().max(80, 'expected at most 80 characters').regex(/^[^\p{Cc}\p{Cf}]*$/u, 'expected one line without control characters').optional().meta({ description: 'Name for people.', otherwise: 'the key of the role', refused: 'more than 80 characters' }) })
    .optional()
    .describe('How the role presents itself.'),
  agents: z
    .array(z.enum([...AGENT_SLUGS, ...FOREIGN_AGENTS]))
    .min(1, 'expected at least one agent')
    .optional()
    .meta({ description: 'Agents that the role supports.', otherwise: 'Claude alone', refused: 'an agent without its table' }),
  env: z.record(variableName, variable).optional().meta({ description: 'Variables that the role needs.', refused: `names that jackin sets itself, those of keys, of the addresses that these are sent to, and what starts a program in front of a shell or of git; more than ${MAX_VARIABLES}` }),
  hooks: z
    .strictObject({
      setup_once: hook.optional().meta({ description: 'Program that runs once in every instance, and again until it succeeds.', refused: HOOKS_REFUSED }),
      source: hook.optional().meta({ description: 'Shell script that is sourced before every session of an agent: what it exports reaches the agent.', refused: HOOKS_REFUSED }),
      preflight: hook.optional().meta({ description: 'Program that runs last before every session of an agent.', refused: HOOKS_REFUSED }),
    })
    .optional()
    .describe('What runs in the container before an agent starts, in this order. A hook that fails stops the launch.'),
  docker: z
    .strictObject({
      min_profile: z.enum(['locked', 'hardened', 'standard', 'compat']).optional().describe(`The strictest profile that the role can work in. ${NO_EFFECT}`),
      dind: z.enum(['none', 'rootless', 'privileged']).optional().describe(`Docker inside of the container. ${NO_EFFECT}`),
      allowed_hosts: hosts.optional().describe(`Hosts that the role has to reach. ${NO_EFFECT}`),
      capabilities_add: z.array(z.string().regex(/^[A-Z][A-Z0-9_]{1,39}$/, 'expected a capability such as NET_ADMIN')).optional().describe(`Capabilities that the role needs. ${NO_EFFECT}`),
    })
    .optional()
    .meta({ description: `What the role asks of the container. ${NO_EFFECT}`, refused: 'in manifests before v1alpha6' }),
  claude: claude.describe(SUPPORTED),
  codex: z.strictObject({ model, providers }).optional().describe(SUPPORTED),
  amp: z.strictObject({}).optional().describe(SUPPORTED),
  kimi: z.strictObject({ model }).optional().meta({ description: SUPPORTED, refused: 'in manifests before v1alpha4' }),
  opencode: z.strictObject({ model, providers }).optional().meta({ description: SUPPORTED, refused: 'in manifests before v1alpha3' }),
  grok: z.strictObject({ model }).optional().describe(`An agent that this version of jackin does not have. ${NO_EFFECT}`),
});

export type ManifestToml = z.infer<typeof ManifestSchema>;
