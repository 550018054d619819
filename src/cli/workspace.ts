import { Command } from '@commander-js/extra-typings';
import { workspaceEnvCommand } from './config-env.ts';
import type { Context } from './options.ts';
import { createCommand } from './workspace-create.ts';
import { editCommand } from './workspace-edit.ts';
import { listCommand, showCommand } from './workspace-list.ts';
import { pruneCommand, removeCommand } from './workspace-remove.ts';

export const workspaceCommand = (context: Context) =>
  new Command('workspace')
    .summary('saved workspaces')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(editCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(pruneCommand(context))
    .addCommand(workspaceEnvCommand(context));
