import { AGENTS, type AgentSlug } from '../agents/agents.ts';
import type { Decision } from '../config/layers.ts';
import { JackinError } from '../shared/errors.ts';
import type { RoleFacts } from './facts.ts';
import type { LaunchPlan } from './plan.ts';
import type { LoadRequest } from './request.ts';

const startable = (slug: AgentSlug): boolean => AGENTS[slug].runtime !== undefined;

/** Which agent runs: the command line, the workspace, or the only one that there is a choice of. */
export const chooseAgent = (
  named: AgentSlug | undefined,
  workspaceDefault: Decision<AgentSlug> | undefined,
  role: RoleFacts,
): Pick<LaunchPlan['agent'], 'decided_by'> & { slug: AgentSlug } => {
  const candidates = role.agents.filter(startable);
  const wanted =
    named === undefined
      ? workspaceDefault && { slug: workspaceDefault.value, decided_by: workspaceDefault.origin }
      : { slug: named, decided_by: { layer: 'command line' } };
  if (wanted === undefined) {
    if (candidates.length === 1) return { slug: candidates[0]!, decided_by: { layer: 'role', file: role.manifestFile } };
    const listed = candidates.length === 0 ? role.agents : candidates;
    throw new JackinError('usage', `role ${role.key} has ${candidates.length === 0 ? 'no agent that this version can start' : 'more than one agent'}`, {
      hint: `name one with --agent: ${listed.join(', ')}`,
    });
  }
  if (!role.agents.includes(wanted.slug)) {
    throw new JackinError('usage', `role ${role.key} does not have the agent ${wanted.slug}`, {
      hint: `its agents: ${role.agents.join(', ')} (${role.manifestFile})`,
    });
  }
  if (!startable(wanted.slug)) {
    throw new JackinError('usage', `this version of jackin cannot start ${AGENTS[wanted.slug].name} yet`, {
      hint: candidates.length === 0 ? 'choose another role' : `it can start: ${candidates.join(', ')}`,
    });
  }
  return wanted;
};

const mentions = (args: string[], flags: readonly string[]): string | undefined =>
  args.find((arg) => flags.some((flag) => arg === flag || arg.startsWith(`${flag}=`)));

/** The agent's command line, and which approvals it leaves. */
export const planSession = (
  request: LoadRequest,
  agent: AgentSlug,
  model: string | undefined,
): LaunchPlan['session'] => {
  const runtime = AGENTS[agent].runtime!;
  const extra = request.agentArguments;
  const modelArgs = model === undefined || mentions(extra, runtime.modelFlags) ? [] : [runtime.modelFlags[0], model];
  if (request.session.kind === 'prompt') {
    const argv = [...runtime.command, ...modelArgs, runtime.promptFlag, request.session.text, ...extra];
    return { kind: 'prompt', io: 'pipe', argv, approvals: 'none: a one-shot prompt runs unattended' };
  }
  const { flag, replacedBy, means } = runtime.autonomous;
  const replacement = mentions(extra, replacedBy);
  const argv = [...runtime.command, ...(replacement === undefined ? [flag] : []), ...modelArgs, ...extra];
  const approvals =
    replacement === undefined ? `${flag}: ${means}; ${runtime.approvalsHint}` : `${replacement}, as asked for on the command line`;
  return { kind: request.session.kind, io: 'pty', argv, approvals };
};
