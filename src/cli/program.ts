import { Command, CommanderError } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asWaiter } from '../shared/waiter.ts';
import { agentsCommand } from './agents.ts';
import { authCommand } from './auth.ts';
import { configCommand } from './config.ts';
import { constructCommand } from './construct.ts';
import { cpCommand } from './cp.ts';
import { ejectCommand, purgeCommand } from './eject.ts';
import { hardlineCommand } from './hardline.ts';
import { keeperCommand } from './keeper.ts';
import { loadCommand } from './load.ts';
import { loginCommand } from './login.ts';
import { loginsCommand } from './logins.ts';
import { modelsCommand } from './models.ts';
import type { Context } from './options.ts';
import { type Format, reportError, say } from './output.ts';
import { prewarmCommand } from './prewarm.ts';
import { roleCommand } from './role.ts';
import { statusCommand } from './status.ts';
import { usageCommand } from './usage.ts';
import { verifyCommand } from './verify.ts';
import { workspaceCommand } from './workspace.ts';

/** The whole command line. Runners, and with them Docker, are loaded only when a command runs. */
export const buildProgram = (context: Context): Command => {
  const { deps } = context;
  const program = new Command('jackin')
    .description('Run an AI coding agent at full speed inside an isolated container, already logged in, with exactly the files it may see.')
    .version(deps.version)
    // A command may have a --version of its own.
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  $ jackin load agent-smith                       this directory, Kimi in your terminal
  $ jackin load agent-smith ~/app --prompt "explain this repo"
  $ jackin load agent-smith --detach              start, print the instance id, return
  $ jackin cp agent-smith:/home/agent/out ./out   files out, and in
  $ jackin eject agent-smith && jackin purge agent-smith

Exit codes: 0 done, 1 failed, 2 usage, 3 configuration invalid, 4 credential missing or dead,
5 engine unreachable or too old, 6 consent needed, 7 not found, 8 conflict, 130 interrupted.
The agent's own code is passed through for --prompt and attached sessions, as the container tells it.`,
    );
  for (const command of [
    loadCommand(context),
    hardlineCommand(context),
    cpCommand(context),
    statusCommand(context),
    ejectCommand(context),
    purgeCommand(context),
    prewarmCommand(context),
    agentsCommand(context),
    roleCommand(context),
    constructCommand(context),
    loginCommand(context),
    loginsCommand(context),
    modelsCommand(context),
    usageCommand(context),
    authCommand(context),
    keeperCommand(context),
    verifyCommand(context),
    workspaceCommand(context),
    configCommand(context),
  ]) {
    program.addCommand(command);
  }
  const configure = (command: Command): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => void deps.stdout.write(text),
      writeErr: (text) => void deps.stderr.write(text),
    });
    command.showSuggestionAfterError();
    for (const child of command.commands) configure(child as Command);
  };
  configure(program);
  return program;
};

/** Commands that start a program: what follows their first `--` is its. Everywhere else it means that no options follow. */
const STARTERS = new Set(['load', 'hardline']);

const splitArguments = (argv: string[]): { own: string[]; passed: string[] } => {
  const at = STARTERS.has(argv[0] ?? '') ? argv.indexOf('--') : -1;
  return at === -1 ? { own: argv, passed: [] } : { own: argv.slice(0, at), passed: argv.slice(at + 1) };
};

const wantedFormat = (argv: string[]): Format => {
  const at = argv.indexOf('--format');
  return argv.includes('--format=json') || (at !== -1 && argv[at + 1] === 'json') ? 'json' : 'human';
};

/** Runs one command line. Never throws; the result is the exit code. */
export const runCli = async (argv: string[], deps: Deps): Promise<number> => {
  const { own, passed } = splitArguments(argv);
  let exitCode = 0;
  const program = buildProgram({ deps, passedArguments: passed, exit: (code) => (exitCode = code) });
  if (own.length === 0) {
    deps.stdout.write(program.helpInformation());
    return 0;
  }
  try {
    await asWaiter({ say: (line) => say(deps, `note       ${line}`), signal: deps.signal }, () => program.parseAsync(own, { from: 'user' }));
    return exitCode;
  } catch (error) {
    // commander has printed its own message; a request for help or the version is not a failure.
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (wantedFormat(own) === 'json') reportError(deps, 'json', new JackinError('usage', error.message.replace(/^error: /, '')));
      return 2;
    }
    // A command that takes back what it had started says so itself.
    const told = error instanceof JackinError || !deps.signal.aborted ? error : new JackinError('interrupted', 'interrupted');
    return reportError(deps, wantedFormat(own), told);
  }
};
