import * as z from 'zod';
import { AGENT_SLUGS } from '../agents/agents.ts';
import { HOOK_NAMES } from './hooks.ts';

const agent = z.enum(AGENT_SLUGS as [string, ...string[]]);

const origin = z
  .strictObject({
    layer: z.string().describe('Where the value comes from: the command line, a layer of the configuration, the role, or the default.'),
    file: z.string().optional().describe('File that says it.'),
    line: z.int().optional().describe('Line of that file, counted from 1.'),
  })
  .describe('Who decided: the layer, and the file and line where there is one.');

const variable = z.strictObject({
  name: z.string().describe('Name of the variable.'),
  kind: z.enum(['literal', 'host', 'op', 'prompt']).describe('Whether the value is written down, stands in the host’s environment or in 1Password, or is what the role asks for or makes of other variables.'),
  decided_by: origin,
});

const mode = z.enum(['sync', 'api_key', 'oauth_token', 'ignore']);

const login = z.strictObject({
  dir: z.string().describe('Host directory that the login is read from.'),
  from: z.enum(['default', 'sync_source_dir', 'own login']).describe('Whether that is the agent’s own directory, a configured one, or that of a login of jackin’s own.'),
  generation: z.enum(['kimi-code', 'kimi']).nullable().describe('Which of the two forms of a Kimi home it is; null when it is neither.'),
  state: z
    .enum(['live', 'expired-refreshable', 'dead', 'absent', 'unknown'])
    .describe('What the login is worth. A dead one is never handed over; an unknown form is, as it is.'),
  account: z.string().nullable().describe('Whose login it is, where the files tell.'),
  expires_at: z.string().nullable().describe('Until when it gives access without a refresh, where the files tell (ISO 8601).'),
  files: z.array(z.string()).describe('Files that are handed over.'),
  skipped: z
    .array(z.strictObject({ path: z.string().describe('File, relative to the directory.'), why: z.string().describe('Why it is left out.') }))
    .describe('Files that are not handed over.'),
  why: z.string().describe('What is to say of the login, for people.'),
});

const auth = z.strictObject({
  agent: agent.describe('Agent that the login is for.'),
  mode: mode.describe('How the login is forwarded.'),
  decided_by: origin,
  source_dir: z.string().nullable().describe('Directory that the login is to be read from; null: the agent’s own.'),
  source_dir_decided_by: origin.nullable().describe('Who decided the source directory; null: nobody.'),
  pinned_account: z
    .strictObject({ account: z.string().describe('E-mail address or id.'), decided_by: origin })
    .nullable()
    .describe('The only account whose login is handed over; null: any.'),
  own_login: z
    .strictObject({ account: z.string().describe('Name it was given.'), decided_by: origin })
    .nullable()
    .describe('Login of jackin’s own that is used in the place of a copy; null: none.'),
  login: login.nullable().describe('The login as it is on the host; null where none is read.'),
  delivery: z
    .enum(['handoff files', 'lease', 'stdin of the capsule', 'nothing'])
    .describe('How the secret gets in: files below handoff/, or over the stdin of an exec and never on a disk. A lease is files without what could renew them.'),
  key: z.string().nullable().describe('Name of the variable that holds the key, when the mode needs one.'),
  provider: z
    .strictObject({
      base_url: z.string().describe('Address of the endpoint.'),
      model: z.string().describe('Model that is asked for.'),
      context_size: z.int().describe('Size of its context, in tokens.'),
    })
    .nullable()
    .describe('Endpoint that the key is for.'),
  forks_login: z.boolean().describe('A rotating login is copied: whoever refreshes second is logged out.'),
});

const github = z
  .strictObject({
    mode: z.enum(['sync', 'token', 'ignore']).describe('How access to GitHub is forwarded.'),
    decided_by: origin,
    login: z
      .strictObject({
        dir: z.string().describe('Directory of gh’s settings on the host.'),
        state: z
          .enum(['live', 'expired-refreshable', 'dead', 'absent', 'unknown'])
          .describe('What the login is worth; unknown: only gh itself can tell, and is asked at the launch.'),
        user: z.string().nullable().describe('Account, where the files tell.'),
        why: z.string().describe('What is to say of the login, for people.'),
      })
      .nullable()
      .describe('The login as it is on the host; null where none is read.'),
    delivery: z
      .enum(['hosts.yml', 'stdin of the capsule', 'nothing'])
      .describe('How the token gets in: a file in the instance’s .config/gh, or over the stdin of an exec and never on a disk.'),
    env: z.array(variable).describe('Variables of [github.env] that reach every session, without their values.'),
  })
  .describe('Access to GitHub, which every agent of the instance shares.');

