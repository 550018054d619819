import { Command, Option } from '@commander-js/extra-typings';
import { AGENT_SLUGS } from '../agents/agents.ts';
import type { Deps } from '../launch/deps.ts';
import type { Doing, HardlineRequest } from '../launch/hardline.ts';
import { JackinError } from '../shared/errors.ts';
import { inspectInstance } from './inspect.ts';
import { CLIPBOARD, type Context, formatOption, noInputOption, screenOf, STRIP } from './options.ts';
import { captureOutput } from './capture-output.ts';
import { say } from './output.ts';
import { asker, chooser, confirmer, terminalOf } from './person.ts';
import { progressPrinter } from './progress.ts';
import { exitCodeOf, printSession, sayAfterwards } from './session-end.ts';

const conflict = (flags: string): JackinError => new JackinError('usage', `${flags} exclude each other`);

interface Flags {
  session?: string | undefined;
  new?: boolean | undefined;
  agent?: (typeof AGENT_SLUGS)[number] | undefined;
  shell?: boolean | undefined;
  end?: string | undefined;
  inspect?: boolean | undefined;
  prompt?: string | undefined;
  detach?: boolean | undefined;
  strip?: boolean | undefined;
  allowClipboard?: boolean | undefined;
}

const doingOf = (flags: Flags, passed: string[]): Doing => {
  const given = (['session', 'new', 'shell', 'end', 'inspect'] as const).filter((name) => flags[name] !== undefined);
  const [first, second] = given;
  if (second !== undefined) throw conflict(`--${first} and --${second}`);
  if (flags.agent !== undefined && first !== 'new') throw new JackinError('usage', '--agent is for --new: it names the agent that joins');
  if (passed.length > 0 && first !== 'new' && first !== 'shell') {
    throw new JackinError('usage', 'arguments after -- are for --new and --shell', { hint: 'as in `jackin hardline --shell -- make test`' });
  }
  if (flags.end !== undefined) return { kind: 'end', session: flags.end };
  switch (first) {
    case 'new':
      return { kind: 'agent', agent: flags.agent, agentArguments: passed };
    case 'shell':
      return { kind: 'shell', argv: passed };
    case 'inspect':
      return { kind: 'inspect' };
    default:
      return { kind: 'back', session: flags.session };
  }
};

/** In this terminal, in the background, or on pipes: a shell without a terminal reads its commands from the pipe. */
const sessionMode = (doing: HardlineRequest['doing'], { prompt, detach }: Flags, deps: Deps): HardlineRequest['session'] => {
  if (prompt !== undefined && detach) throw conflict('--prompt and --detach');
  if (prompt !== undefined) {
    if (doing.kind !== 'agent') throw new JackinError('usage', '--prompt needs --new: it asks an agent beside the others');
    if (prompt === '') throw new JackinError('usage', '--prompt is empty');
    return { kind: 'prompt', text: prompt };
  }
  if (detach) return { kind: 'detached' };
  const hasTerminal = deps.stdin.isTTY === true && deps.stdout.isTTY === true;
  if (doing.kind === 'shell' && !hasTerminal) return { kind: 'piped' };
  if (doing.kind === 'agent' && !hasTerminal) {
    throw new JackinError('usage', 'there is no terminal to attach to', {
      hint: 'use --prompt TEXT for one answer, or --detach to start a session and return',
    });
  }
  return { kind: 'attached' };
};

const run = async (selector: string | undefined, flags: Flags & { format: 'human' | 'json'; input: boolean }, { deps, passedArguments }: Context): Promise<number> => {
  const doing = doingOf(flags, passedArguments);
  if (doing.kind === 'inspect') return inspectInstance(selector, flags.format, deps);
  const request: HardlineRequest = { selector, doing, session: sessionMode(doing, flags, deps) };
  const { hardline } = await import('../launch/hardline.ts');
  const progress = progressPrinter(deps);
  const onPipes = request.session.kind === 'prompt' || request.session.kind === 'piped';
  const captured = onPipes && flags.format === 'json' ? captureOutput() : undefined;
  const ui = {
    say: (line: string) => say(deps, line),
    report: progress.report,
    confirm: flags.input ? confirmer(deps) : undefined,
    ask: flags.input ? asker(deps) : undefined,
    promptOutput: captured?.stream ?? deps.stdout,
    ...(doing.kind === 'shell' && { promptInput: deps.stdin }),
    terminal: () => terminalOf(deps),
    screen: screenOf(flags, deps),
  };
  const done = await hardline(request, ui, flags.input ? chooser(deps) : undefined, deps).finally(progress.end);
  if (done.ended !== undefined) {
    say(deps, `ended ${done.ended}`);
    return 0;
  }
  printSession({ ...done, output: captured?.text() }, request.session.kind, flags.format, deps);
  sayAfterwards(done.instanceId, done.end, deps);
  return exitCodeOf(done.end);
};

export const hardlineCommand = (context: Context) =>
  new Command('hardline')
    .summary('come back to an instance: its session, another agent, a shell')
    .description(
      'Comes back to an instance. One that runs shows the same screen as before; one that was stopped or ejected is started again from its state. Ctrl-\\ Ctrl-\\ leaves it running.',
    )
    .usage('[options] [selector] [-- arguments of the agent or the program]')
    .argument('[selector]', 'role, instance id or container name; without it the only one that runs')
    .option('--session <name>', 'the session of that name, such as kimi-1, instead of the first one')
    .option('--new', 'start another agent beside the sessions that run')
    .addOption(new Option('--agent <agent>', 'agent to start with --new').choices(AGENT_SLUGS))
    .option('--shell', 'open a shell, or run the program after --, beside the agents')
    .option('--end <name>', 'end the session of that name')
    .option('--inspect', 'print what is known of the instance and its sessions, and attach to nothing')
    .option('--prompt <text>', 'with --new: run one prompt, stream the answer, return the agent’s exit code')
    .option('--detach', 'start what is to be started, and return')
    .option('--no-strip', STRIP)
    .option('--allow-clipboard', CLIPBOARD)
    .addOption(noInputOption())
    .addOption(formatOption())
    .action(async (selector, flags) => context.exit(await run(selector, flags, context)));
