import * as z from 'zod';
import { isContainerPath, isOneLine, isRoleKey, touches, withoutTrailingSlash } from './values.ts';
import { AGENTS, AGENT_SLUGS, type AgentSlug } from '../agents/agents.ts';
import { agentBlocks, hostPath, RELATIVE } from './agent-schema.ts';

/** The version that this jackin writes. Older ones have the same shape and are read as they are. */
export const CONFIG_VERSION = 'v1alpha6';
const READABLE_VERSIONS = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4', 'v1alpha5', CONFIG_VERSION];

const version = z
  .string()
  .refine((value) => READABLE_VERSIONS.includes(value), {
    error: ({ input }) =>
      `version ${JSON.stringify(input)} is not one that this jackin understands (the newest it knows is ${CONFIG_VERSION}): update jackin`,
  })
  .optional()
  .meta({ description: 'Schema version of this file. An older file is brought to the newest.', refused: 'versions newer than this jackin' });

/*
 * What a key says of itself stands beside it in `meta`: its description, its `default`
 * (or in words what happens `otherwise`), and what is `refused`. The JSON Schemas and
 * the reference pages are generated from it.
 */

/** Names that jackin sets itself in every container; an override would break what they promise. */
const RESERVED_ENV = new Set([
  'JACKIN',
  'DOCKER_HOST',
  'DOCKER_TLS_VERIFY',
  'DOCKER_CERT_PATH',
  'TESTCONTAINERS_HOST_OVERRIDE',
  'HOME',
  'NODE_OPTIONS',
  'LD_PRELOAD',
  'IS_SANDBOX',
]);

export const isReservedEnv = (name: string): boolean => RESERVED_ENV.has(name) || name.startsWith('JACKIN_');

const containerPath = z.string().refine(isContainerPath, {
  error: 'expected an absolute container path without "." or ".."',
});

const roleKey = z.string().refine(isRoleKey, {
  error: 'expected a role such as "agent-smith" or "namespace/name": lower-case letters, digits and dashes',
});

export const isVariableName = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name);

/** Name of a variable that others than jackin may set. */
export const envName = z.string().superRefine((name, context) => {
  if (!isVariableName(name)) {
    context.addIssue({ code: 'custom', message: 'not a name for an environment variable' });
  } else if (isReservedEnv(name)) {
    context.addIssue({ code: 'custom', message: `${name} is reserved: jackin sets it itself` });
  }
});

const opReference = z.strictObject({
  op: z.string().startsWith('op://').refine(isOneLine, { error: 'expected a reference without control characters' }).meta({ description: '1Password reference.', refused: 'anything that does not begin with `op://`' }),
  path: z.string().optional().describe('What the reference points at, for people.'),
  account: z.string().optional().meta({ description: '1Password account to read from.', otherwise: 'the one that `op` is signed in to' }),
});

const env = z
  .record(
    envName,
    z
      .union([z.string(), opReference], { error: 'expected a text or { op = "op://…" }' })
      .describe('One variable: "$NAME" and "${NAME}" as a whole mean the host’s, "op://…" is read from 1Password, anything else is itself.'),
  )
  .optional()
  .meta({
    description: 'Variables for the agent. Their values reach the agent process only.',
    refused: 'names that jackin sets itself (`JACKIN_…`, `DOCKER_HOST`, `HOME`, `LD_PRELOAD` and their like)',
  });

const githubBlock = z
  .strictObject({
    auth_forward: z
      .enum(['sync', 'token', 'ignore'])
      .optional()
      .meta({ description: 'sync: uses the login of the host’s gh; token: uses GH_TOKEN of [github.env]; ignore: forwards nothing.', default: 'sync' }),
    env,
  })
  .optional()
  .describe('How GitHub access reaches the container. It has no agent dimension: every agent shares it.');

const mountPlace = {
  src: hostPath.meta({ description: 'Host path.', refused: RELATIVE }),
  dst: containerPath.meta({ description: 'Container path.', refused: 'relative paths, `.` and `..`' }),
  readonly: z.boolean().optional().meta({ description: 'Whether the container may only read.', default: false }),
};

export const ISOLATIONS = ['shared', 'worktree', 'clone'] as const;

const mount = z.strictObject({
  ...mountPlace,
  isolation: z
    .enum(ISOLATIONS)
    .optional()
    .meta({
      description: 'shared: the container works on the very same files; worktree, clone: on a copy of the repository. Every save writes it out.',
      default: 'shared',
    }),
});

const globalMount = z.strictObject({
  ...mountPlace,
  isolation: z
    .never({ error: 'a global mount has no isolation: it belongs to the mounts of a workspace' })
    .optional()
    .meta({ description: 'Not for global mounts: it belongs to the mounts of a workspace.', refused: 'any value' }),
});

