import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { authCommand } from './config-auth.ts';
import { configEnvCommand } from './config-env.ts';
import { gitCommand } from './config-git.ts';
import { migrateCommand } from './config-migrate.ts';
import { mountCommand } from './config-mount.ts';
import { schemaCommand } from './config-schema.ts';
import { explainCommand, showCommand } from './config-show.ts';
import { trustCommand } from './config-trust.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
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
    .summary('the configuration: what is decided and by whom, and the files')
    .addCommand(showCommand(context))
    .addCommand(explainCommand(context))
    .addCommand(
      new Command('path')
        .summary('print where configuration and state are')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => printPaths(flags.format, context.deps)),
    )
    .addCommand(
      new Command('validate')
        .summary('check config.toml and every workspace file')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((flags) => validate(flags.format, context.deps)),
    )
    .addCommand(migrateCommand(context))
    .addCommand(schemaCommand(context))
    .addCommand(authCommand(context))
    .addCommand(configEnvCommand(context))
    .addCommand(mountCommand(context))
    .addCommand(gitCommand(context))
    .addCommand(trustCommand(context));
