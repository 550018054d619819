import { Command } from '@commander-js/extra-typings';
import type { Context } from './options.ts';
import { roleListCommand } from './role-list.ts';
import { rolePinCommand } from './role-pin.ts';
import { roleUpdateCommand } from './role-update.ts';

export const roleCommand = (context: Context) =>
  new Command('role')
    .summary('roles: what there is, where it comes from, and making your own')
    .addCommand(roleListCommand(context))
    .addCommand(roleUpdateCommand(context))
    .addCommand(rolePinCommand(context));
