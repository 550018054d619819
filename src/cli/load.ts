import path from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import { expandHome } from '../config/paths.ts';
import { isContainerPath, isRoleKey } from '../config/values.ts';
import type { Deps } from '../launch/deps.ts';
import type { Executed } from '../launch/execute.ts';
import type { Screen } from '../launch/load.ts';
import type { LaunchPlan } from '../plan/plan.ts';
import type { LoadRequest, RoleSelector, SessionMode, Target } from '../plan/request.ts';
import { JackinError } from '../shared/errors.ts';
import { captureOutput } from './capture-output.ts';
import { type Format, printResult, say } from './output.ts';
import { CLIPBOARD, collect, type Context, formatOption, parseCommit, parseLogin, screenOf, STRIP } from './options.ts';
import { parseEnv } from './env-option.ts';
import { endData, exitCodeOf, sayAfterwards } from './session-end.ts';
import { asker, chooser, terminalOf } from './person.ts';
import { roleAsking } from './role-asking.ts';

const isPath = (text: string): boolean => /^[/.~]/.test(text);

export const hostPath = (text: string, { home, cwd }: Deps): string => path.resolve(cwd, expandHome(text, home));

export const parseRole = (text: string, deps: Deps): RoleSelector => {
  if (isPath(text)) return { kind: 'folder', path: hostPath(text, deps) };
  if (isRoleKey(text)) return { kind: 'name', key: text };
  throw new JackinError('usage', `${JSON.stringify(text.slice(0, 80))} is not a role`, {
    hint: 'a role is a name such as agent-smith or namespace/name, or the path of a folder such as ./my-role',
  });
};

const onBranch = (role: RoleSelector | undefined, branch: string | undefined): RoleSelector | undefined => {
  if (branch === undefined) return role;
  if (role?.kind === 'name') return { ...role, branch };
  throw new JackinError('usage', '--role-branch needs the name of a role that comes from git', { hint: 'as in `jackin load the-architect --role-branch feat/x`' });
};

const parseTarget = (text: string | undefined, deps: Deps): Target => {
  if (text === undefined) return { kind: 'current', path: deps.cwd };
  return isPath(text) ? { kind: 'directory', path: hostPath(text, deps) } : { kind: 'workspace', name: text };
};

/** `path`, `path:ro`, `src:dst`, `src:dst:ro`. */
export const parseMount = (text: string, deps: Deps): LoadRequest['mounts'][number] => {
  const parts = text.split(':');
  const readonly = parts.at(-1) === 'ro';
  const [source, target, ...rest] = readonly ? parts.slice(0, -1) : parts;
  if (!source || target === '' || rest.length > 0) {
    throw new JackinError('usage', `--mount ${text}: expected path, path:ro, src:dst or src:dst:ro`);
  }
  const absolute = hostPath(source, deps);
  if (target !== undefined && !isContainerPath(target)) {
    throw new JackinError('usage', `--mount ${text}: the destination must be an absolute container path without "." or ".."`);
  }
  return { source: absolute, target: target ?? absolute, readonly };
};

const parseSession = (flags: { prompt?: string | undefined; detach?: boolean | undefined; dryRun?: boolean | undefined }, deps: Deps): SessionMode => {
  if (flags.prompt !== undefined && flags.detach) {
    throw new JackinError('usage', '--prompt and --detach exclude each other', { hint: '--prompt streams the answer; --detach starts a session and returns' });
  }
  if (flags.prompt === '') throw new JackinError('usage', '--prompt is empty');
  if (flags.prompt !== undefined) return { kind: 'prompt', text: flags.prompt };
  if (flags.detach) return { kind: 'detached' };
  if (!flags.dryRun && !(deps.stdin.isTTY && deps.stdout.isTTY)) {
    throw new JackinError('usage', 'there is no terminal to attach to', {
      hint: 'use --prompt TEXT for one answer, or --detach to start a session and return',
    });
  }
  return { kind: 'attached' };
};

const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

const parseNetworks = (names: string[]): string[] => {
  for (const name of names) {
    if (!NETWORK.test(name)) throw new JackinError('usage', `--network ${JSON.stringify(name.slice(0, 80))}: not the name of a network`);
  }
  return [...new Set(names)];
};

const printExecuted = (executed: Executed, plan: LaunchPlan, answer: string | undefined, format: Format, deps: Deps): void => {
  const { instanceId: id, container, network, agentVersion, end } = executed;
  const data = {
    instance_id: id,
    container,
    network,
    role: plan.role.key,
    workspace: plan.workspace.name,
    agent: plan.agent.slug,
    agent_version: agentVersion,
    ...endData(end),
    ...(answer === undefined ? {} : { output: answer }),
  };
  if (format === 'json') printResult(deps, format, data, () => '');
  else if (plan.session.kind === 'detached') printResult(deps, format, data, () => id);
};