/** Names in a table of mounts, and scopes: a role, or every role of a namespace. */
const mountName = z.string().regex(/^[A-Za-z0-9_./*-]{1,128}$/, 'expected a name of letters, digits, "-", "_" and ".", or a scope such as "chainargos/*"');

const docker = z
  .strictObject({
    mounts: z
      .record(mountName, z.union([globalMount, z.record(mountName, globalMount)]))
      .optional()
      .meta({
        description: 'Mounts for every workspace, by name; below a scope such as "chainargos/*" only for the roles that it matches.',
        refused: 'an `isolation`',
      }),
  })
  .optional()
  .describe('What every container gets.');

const git = z
  .strictObject({
    coauthor_trailer: z.boolean().optional().meta({ description: 'Adds a Co-authored-by line for the agent to every commit.', default: false }),
    dco: z.boolean().optional().meta({ description: 'Adds a Signed-off-by line to every commit.', default: false }),
  })
  .optional()
  .describe('Trailers of commits that agents make.');

/** A git source that runs no program of its own and holds no login. */
const gitUrl = z
  .string()
  .regex(/^(https:\/\/[A-Za-z0-9[][^\s@]*|ssh:\/\/(git@)?[A-Za-z0-9[][^\s@]*|git@[A-Za-z0-9][\w.-]*:[\w./~-]+|\/\S+)$/, 'expected an https or ssh URL without a login in it, or an absolute path')
  .refine(isOneLine, { error: 'expected an address without control characters' });

const agentVersions = z
  .strictObject(
    Object.fromEntries(
      AGENT_SLUGS.map((slug) => [
        slug,
        z
          .strictObject({
            version: z
              .string()
              .regex(/^\d[\w.+-]{0,63}$/, 'expected an exact version such as 2.1.0')
              .optional()
              .meta({
                description: 'Exact version to install.',
                otherwise: 'the newest that is cached, else the newest there is',
                refused: 'ranges and tags such as `latest`',
              }),
          })
          .optional()
          .describe(`Version of ${AGENTS[slug].name}.`),
      ]),
    ) as Record<AgentSlug, z.ZodOptional<z.ZodObject<{ version: z.ZodOptional<z.ZodString> }, z.core.$strict>>>,
  )
  .optional()
  .describe('Versions of the agents. Without one: the newest that is cached, else the newest there is.');

export const ConfigSchema = z.strictObject({
  version,
  ...agentBlocks,
  github: githubBlock,
  git,
  env,
  docker,
  roles: z
    .record(
      roleKey,
      z.strictObject({
        git: gitUrl.optional().meta({
          description: 'Where the role comes from.',
          refused: 'URLs that run a program (`ext::`), that hold a login, `file://` and `git://`',
        }),
        trusted: z.boolean().optional().meta({ description: 'Whether its Dockerfile may be built and run.', default: false }),
        env,
      }),
    )
    .optional()
    .describe('Settings for one role in every workspace.'),
  agents: agentVersions,
});

export const WorkspaceSchema = z
  .strictObject({
    version,
    workdir: containerPath.meta({ description: 'Container path in which the agent starts.', refused: 'relative paths, and a place outside of every mount' }),
    mounts: z
      .array(mount)
      .min(1, 'at least one mount is needed: without one the container sees none of your files')
      .meta({ description: 'What the container sees of the host.', refused: 'an empty list, and two mounts on one destination' }),
    allowed_roles: z.array(roleKey).optional().meta({ description: 'Roles that may run here.', otherwise: 'any role' }),
    default_role: roleKey.optional().meta({
      description: 'Role for a load that names none.',
      otherwise: '`last_role`',
      refused: 'a role that `allowed_roles` does not list',
    }),
    default_agent: z
      .enum(AGENT_SLUGS as [AgentSlug, ...AgentSlug[]])
      .optional()
      .meta({ description: 'Agent for a load that names none.', otherwise: 'the only agent of the role' }),
    last_role: roleKey.optional().describe('Role that was used last; jackin writes it. For a load that names none where there is no default_role.'),
    git_pull_on_entry: z.boolean().optional().meta({
      description: 'Brings mounted git repositories up to date before the agent starts, each from the address that was agreed to: by `jackin workspace edit NAME --git-pull`, or when it is asked about. Left out when it is false.',
      default: false,
    }),
    keep_awake: z
      .strictObject({ enabled: z.boolean().optional().meta({ description: 'Whether to keep the host awake.', default: false }) })
      .optional()
      .describe('Keeps the host awake while an agent runs here: macOS only, without effect elsewhere.'),
    ...agentBlocks,
    github: githubBlock,
    env,
    roles: z
      .record(roleKey, z.strictObject({ ...agentBlocks, github: githubBlock, env }))
      .optional()
      .describe('Settings for one role in this workspace.'),
  })
  .superRefine((workspace, context) => {
    const seen = new Map<string, number>();
    workspace.mounts.forEach(({ dst }, index) => {
      const target = withoutTrailingSlash(dst);
      const first = seen.get(target);
      if (first === undefined) {
        seen.set(target, index);
        return;
      }
      const message = `two mounts on one destination: ${dst} is already the destination of mount ${first + 1}`;
      context.addIssue({ code: 'custom', path: ['mounts', index, 'dst'], message });
    });
    if (workspace.mounts.length > 0 && !workspace.mounts.some(({ dst }) => touches(workspace.workdir, dst))) {
      const message = 'workdir is outside every mount: the agent would start in an empty directory';
      context.addIssue({ code: 'custom', path: ['workdir'], message });
    }
    const { default_role: role, allowed_roles: allowed } = workspace;
    if (role !== undefined && allowed !== undefined && allowed.length > 0 && !allowed.includes(role)) {
      context.addIssue({ code: 'custom', path: ['default_role'], message: `default_role "${role}" is not in allowed_roles` });
    }
  });

export type ConfigToml = z.infer<typeof ConfigSchema>;
export type WorkspaceToml = z.infer<typeof WorkspaceSchema>;
export type EnvToml = NonNullable<z.infer<typeof env>>;
