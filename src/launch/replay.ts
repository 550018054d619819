import type { AgentSlug } from '../agents/agents.ts';
import type { InstanceRecord, MadeFor } from '../instances/record.ts';
import { AS_CACHED, type LoadRequest, type SessionMode } from '../plan/request.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import { JackinError } from '../shared/errors.ts';
import type { PlannedLaunch } from './load.ts';

/** A branch was agreed to at this commit, and at no other. */
const branchOf = ({ branch, commit }: LaunchPlan['role']['source']) => (branch === null || commit === null ? {} : { branch, commit });

/** What of a launch is written down, so that its instance can be started again. */
export const madeFor = ({ plan: { role, workspace, consents }, request }: PlannedLaunch): MadeFor => ({
  role: role.source.kind === 'folder' ? { kind: 'folder', path: role.source.path } : { kind: 'name', key: role.key, ...branchOf(role.source) },
  // Where the operator stood decided which workspace it was; next time it may be another place.
  target: workspace.name === null ? { kind: 'directory', path: workspace.workdir } : { kind: 'workspace', name: workspace.name },
  mounts: request.mounts,
  networks: request.networks,
  agent_arguments: request.agentArguments,
  allowed_mounts: consents.map(({ path }) => path),
  ...(request.login !== undefined && { login: request.login }),
});

export interface Again {
  /** Undefined: decided as for a load. */
  agent: AgentSlug | undefined;
  session: SessionMode;
  /** Undefined: those that it was made with. */
  agentArguments: string[] | undefined;
}

/** The request that made an instance, for one more session of it. */
export const replayRequest = (record: InstanceRecord, { agent, session, agentArguments }: Again): LoadRequest => {
  const { instance_id: id, made_for: made } = record;
  if (made === undefined) {
    throw new JackinError('conflict', `instance ${id} was made by an older version of jackin, which did not write down what for`, {
      hint: `start anew with \`jackin load ${record.role_key}\`; \`jackin eject ${id}\` removes what is left of this one, its state stays`,
    });
  }
  return {
    role: made.role,
    roleHandling: { ...AS_CACHED, trust: made.role.kind === 'name' ? made.role.commit : undefined },
    rebuild: false,
    locked: false,
    target: made.target,
    agent,
    mounts: made.mounts,
    networks: made.networks,
    session,
    agentArguments: agentArguments ?? made.agent_arguments,
    allowedMounts: made.allowed_mounts,
    login: made.login,
    strictAuth: false,
    // They may be secrets, so they were not written down.
    env: [],
  };
};
