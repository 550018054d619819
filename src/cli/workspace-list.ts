import { Command } from '@commander-js/extra-typings';
import { locatePaths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';

const list = async (format: Format, deps: Deps): Promise<void> => {
  const { readAllWorkspaces } = await import('../config/files.ts');
  const workspaces = [...(await readAllWorkspaces(locatePaths(deps)))].map(([name, { document, value }]) => ({
    name,
    file: document.file,
    workdir: value.workdir,
    mounts: value.mounts,
    allowed_roles: value.allowed_roles ?? [],
    default_role: value.default_role ?? null,
    default_agent: value.default_agent ?? null,
    last_role: value.last_role ?? null,
  }));
  printResult(deps, format, { workspaces }, () => {
    if (workspaces.length === 0) return 'no workspaces';
    const rows = workspaces.map(({ name, workdir, mounts, ...rest }) => [
      name,
      workdir,
      String(mounts.length),
      rest.default_role ?? rest.last_role ?? '-',
      rest.default_agent ?? '-',
    ]);
    return table([['NAME', 'WORKDIR', 'MOUNTS', 'ROLE', 'AGENT'], ...rows]);
  });
};

const show = async (name: string, format: Format, deps: Deps): Promise<void> => {
  const { readConfigFiles } = await import('../config/files.ts');
  const { showContent, workspaceRows } = await import('../config/show-workspace.ts');
  const { document, value } = (await readConfigFiles(locatePaths(deps), name)).workspace!;
  printResult(deps, format, { name, file: document.file, ...showContent(value) }, () => {
    const { settings, mounts } = workspaceRows(value);
    return [table([['name', name], ['file', document.file], ...settings]), '', table([['DESTINATION', 'SOURCE', 'ACCESS', 'ISOLATION'], ...mounts])].join('\n');
  });
};

export const listCommand = (context: Context) =>
  new Command('list')
    .summary('list the saved workspaces')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((flags) => list(flags.format, context.deps));

export const showCommand = (context: Context) =>
  new Command('show')
    .summary('print what is saved of a workspace; variables are masked')
    .argument('<name>')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((name, flags) => show(name, flags.format, context.deps));