interface RunOptions {
  dryRun: boolean;
  format: Format;
  /** Whether questions may be asked. */
  input: boolean;
  screen: Screen;
}

const runLoad = async (request: LoadRequest, { dryRun, format, input, screen }: RunOptions, deps: Deps): Promise<number> => {
  const { launch, planLoad } = await import('../launch/load.ts');
  const { announcement, describePlan } = await import('../launch/announce.ts');
  const { asking: { confirm, say: tell, report }, end: endProgress } = roleAsking(deps, input);
  const planned = await planLoad(request, deps, { choose: input ? chooser(deps) : undefined, confirm: dryRun ? undefined : confirm, say: tell, report }).finally(endProgress);
  if (dryRun) {
    printResult(deps, format, planned.plan, () => describePlan(planned.plan));
    return 0;
  }
  for (const line of announcement(planned.plan)) say(deps, line);
  const captured = request.session.kind === 'prompt' && format === 'json' ? captureOutput() : undefined;
  const executed = await launch(
    planned,
    {
      say: (line) => say(deps, line),
      report,
      confirm,
      ask: input ? asker(deps) : undefined,
      promptOutput: captured?.stream ?? deps.stdout,
      terminal: () => terminalOf(deps),
      screen,
    },
    deps,
  ).finally(endProgress);
  printExecuted(executed, planned.plan, captured?.text(), format, deps);
  sayAfterwards(executed.instanceId, executed.end, deps);
  return exitCodeOf(executed.end);
};

export const loadCommand = (context: Context) =>
  new Command('load')
    .summary('start an agent in a new instance')
    .description('Starts an agent in a new instance of a role: this directory, another one, or a saved workspace.')
    .usage('[options] [role] [target] [-- agent arguments]')
    .argument('[role]', 'role name, or the path of a role folder; without it: the default role of the workspace saved for this directory')
    .argument('[target]', 'name of a saved workspace, or a path that starts with /, . or ~')
    .addOption(new Option('--agent <agent>', 'agent to start').choices(AGENT_SLUGS))
    .option('--prompt <text>', 'run one prompt, stream the answer, return the agent’s exit code')
    .option('--detach', 'start, print the instance id, return')
    .option('--mount <spec>', 'mount path, path:ro, src:dst or src:dst:ro (repeatable)', collect)
    .option('--env <name=value>', 'set a variable: a literal, $NAME of the host, or an op:// reference; a name alone takes it from the host (repeatable)', collect)
    .option('--network <name>', 'join an existing network of the engine as well (repeatable)', collect)
    .option('--allow-mount <path>', 'agree to a mount that holds credentials or your home (repeatable)', collect)
    .option('--role-branch <branch>', 'load this branch of the role’s repository; asked about every time')
    .option('--update', 'look for a newer commit of the role first')
    .option('--trust <commit>', 'agree to the role at this commit, all 40 digits of it, instead of being asked', parseCommit)
    .option('--rebuild', 'build the role’s image anew, although it is there')
    .option('--locked', 'refuse what differs from the role’s jackin.lock')
    .option('--login <login>', 'use this login of jackin’s own for Kimi, kimi:<account>; it goes before all configuration', parseLogin)
    .option('--strict-auth', 'refuse a login that is missing, dead or expired')
    .option('--dry-run', 'print the plan and do nothing; needs no engine')
    .option('--no-strip', STRIP)
    .option('--allow-clipboard', CLIPBOARD)
    .option('--no-input', 'never ask; a question without an answer is an error')
    .addOption(formatOption())
    .action(async (role, target, flags) => {
      const { deps } = context;
      const request: LoadRequest = {
        role: onBranch(role === undefined ? undefined : parseRole(role, deps), flags.roleBranch),
        roleHandling: { freshness: flags.update ? 'try' : 'cached', trust: flags.trust, refusalEnds: true, pinned: true },
        rebuild: flags.rebuild ?? false,
        locked: flags.locked ?? false,
        target: parseTarget(target, deps),
        agent: flags.agent,
        mounts: (flags.mount ?? []).map((spec) => parseMount(spec, deps)),
        networks: parseNetworks(flags.network ?? []),
        session: parseSession(flags, deps),
        agentArguments: context.passedArguments,
        allowedMounts: (flags.allowMount ?? []).map((text) => hostPath(text, deps)),
        login: flags.login,
        strictAuth: flags.strictAuth ?? false,
        env: await parseEnv(flags.env ?? []),
      };
      context.exit(await runLoad(request, { dryRun: flags.dryRun ?? false, format: flags.format, input: flags.input, screen: screenOf(flags, deps) }, deps));
    });