const decidedSwitch = z.strictObject({ on: z.boolean().describe('Whether it is added.'), decided_by: origin });

const commits = z
  .strictObject({
    identity: z
      .strictObject({ name: z.string().nullable().describe('user.name of the operator.'), email: z.string().nullable().describe('user.email of the operator.') })
      .nullable()
      .describe('Who the operator is for git on the host; what a repository sets goes before it. Null: nobody is known.'),
    coauthor_trailer: decidedSwitch.describe('A Co-authored-by line for the agent of the session.'),
    dco: decidedSwitch.describe('A Signed-off-by line for whoever git knows in the container.'),
  })
  .describe('Who commits in the container, and what is added to the messages.');

const mount = z.strictObject({
  source: z.string().describe('Path on the host.'),
  target: z.string().describe('Path in the container.'),
  readonly: z.boolean().describe('Whether the container may only read.'),
  isolation: z.literal('shared').describe('The container works on the very same files.'),
  why: z.string().describe('Who asked for it, or what it is for.'),
});

const workspace = z
  .strictObject({
    kind: z.enum(['saved', 'directory']).describe('A saved workspace, or a directory that is not saved.'),
    name: z.string().nullable().describe('Name of the saved workspace.'),
    file: z.string().nullable().describe('File of the saved workspace.'),
    workdir: z.string().describe('Container path in which the agent starts.'),
  })
  .describe('What the agent works on.');

const role = z
  .strictObject({
    key: z.string().describe('Key of the role: name or namespace/name.'),
    name: z.string().describe('Its name for people.'),
    source: z
      .strictObject({
        kind: z.enum(['built-in', 'folder', 'git']).describe('Shipped with jackin, a folder on this machine, or a cached checkout of a git repository.'),
        path: z.string().describe('Folder that holds it.'),
        url: z.string().nullable().describe('Repository that it comes from.'),
        commit: z.string().nullable().describe('Commit of the repository.'),
        branch: z.string().nullable().describe('Branch that was asked for; null: the default one.'),
      })
      .describe('Where the role comes from.'),
    trust: z
      .strictObject({
        state: z.enum(['built-in', 'folder', 'trusted', 'needed']).describe('Why it may be built and run; needed: it may not yet.'),
        why: z.string().describe('The same for people.'),
      })
      .describe('Whether the operator has agreed to this commit of the role.'),
    content: z.string().describe('SHA-256 over the files of the role.'),
    agents: z.array(agent).describe('Agents that it supports: each of them is provided for.'),
    hooks: z
      .array(z.strictObject({ name: z.enum(HOOK_NAMES).describe('When it runs.'), file: z.string().describe('Path below the role’s folder.') }))
      .describe('What the role runs in the container before an agent starts, in this order.'),
    lock: z.string().nullable().describe('Its jackin.lock, where it is pinned.'),
  })
  .describe('The tool profile that the container is made of.');

const startedAgent = z
  .strictObject({
    slug: agent.describe('The agent that is started.'),
    decided_by: origin,
    version: z.string().nullable().describe('Pinned version; null: the newest that is cached, else the newest there is.'),
    packages: z
      .array(
        z.strictObject({
          name: z.string().describe('Package of the npm registry.'),
          version: z.string().describe('Its version.'),
          integrity: z.string().describe('Its digest.'),
        }),
      )
      .nullable()
      .describe('What it must be made of, by the role’s jackin.lock; null: nothing is pinned there.'),
    model: z
      .strictObject({
        requested: z.string().describe('Model that the role names.'),
        passed: z.string().describe('What the agent is given: an alias of its configuration where one answers to it.'),
        note: z.string().nullable().describe('What a person should know about it.'),
      })
      .nullable()
      .describe('Model of the role; null: the agent’s own default.'),
  })
  .describe('The agent, its version and its model.');

const session = z
  .strictObject({
    kind: z.enum(['attached', 'detached', 'prompt']).describe('In this terminal, in the background, or one prompt.'),
    io: z.enum(['pty', 'pipe']).describe('Whether the agent gets a terminal.'),
    argv: z.array(z.string()).describe('Program and arguments in the container.'),
    approvals: z.string().describe('Which approvals the agent still asks for.'),
  })
  .describe('How the agent is run.');

