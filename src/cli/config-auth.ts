import path from 'node:path';
import { Argument, Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS, type AgentSlug, type AuthMode } from '../agents/agents.ts';
import type { Explanation } from '../config/explain.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { openView, type ViewFlags } from './config-view.ts';
import { asksNothing, type Context, formatOption, noInputOption, parseLogin, roleOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { saveAndPrint } from './save.ts';

const MODES: readonly AuthMode[] = ['sync', 'api_key', 'oauth_token', 'ignore'];

interface SetFlags {
  agent: AgentSlug | 'all';
  workspace?: string | undefined;
  role?: string | undefined;
  sourceDir?: string | undefined;
  login?: string | undefined;
}

/** A login of jackin's own stands for one agent, in the place of a copy. */
const assertLoginFits = (mode: AuthMode, { agent, sourceDir, login }: SetFlags): void => {
  if (login === undefined) return;
  if (agent !== 'kimi') throw new JackinError('usage', '--login needs --agent kimi: only Kimi has logins of jackin’s own');
  if (mode !== 'sync') throw new JackinError('usage', `--login is for sync: with ${mode} no login is used`, { hint: 'as in `jackin config auth set sync --agent kimi --login work`' });
  if (sourceDir !== undefined) throw new JackinError('usage', '--login and --source-dir exclude each other: the one is a login of jackin’s own, the other one of the host to copy');
};

const set = async (mode: AuthMode, flags: SetFlags, format: Format, deps: Deps): Promise<void> => {
  const { agent, workspace, role, sourceDir, login } = flags;
  if (role !== undefined && workspace === undefined) {
    throw new JackinError('usage', '--role needs --workspace: a login is set for a role in one workspace', { hint: 'name the workspace, or leave --role out' });
  }
  assertLoginFits(mode, flags);
  if (sourceDir !== undefined && agent === 'all') {
    throw new JackinError('usage', '--source-dir needs --agent: every agent keeps its login in a directory of its own', {
      hint: `name one: ${AGENT_SLUGS.map((slug) => `--agent ${slug}`).join(', ')}`,
    });
  }
  const { agentsForMode, authEdits } = await import('../config/change-settings.ts');
  const agents = agentsForMode(mode, agent);
  // A path below ~ is kept as it was written: it then means the same on every machine.
  const source = sourceDir === undefined || /^~(\/|$)/.test(sourceDir) ? sourceDir : path.resolve(deps.cwd, sourceDir);
  const where = workspace === undefined ? 'everywhere' : `in workspace ${workspace}${role === undefined ? '' : ` for ${role}`}`;
  const what = `${agents.join(', ')}: ${mode}${login === undefined ? '' : ` with the login ${login}`}`;
  await saveAndPrint(
    {
      workspace,
      change: (current) => authEdits(current, agents, mode, { sourceDir: source, login }, role),
      done: `${what} ${where}`,
      unchanged: `${what} ${where} already`,
      data: { mode, agents, workspace: workspace ?? null, role: role ?? null, source_dir: source ?? null, login: login ?? null },
    },
    format,
    deps,
  );
};

const show = async (flags: ViewFlags, format: Format, deps: Deps): Promise<void> => {
  const { explainAll } = await import('../config/explain.ts');
  const { describeOrigin } = await import('../config/layers.ts');
  const { place: { files }, about, data, rows } = await openView(flags, 'config auth show', deps); // prettier-ignore
  const all = new Map(explainAll(files, about).map((explanation) => [explanation.key, explanation]));
  const decided = (key: string): Explanation => all.get(key)!;
  const json = ({ value, origin: { layer, file, line } }: Explanation) => ({ value, layer, file: file ?? null, line: line ?? null });
  const agents = AGENT_SLUGS.map((slug) => ({ slug, mode: decided(`${slug}.auth_forward`), source: decided(`${slug}.sync_source_dir`), login: all.get(`${slug}.login`) }));
  const github = decided('github.auth_forward');
  const result = {
    ...data,
    agents: agents.map(({ slug, mode, source, login }) => ({ agent: slug, mode: json(mode), source_dir: json(source), ...(login && { login: json(login) }) })),
    github: { mode: json(github) },
  };
  printResult(deps, format, result, () => {
    const from = (source: Explanation, login: Explanation | undefined): string => {
      if (login !== undefined && login.value !== null) return `login ${login.value as string}, by ${describeOrigin(login.origin)}`;
      return source.value === null ? 'the agent’s own' : `${source.value as string}, by ${describeOrigin(source.origin)}`;
    };
    const lines = agents.map(({ slug, mode, source, login }) => [slug, mode.value as string, describeOrigin(mode.origin), from(source, login)]);
    const forge = ['github', github.value as string, describeOrigin(github.origin)];
    return `${table(rows)}\n\n${table([['AGENT', 'MODE', 'DECIDED BY', 'SOURCE DIRECTORY'], ...lines, forge])}`;
  });
};

const setCommand = (context: Context) =>
  new Command('set')
    .summary('set how logins reach the container')
    .addArgument(new Argument('<mode>', 'sync copies the login, api_key and oauth_token use a key, ignore forwards nothing').choices(MODES))
    .addOption(new Option('--agent <agent>', 'agent whose login is meant').choices([...AGENT_SLUGS, 'all'] as const).default('all' as const))
    .option('--workspace <name>', 'only in this workspace; without it in config.toml')
    .addOption(roleOption('only for this role in the workspace'))
    .option('--source-dir <path>', 'directory that holds the login to copy, instead of the agent’s own')
    .option('--login <account>', 'login of jackin’s own to use instead of a copy, as `jackin login kimi` made it', parseLogin)
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((mode, flags) => set(mode, flags, flags.format, context.deps));

const showCommand = (context: Context) =>
  new Command('show')
    .summary('print how each login reaches the container, and who decided that')
    .option('--workspace <name>', 'saved workspace; without it the one of this directory, as load takes it')
    .addOption(roleOption('role; without it the one that a load there would take'))
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((flags) => show(flags, flags.format, context.deps));

export const authCommand = (context: Context) =>
  new Command('auth').summary('how logins reach the container').addCommand(setCommand(context)).addCommand(showCommand(context));
