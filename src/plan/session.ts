import { AGENTS, type AgentSlug, type AuthMode, FIRST_AGENT } from '../agents/agents.ts';
import type { Decision } from '../config/layers.ts';
import { JackinError } from '../shared/errors.ts';
import type { RoleFacts } from './facts.ts';
import type { LaunchPlan } from './plan.ts';
import type { LoadRequest } from './request.ts';

type Chosen = Pick<LaunchPlan['agent'], 'decided_by'> & { slug: AgentSlug };

/**
 * Which agent runs, where that needs no question: the command line, the workspace,
 * the only one of the role, or the only one that is logged in here. With nobody
 * logged in it is the one that jackin is made for first. Otherwise those that
 * there is a choice of.
 */
export const agentChoice = (
  named: AgentSlug | undefined,
  workspaceDefault: Decision<AgentSlug> | undefined,
  role: RoleFacts,
  loggedIn: AgentSlug[],
): Chosen | { choice: AgentSlug[] } => {
  if (named !== undefined) return { slug: named, decided_by: { layer: 'command line' } };
  if (workspaceDefault !== undefined) return { slug: workspaceDefault.value, decided_by: workspaceDefault.origin };
  const [only, ...others] = role.agents;
  if (only !== undefined && others.length === 0) return { slug: only, decided_by: { layer: 'role', file: role.manifestFile } };
  const [first, ...more] = loggedIn;
  if (first === undefined && role.agents.includes(FIRST_AGENT)) return { slug: FIRST_AGENT, decided_by: { layer: 'default' } };
  return first !== undefined && more.length === 0 ? { slug: first, decided_by: { layer: 'only login' } } : { choice: more.length > 0 ? loggedIn : role.agents };
};

/** The agent that runs; `usage` when it is not decided, or not one of the role. */
export const chooseAgent = (...[named, workspaceDefault, role, loggedIn]: Parameters<typeof agentChoice>): Chosen => {
  const chosen = agentChoice(named, workspaceDefault, role, loggedIn);
  if ('choice' in chosen) {
    throw new JackinError('usage', `role ${role.key} has more than one agent`, { hint: `name one with --agent: ${chosen.choice.join(', ')}` });
  }
  if (!role.agents.includes(chosen.slug)) {
    throw new JackinError('usage', `role ${role.key} does not have the agent ${chosen.slug}`, {
      hint: `its agents: ${role.agents.join(', ')} (${role.manifestFile})`,
    });
  }
  return chosen;
};

const mentions = (args: string[], flags: readonly string[]): string | undefined =>
  args.find((arg) => flags.some((flag) => arg === flag || arg.startsWith(`${flag}=`)));

/** What stands for `{model}` and the like in an agent's arguments: any number of them for a whole one, a text inside one. */
interface Values {
  mode: readonly string[];
  model: readonly string[];
  arguments: readonly string[];
  prompt: string;
  workdir: string;
}

/** JSON's strings are TOML's, but for this one character. */
const tomlString = (text: string): string => JSON.stringify(text).replaceAll('\u007F', String.raw`\u007f`);

const fillIn = (template: readonly string[], values: Values): string[] =>
  template.flatMap((part) => {
    if (part === '{mode}') return values.mode;
    if (part === '{model}') return values.model;
    if (part === '{arguments}') return values.arguments;
    // Split and joined: what is put in may look like a pattern, or like a place to fill.
    if (part.includes('{prompt}')) return [part.split('{prompt}').join(values.prompt)];
    return [part.split('{workdir}').join(tomlString(values.workdir))];
  });

/** The agent's command line, and which approvals it leaves. */
export const planSession = (
  request: LoadRequest,
  agent: AgentSlug,
  mode: AuthMode,
  model: string | undefined,
  workdir: string,
): LaunchPlan['session'] => {
  const { runtime } = AGENTS[agent];
  const extra = request.agentArguments;
  const { session } = request;
  const values: Values = {
    mode: runtime.modeArguments?.[mode] ?? [],
    model: model === undefined || mentions(extra, runtime.modelFlags) ? [] : [runtime.modelFlags[0], model],
    arguments: extra,
    prompt: session.kind === 'prompt' ? session.text : '',
    workdir,
  };
  if (session.kind === 'prompt') {
    const argv = [...runtime.command, ...fillIn(runtime.oneShot, values)];
    return { kind: 'prompt', io: 'pipe', argv, approvals: 'none: a one-shot prompt runs unattended' };
  }
  const { args, replacedBy, means } = runtime.autonomous;
  const replacement = mentions(extra, replacedBy);
  const template = [...runtime.interactive, ...(replacement === undefined ? args : []), '{model}', '{arguments}'];
  const hint = runtime.approvalsHint === '' ? '' : `; ${runtime.approvalsHint}`;
  const approvals = replacement === undefined ? `${args.join(' ')}: ${means}${hint}` : `${replacement}, as asked for on the command line`;
  return { kind: session.kind, io: 'pty', argv: [...runtime.command, ...fillIn(template, values)], approvals };
};
