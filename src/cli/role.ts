import { Command } from '@commander-js/extra-typings';
import type { Context } from './options.ts';
import { roleCreateCommand } from './role-create.ts';
import { roleListCommand } from './role-list.ts';
import { roleMigrateCommand } from './role-migrate.ts';
import { rolePinCommand } from './role-pin.ts';
import { roleUpdateCommand } from './role-update.ts';
import { roleValidateCommand } from './role-validate.ts';

export const roleCommand = (context: Context) =>
  new Command('role')
    .summary('roles: what there is, where it comes from, and making your own')
    .addCommand(roleListCommand(context))
    .addCommand(roleUpdateCommand(context))
    .addCommand(rolePinCommand(context))
    .addCommand(roleCreateCommand(context))
    .addCommand(roleValidateCommand(context))
    .addCommand(roleMigrateCommand(context));
