import type { Readable } from 'node:stream';
import { type Terminal } from '../docker/terminal.ts';
import { locatePaths, type Paths } from '../config/paths.ts';
import { overRoleEnv, underCommandLine } from '../config/resolve-env.ts';
import { type ResolvedConfig, resolveConfig, resolveRole } from '../config/resolve.ts';
import type { AgentSlug } from '../agents/agents.ts';
import { loggedInAgents } from '../plan/auth.ts';
import type { InstanceRecord } from '../instances/record.ts';
import { assertRoleAllowed, buildPlan } from '../plan/build.ts';
import type { Facts } from '../plan/facts.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import type { LoadRequest, RoleSelector } from '../plan/request.ts';
import { agentChoice } from '../plan/session.ts';
import { builtInRoles, roleKeyOf } from '../roles/find-role.ts';
import { JackinError } from '../shared/errors.ts';
import type { Report } from '../shared/progress.ts';
import { type Ask, askEnv } from './ask-env.ts';
import type { Deps } from './deps.ts';
import { type Executed, executePlan } from './execute.ts';
import { gatherFacts } from './facts.ts';
import { askForRemotes } from './git-pull/pull.ts';
import { type ObtainedRole, obtainRole, settleTrust } from './obtain-role.ts';
import { type Choose, findPlace, type Place } from './place.ts';
import { restorableNote } from './restorable.ts';

/** How sessions are shown in the operator's terminal. */
export interface Screen {
  /** Whether the strip is shown at first. */
  strip: boolean;
  /** Whether programs may put something on the operator's clipboard. */
  allowClipboard: boolean;
}

/** How a launch talks to the person who asked for it. */
export interface Ui {
  say: (line: string) => void;
  report: Report;
  /** Undefined when nobody can be asked. */
  confirm: ((question: string) => Promise<boolean>) | undefined;
  /** For what the role asks; undefined as `confirm` is. */
  ask: Ask | undefined;
  /** What a program on pipes reads; without it its input is empty. */
  promptInput?: Readable;
  /** Where a one-shot prompt's output goes. */
  promptOutput: NodeJS.WritableStream;
  terminal: () => Terminal;
  screen: Screen;
}

export interface PlannedLaunch {
  request: LoadRequest;
  plan: LaunchPlan;
  config: ResolvedConfig;
  paths: Paths;
  obtained: ObtainedRole;
}

/** What planning may ask a person, and how it tells what takes long. */
export interface Asking {
  choose: Choose;
  /** Undefined when nobody can be asked. */
  confirm: Ui['confirm'];
  say: Ui['say'];
  report: Report;
}

/** For a plan that is only looked at, or made where nobody can be asked. */
export const ASKS_NOBODY: Asking = { choose: undefined, confirm: undefined, say: () => undefined, report: () => undefined };

const chooseRole = async (request: LoadRequest, { files }: Place, deps: Deps): Promise<RoleSelector> => {
  if (request.role !== undefined) return request.role;
  const decided = resolveRole(files);
  if (decided !== undefined) return { kind: 'name', key: decided.value };
  throw new JackinError('usage', files.workspace === undefined ? 'no role was named' : `no role was named and ${files.workspace.document.file} has no default_role`, {
    hint: `name one, as in \`jackin load ${(await builtInRoles(deps.packageRoot))[0]}\``,
  });
};

/** How a load is written that names the workspace. */
const loadExample = (role: RoleSelector | undefined) => (name: string) => `jackin load ${role === undefined ? '<role>' : role.kind === 'name' ? role.key : role.path} ${name}`;

/** Asks which of several agents is meant, where somebody can be asked; otherwise the plan says what to name. */
const askForAgent = async (request: LoadRequest, config: ResolvedConfig, facts: Facts, choose: Choose): Promise<LoadRequest> => {
  const chosen = agentChoice(request.agent, config.workspace.defaultAgent, facts.role, loggedInAgents(config, facts));
  if (!('choice' in chosen) || choose === undefined) return request;
  return { ...request, agent: (await choose(`${facts.role.name} has several agents. Which one?`, chosen.choice)) as AgentSlug };
};

