import * as z from 'zod';
import { AGENT_SLUGS } from '../agents/agents.ts';

const agent = z.enum(AGENT_SLUGS as [string, ...string[]]);

const origin = z
  .strictObject({ layer: z.string(), file: z.string().optional(), line: z.int().optional() })
  .describe('Who decided: the layer, and the file and line where there is one.');

const mode = z.enum(['sync', 'api_key', 'oauth_token', 'ignore']);

const login = z.strictObject({
  dir: z.string().describe('Host directory that the login is read from.'),
  from: z.enum(['default', 'sync_source_dir']),
  generation: z.enum(['kimi-code', 'kimi']).nullable(),
  state: z.enum(['live', 'expired-refreshable', 'dead', 'absent', 'unknown']),
  account: z.string().nullable(),
  expires_at: z.string().nullable(),
  files: z.array(z.string()).describe('Files that are handed over.'),
  skipped: z.array(z.strictObject({ path: z.string(), why: z.string() })),
  why: z.string(),
});

const auth = z.strictObject({
  agent,
  mode,
  decided_by: origin,
  source_dir_decided_by: origin.nullable(),
  login: login.nullable(),
  delivery: z
    .enum(['handoff files', 'stdin of the capsule', 'nothing'])
    .describe('How the secret gets in: files below handoff/, or over the stdin of an exec and never on a disk.'),
  key: z.string().nullable().describe('Name of the variable that holds the key, when the mode needs one.'),
  provider: z
    .strictObject({ base_url: z.string(), model: z.string(), context_size: z.int() })
    .nullable()
    .describe('Endpoint that the key is for.'),
  forks_login: z.boolean().describe('A rotating login is copied: whoever refreshes second is logged out.'),
});

const mount = z.strictObject({
  source: z.string(),
  target: z.string(),
  readonly: z.boolean(),
  isolation: z.literal('shared'),
  why: z.string(),
});

export const PlanSchema = z
  .strictObject({
    schema_version: z.literal('v1'),
    workspace: z.strictObject({
      kind: z.enum(['saved', 'directory']),
      name: z.string().nullable(),
      file: z.string().nullable(),
      workdir: z.string(),
    }),
    role: z.strictObject({
      key: z.string(),
      name: z.string(),
      source: z.strictObject({ kind: z.enum(['built-in', 'folder']), path: z.string() }),
      content: z.string().describe('SHA-256 over the files of the role.'),
      agents: z.array(agent),
    }),
    agent: z.strictObject({
      slug: agent,
      decided_by: origin,
      version: z.string().nullable().describe('Pinned version; null: the newest that is cached, else the newest there is.'),
      model: z
        .strictObject({
          requested: z.string(),
          passed: z.string(),
          note: z.string().nullable(),
        })
        .nullable(),
    }),
    session: z.strictObject({
      kind: z.enum(['attached', 'detached', 'prompt']),
      io: z.enum(['pty', 'pipe']),
      argv: z.array(z.string()),
      approvals: z.string().describe('Which approvals the agent still asks for.'),
    }),
    auth: z.array(auth),
    env: z.array(
      z.strictObject({ name: z.string(), kind: z.enum(['literal', 'host', 'op']), decided_by: origin }).describe('Never a value.'),
    ),
    mounts: z.array(mount),
    image: z.strictObject({
      construct: z.string(),
      construct_is_override: z.boolean(),
      role: z.string().nullable().describe('Tag of the role’s image; null when it depends on what an overriding construct is on the engine.'),
      dockerfile: z.string(),
    }),
    volumes: z.array(z.strictObject({ holds: z.string(), target: z.string() })).describe('Engine volumes, mounted read-only.'),
    container: z.strictObject({
      name: z.string().describe('`<id>` stands for the instance id, which is drawn at launch.'),
      user: z.strictObject({ uid: z.int(), gid: z.int(), why: z.string() }),
      workdir: z.string(),
      env: z.array(z.string()).describe('Environment of the container itself. Never a secret.'),
      labels: z.record(z.string(), z.string()),
      networks: z.array(z.string()),
      tmpfs: z.record(z.string(), z.string()),
      init: z.boolean(),
      cap_drop: z.array(z.string()),
      no_new_privileges: z.boolean(),
      pids_limit: z.int(),
    }),
    git_pull: z.array(z.string()).describe('Host directories that are pulled before the container starts, where they are git repositories.'),
    host_effects: z.array(z.strictObject({ path: z.string(), what: z.string() })),
    consents: z.array(z.strictObject({ path: z.string(), why: z.string(), given: z.boolean() })).describe('What must be agreed to before anything happens.'),
    warnings: z.array(z.string()),
  })
  .describe('Everything that a launch will do. `load` executes exactly this.');

export type LaunchPlan = z.infer<typeof PlanSchema>;
export type PlannedAuth = z.infer<typeof auth>;
export type PlannedMount = z.infer<typeof mount>;

/** Stands in the plan for the instance id, so that two plans of the same launch are equal. */
export const ID_PLACEHOLDER = '<id>';