const container = z
  .strictObject({
    name: z.string().describe('`<id>` stands for the instance id, which is drawn at launch.'),
    user: z
      .strictObject({
        uid: z.int().describe('Unix user.'),
        gid: z.int().describe('Unix group.'),
        why: z.string().describe('Whose identity that is.'),
      })
      .describe('Who the agent runs as.'),
    workdir: z.string().describe('Directory in which it starts.'),
    env: z.array(z.string()).describe('Environment of the container itself. Never a secret.'),
    labels: z.record(z.string(), z.string()).describe('Labels by which jackin finds it again.'),
    networks: z.array(z.string()).describe('Networks that it joins; the first is its own.'),
    tmpfs: z.record(z.string(), z.string()).describe('File systems in memory: path and options.'),
    init: z.boolean().describe('Whether the engine’s init is process 1.'),
    cap_drop: z.array(z.string()).describe('Capabilities that are taken away.'),
    no_new_privileges: z.boolean().describe('Programs gain no privileges that the agent does not have.'),
    pids_limit: z.int().describe('How many processes there may be.'),
  })
  .describe('The container as the engine is asked for it.');

const volume = z.strictObject({
  holds: z.string().describe('What is in it.'),
  target: z.string().describe('Path in the container.'),
  if_cached: z
    .strictObject({ agent: agent.describe('Agent that is in it.'), version: z.string().nullable().describe('Pinned version; null: the newest that is cached.') })
    .nullable()
    .describe('Mounted only when the engine has it already: the agent is not the one that is started, and nothing is fetched for it.'),
});

const consent = z.strictObject({
  path: z.string().describe('Path that would be mounted.'),
  why: z.string().describe('What makes it sensitive.'),
  given: z.boolean().describe('Whether --allow-mount has agreed to it.'),
});

const pull = z
  .strictObject({
    directory: z.string().describe('Path on the host.'),
    target: z.string().describe('Path in the container, where new commits are brought into the working tree.'),
    state: z
      .enum(['agreed', 'new', 'changed', 'skipped'])
      .describe('agreed: it is pulled. new, changed: its address must be agreed to first. skipped: it cannot be pulled.'),
    why: z.string().describe('One clause for a person.'),
    from: z
      .strictObject({
        address: z.string().describe('Address of the remote, as the repository has it.'),
        remote: z.string().describe('Name of the remote.'),
        remote_branch: z.string().describe('Branch there.'),
        branch: z.string().describe('Branch that is checked out.'),
      })
      .nullable()
      .describe('Where new commits come from; null when it is skipped.'),
  })
  .describe('A mounted git repository.');

export const PlanSchema = z
  .strictObject({
    schema_version: z.literal('v1').describe('Version of this schema.'),
    workspace,
    role,
    agent: startedAgent,
    session,
    auth: z.array(auth).describe('How the login of each agent of the role gets in.'),
    github,
    commits,
    env: z
      .array(variable)
      .describe('Variables for the agent, without their values.'),
    mounts: z.array(mount).describe('What the container sees of the host.'),
    image: z
      .strictObject({
        construct: z.string().describe('Base image.'),
        construct_is_override: z.boolean().describe('Whether JACKIN_CONSTRUCT_IMAGE names it.'),
        role: z.string().nullable().describe('Tag of the role’s image; null when it depends on what an overriding construct is on the engine.'),
        dockerfile: z.string().describe('Dockerfile of the role.'),
        published: z
          .strictObject({ reference: z.string().describe('Name of the image.'), digest: z.string().describe('Digest that the manifest names.') })
          .nullable()
          .describe('Image that the role’s author has built, taken in place of what the Dockerfile would make; null: none.'),
        rebuild: z.boolean().describe('Whether it is built although it is there.'),
      })
      .describe('The image that the container is made from.'),
    volumes: z
      .array(volume)
      .describe('Engine volumes, mounted read-only.'),
    container,
    git_pull: z.array(z.string()).describe('Host directories that are pulled before the agent starts, where they are git repositories.'),
    pulls: z.array(pull).describe('The git repositories among them.'),
    last_role: z.string().nullable().describe('Role that is written into the workspace file as last_role; null when it stands there already, or has no name.'),
    host_effects: z
      .array(z.strictObject({ path: z.string().describe('Path on the host.'), what: z.string().describe('What is written there.') }))
      .describe('Everything that is written on the host.'),
    consents: z.array(consent).describe('What must be agreed to before anything happens.'),
    warnings: z.array(z.string()).describe('What a person should know beforehand.'),
  })
  .describe('Everything that a launch will do. `load` executes exactly this.');

export type LaunchPlan = z.infer<typeof PlanSchema>;
export type PlannedAuth = z.infer<typeof auth>;
export type PlannedGithub = z.infer<typeof github>;
export type PlannedMount = z.infer<typeof mount>;

/** Stands in the plan for the instance id, so that two plans of the same launch are equal. */
export const ID_PLACEHOLDER = '<id>';