/**
 * From a request to its plan. Looks at files, never at the engine; clones a role that
 * is not cached. Asks which workspace, which agent, and whether a role is trusted.
 */
export const planLoad = async (request: LoadRequest, deps: Deps, asking: Asking = ASKS_NOBODY): Promise<PlannedLaunch> => {
  const { choose } = asking;
  const paths = locatePaths(deps);
  const place = await findPlace(request.target, paths, deps, choose, loadExample(request.role));
  const selector = await chooseRole(request, place, deps);
  const resolved = resolveConfig(place.files, {
    role: await roleKeyOf(selector),
    workspace: place.workspace,
    directory: place.directory,
    mounts: request.mounts,
    login: request.login,
    home: deps.home,
  });
  assertRoleAllowed(resolved, await roleKeyOf(selector));
  const obtained = await obtainRole(selector, request.roleHandling, place.files.global?.value.roles ?? {}, paths, asking, deps);
  const { role } = obtained;
  const env = overRoleEnv(underCommandLine(resolved.env, request.env), role.env);
  const config = { ...resolved, env, envLayers: request.env.length === 0 ? resolved.envLayers : [...resolved.envLayers, { layer: 'command line' as const }] };
  const facts = await gatherFacts(deps, paths, config, role);
  const asked = await askForAgent(request, config, facts, choose);
  return { request: asked, plan: buildPlan(asked, config, facts), config, paths, obtained };
};

/** Asks for what the plan needs the operator's word for. Without it nothing happens. */
const obtainConsent = async (plan: LaunchPlan, ui: Ui): Promise<void> => {
  for (const { path, why, given } of plan.consents) {
    if (given) continue;
    if (ui.confirm !== undefined && (await ui.confirm(`Mount ${path}? ${why}, and the agent could read all of it.`))) continue;
    throw new JackinError('consent.needed', `mounting ${path} needs your consent: ${why}`, {
      hint: `mount less, or agree with --allow-mount ${path}`,
    });
  }
};

/** With the answers to what the role asks: before anything is made, and after the role is trusted. */
export const withAnswers = async (planned: PlannedLaunch, { ask }: Ui): Promise<PlannedLaunch> => ({ ...planned, config: { ...planned.config, env: await askEnv(planned.config.env, ask) } });

/** Writes down what was only brought up to date in memory, with the text before kept. */
const migrateOutdated = async ({ config, paths }: PlannedLaunch, ui: Ui, deps: Deps): Promise<void> => {
  if (config.outdated.length === 0) return;
  const { migrateAll } = await import('../config/migrate.ts');
  for (const { file, from, to } of await migrateAll(paths, { dryRun: false, now: deps.now(), only: config.outdated.map((one) => one.file) })) ui.say(`config     ${file}: brought from ${from} to ${to}`);
};

/** Asks where mounted repositories may be pulled from. Only a saved workspace pulls, so there is a name to agree by. */
const withAgreedPulls = async (planned: PlannedLaunch, { confirm }: Ui, deps: Deps): Promise<PlannedLaunch> => {
  const { plan, paths } = planned;
  const command = `jackin workspace edit ${plan.workspace.name ?? '<name>'} --git-pull`;
  const pulls = await askForRemotes(plan.pulls, paths, { confirm, command }, deps.now());
  return { ...planned, plan: { ...plan, pulls } };
};

/** Executes a plan after asking for what it needs. With a `record`, it brings that instance back. */
export const launch = async (planned: PlannedLaunch, ui: Ui, deps: Deps, record?: InstanceRecord): Promise<Executed> => {
  await obtainConsent(planned.plan, ui);
  await settleTrust(planned.obtained, planned.paths);
  const answered = await withAgreedPulls(await withAnswers(planned, ui), ui, deps);
  await migrateOutdated(planned, ui, deps);
  const note = record === undefined ? await restorableNote(planned) : undefined;
  if (note !== undefined) ui.say(note);
  return executePlan(answered, ui, deps, record);
};
