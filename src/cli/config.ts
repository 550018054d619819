import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';

const printPaths = async (format: Format, deps: Deps): Promise<void> => {
  const { locatePaths } = await import('../config/paths.ts');
  const { configFile, workspacesDir, jackinHome } = locatePaths(deps);
  printResult(deps, format, { config: configFile, workspaces: workspacesDir, home: jackinHome }, () =>
    table([
      ['config', configFile],
      ['workspaces', workspacesDir],
      ['home', jackinHome],
    ]),
  );
};

const validate = async (format: Format, deps: Deps): Promise<void> => {
  const { validateAll } = await import('../config/files.ts');
  const { locatePaths } = await import('../config/paths.ts');
  const files = await validateAll(locatePaths(deps));
  printResult(deps, format, { valid: files }, () => (files.length === 0 ? 'there are no configuration files; the defaults apply' : files.map((file) => `valid  ${file}`).join('\n')));
};

export const configCommand = (context: Context) =>
  new Command('config')
    .summary('the configuration files')
    .addCommand(
      new Command('path')
        .summary('print where configuration and state are')
        .addOption(formatOption())
        .action((flags) => printPaths(flags.format, context.deps)),
    )
    .addCommand(
      new Command('validate')
        .summary('check config.toml and every workspace file')
        .addOption(formatOption())
        .action((flags) => validate(flags.format, context.deps)),
    );
