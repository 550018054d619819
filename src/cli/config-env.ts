import { Command } from '@commander-js/extra-typings';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption, roleOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { saveAndPrint } from './save.ts';

/** A table of variables: of config.toml or of a workspace, for every role or for one. */
interface EnvTable {
  workspace: string | undefined;
  role: string | undefined;
}

const MAX_VALUE_BYTES = 64 * 1024;

/** A value from standard input, without the line break that ends it. */
const readValue = async ({ stdin }: Deps): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk as Buffer | string);
    size += bytes.length;
    if (size > MAX_VALUE_BYTES) throw new JackinError('usage', `the value on standard input is larger than ${MAX_VALUE_BYTES} bytes`);
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString('utf8').replace(/\r?\n$/, '');
  if (text !== '') return text;
  throw new JackinError('usage', 'there is no value on standard input', {
    hint: 'pipe it in, as in `pass show key | jackin config env set NAME --stdin`',
  });
};

const valueFrom = async (value: string | undefined, stdin: boolean, deps: Deps): Promise<string> => {
  if (value !== undefined && stdin) throw new JackinError('usage', 'a value and --stdin exclude each other');
  if (value !== undefined) return value;
  if (stdin) return readValue(deps);
  throw new JackinError('usage', 'no value was given', { hint: 'write it behind the name, or use --stdin, so that a secret is in no list of processes' });
};

const set = async ({ workspace, role }: EnvTable, name: string, value: string | undefined, stdin: boolean, format: Format, deps: Deps): Promise<void> => {
  const { inRole } = await import('../config/change-settings.ts');
  const text = await valueFrom(value, stdin, deps);
  await saveAndPrint(
    {
      workspace,
      change: () => [{ path: inRole(role, ['env', name]), value: text }],
      done: `set ${name}`,
      unchanged: `${name} has this value already`,
      data: { name, role: role ?? null },
    },
    format,
    deps,
  );
};

const unset = async ({ workspace, role }: EnvTable, name: string, format: Format, deps: Deps): Promise<void> => {
  const { inRole, removal } = await import('../config/change-settings.ts');
  const change = (current: Record<string, unknown>) => removal(current, inRole(role, ['env', name]));
  const data = { name, role: role ?? null };
  await saveAndPrint({ workspace, change, done: `removed ${name}`, unchanged: `${name} is not set`, data }, format, deps);
};

/** A literal of several lines as one. */
const oneLine = (text: string): string => (/\p{Cc}/u.test(text) ? JSON.stringify(text) : text);

const list = async ({ workspace, role }: EnvTable, reveal: boolean, format: Format, deps: Deps): Promise<void> => {
  const { readConfigFiles } = await import('../config/files.ts');
  const { inRole } = await import('../config/change-settings.ts');
  const { lookUp } = await import('../config/layers.ts');
  const { envText, showEnv } = await import('../config/show-env.ts');
  const files = await readConfigFiles(locatePaths(deps), workspace);
  const document = (workspace === undefined ? files.global : files.workspace)?.document;
  const values = (lookUp(document?.value, inRole(role, ['env'])) ?? {}) as Record<string, Parameters<typeof showEnv>[0]>;
  const variables = Object.entries(values).map(([name, value]) => ({ name, ...showEnv(value, reveal) }));
  printResult(deps, format, { file: document?.file ?? null, role: role ?? null, variables }, () =>
    variables.length === 0 ? 'no variables' : table(variables.map((shown) => [shown.name, oneLine(envText(shown))])),
  );
};

/** The commands on one table of variables. Those on a workspace take its name first. */
export const configEnvCommand = (context: Context) => {
  const { deps } = context;
  return new Command('env')
    .summary('variables for the agent, in every workspace')
    .addCommand(
      new Command('set')
        .summary('set a variable: a literal, $NAME of the host, or an op:// reference')
        .argument('<name>')
        .argument('[value]')
        .option('--stdin', 'read the value from standard input, so that a secret is in no list of processes')
        .addOption(roleOption('only for this role'))
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((name, value, flags) => set({ workspace: undefined, role: flags.role }, name, value, flags.stdin ?? false, flags.format, deps)),
    )
    .addCommand(
      new Command('unset')
        .summary('remove a variable')
        .argument('<name>')
        .addOption(roleOption('the one for this role'))
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((name, flags) => unset({ workspace: undefined, role: flags.role }, name, flags.format, deps)),
    )
    .addCommand(
      new Command('list')
        .summary('list the variables; literals are masked')
        .addOption(roleOption('those for this role'))
        .option('--reveal', 'print literals as they are')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => list({ workspace: undefined, role: flags.role }, flags.reveal ?? false, flags.format, deps)),
    );
};

export const workspaceEnvCommand = (context: Context) => {
  const { deps } = context;
  return new Command('env')
    .summary('variables for the agent, in one workspace')
    .addCommand(
      new Command('set')
        .summary('set a variable: a literal, $NAME of the host, or an op:// reference')
        .argument('<workspace>')
        .argument('<name>')
        .argument('[value]')
        .option('--stdin', 'read the value from standard input, so that a secret is in no list of processes')
        .addOption(roleOption('only for this role'))
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((workspace, name, value, flags) => set({ workspace, role: flags.role }, name, value, flags.stdin ?? false, flags.format, deps)),
    )
    .addCommand(
      new Command('unset')
        .summary('remove a variable')
        .argument('<workspace>')
        .argument('<name>')
        .addOption(roleOption('the one for this role'))
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((workspace, name, flags) => unset({ workspace, role: flags.role }, name, flags.format, deps)),
    )
    .addCommand(
      new Command('list')
        .summary('list the variables; literals are masked')
        .argument('<workspace>')
        .addOption(roleOption('those for this role'))
        .option('--reveal', 'print literals as they are')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((workspace, flags) => list({ workspace, role: flags.role }, flags.reveal ?? false, flags.format, deps)),
    );
};
