import { AGENT_SLUGS } from '../../../src/agents/agents.ts';
import type { LoginFacts } from '../../../src/agents/login-facts.ts';
import { isProblem, parseDocument } from '../../../src/config/document.ts';
import type { ConfigFiles } from '../../../src/config/files.ts';
import { resolveConfig } from '../../../src/config/resolve.ts';
import { ConfigSchema, WorkspaceSchema } from '../../../src/config/schema.ts';
import { buildPlan } from '../../../src/plan/build.ts';
import type { Facts, RoleFacts } from '../../../src/plan/facts.ts';
import { type LaunchPlan, PlanSchema } from '../../../src/plan/plan.ts';
import { AS_CACHED, type LoadRequest } from '../../../src/plan/request.ts';

export const LOGIN: LoginFacts = {
  agent: 'kimi',
  dir: '/home/op/.kimi-code',
  from: 'default',
  generation: 'kimi-code',
  state: 'live',
  refreshable: true,
  account: 'someone@example.test',
  expiresAt: '2026-11-21T12:15:00.000Z',
  files: [{ path: 'config.toml', size: 10 }],
  skipped: [],
  aliases: [{ alias: 'kimi-code/kimi-for-coding', model: 'kimi-for-coding' }],
  why: 'The login works.',
};

export const ROLE: RoleFacts = {
  key: 'agent-smith',
  name: 'Agent Smith',
  source: { kind: 'built-in', path: '/pkg/roles/agent-smith' },
  trust: { state: 'built-in', why: 'part of jackin' },
  notes: [],
  lock: null,
  published: null,
  contentHash: 'c0ffee',
  dockerfile: 'Dockerfile',
  manifestFile: '/pkg/roles/agent-smith/jackin.role.toml',
  agents: [...AGENT_SLUGS],
  models: {},
  env: [],
  hooks: [],
};

export interface World {
  global?: string;
  workspace?: string;
  request?: Partial<LoadRequest>;
  facts?: Partial<Facts>;
}

const parsed = (file: string, text: string) => {
  const document = parseDocument(file, text);
  if (isProblem(document)) throw new Error(document.message);
  return document;
};

const filesOf = ({ global, workspace }: World): ConfigFiles => {
  const globalDocument = global === undefined ? undefined : parsed('/c/config.toml', global);
  const workspaceDocument = workspace === undefined ? undefined : parsed('/c/workspaces/app.toml', workspace);
  return {
    global: globalDocument && { document: globalDocument, value: ConfigSchema.parse(globalDocument.value) },
    workspace: workspaceDocument && { document: workspaceDocument, value: WorkspaceSchema.parse(workspaceDocument.value) },
  };
};

/** The plan of a launch in a made-up world, checked against the plan's own schema. */
export const planOf = (world: World = {}): LaunchPlan => {
  const files = filesOf(world);
  const request: LoadRequest = {
    role: { kind: 'name', key: 'agent-smith' },
    target: { kind: 'directory', path: '/home/op/app' },
    agent: undefined,
    mounts: [],
    networks: [],
    session: { kind: 'attached' },
    agentArguments: [],
    allowedMounts: [],
    login: undefined,
    strictAuth: false,
    env: [],
    roleHandling: AS_CACHED,
    rebuild: false,
    locked: false,
    ...world.request,
  };
  const config = resolveConfig(files, {
    role: 'agent-smith',
    workspace: files.workspace === undefined ? null : 'app',
    directory: files.workspace === undefined ? '/home/op/app' : null,
    mounts: request.mounts,
    login: request.login,
    home: '/home/op',
  });
  const facts: Facts = {
    role: ROLE,
    logins: { kimi: LOGIN },
    hostEnv: {},
    mounts: config.mounts.map(({ source }) => ({ source, real: source, kind: 'directory' })),
    operator: { uid: 1000, gid: 1000 },
    workdir: { owner: { uid: 1000, gid: 1000 } },
    paths: { jackinHome: '/home/op/.jackin', configDir: '/home/op/.config/jackin', dataDir: '/home/op/.jackin/data', operatorHome: '/home/op' },
    image: { construct: 'jackin-local/construct:abc', constructIsOverride: false, role: 'jackin-local/role-agentsmith:def' },
    now: '2026-11-21T12:00:00.000Z',
    ...world.facts,
  };
  return PlanSchema.parse(buildPlan(request, config, facts));
};
