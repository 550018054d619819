import { Command } from '@commander-js/extra-typings';
import { expandHome, locatePaths, workspaceFile } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import { type Context, formatOption, noInputOption } from './options.ts';
import { type Format, printResult, say } from './output.ts';
import { assertAgreed } from './person.ts';
import { settlePulls } from './workspace-pulls.ts';

/** Whether the person has agreed beforehand, and whether they may be asked. */
interface Agreement {
  yes: boolean;
  input: boolean;
}

const remove = async (name: string, agreement: Agreement, format: Format, deps: Deps): Promise<void> => {
  const { assertWorkspaceName, listWorkspaces } = await import('../config/files.ts');
  const { removeWorkspaceFile } = await import('../config/edit.ts');
  const paths = locatePaths(deps);
  assertWorkspaceName(name);
  const file = workspaceFile(paths, name);
  // One that is not there is told as such, without a question.
  if ((await listWorkspaces(paths)).includes(name)) await assertAgreed(`Remove the workspace ${name} (${file})?`, agreement, deps);
  const { readAllWorkspaces } = await import('../config/files.ts');
  const value = (await readAllWorkspaces(paths).catch(() => undefined))?.get(name)?.value;
  await removeWorkspaceFile(paths, name);
  if (value?.git_pull_on_entry === true) await settlePulls(false, value, deps);
  printResult(deps, format, { removed: [{ name, file }] }, () => `removed ${file}`);
};

const prune = async (agreement: Agreement, format: Format, deps: Deps): Promise<void> => {
  const { exists, readAllWorkspaces } = await import('../config/files.ts');
  const { removeWorkspaceFile } = await import('../config/edit.ts');
  const paths = locatePaths(deps);
  const found = await Promise.all(
    [...(await readAllWorkspaces(paths))].map(async ([name, { document, value }]) => {
      const there = await Promise.all(value.mounts.map(({ src }) => exists(expandHome(src, deps.home))));
      return { name, file: document.file, isGone: !there.includes(true), sources: value.mounts.map(({ src }) => src) };
    }),
  );
  const gone = found.filter(({ isGone }) => isGone);
  if (gone.length > 0) {
    for (const { name, sources } of gone) say(deps, `${name}: nothing is left of ${sources.join(', ')}`);
    await assertAgreed(`Remove ${gone.length === 1 ? 'this workspace' : `these ${gone.length} workspaces`}?`, agreement, deps);
  }
  for (const { name } of gone) await removeWorkspaceFile(paths, name);
  printResult(deps, format, { removed: gone.map(({ name, file }) => ({ name, file })) }, () =>
    gone.length === 0 ? 'nothing to prune' : gone.map(({ file }) => `removed ${file}`).join('\n'),
  );
};

export const removeCommand = (context: Context) =>
  new Command('remove')
    .summary('forget a saved workspace; its files stay')
    .argument('<name>')
    .option('-y, --yes', 'do not ask')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action((name, { yes = false, input, format }) => remove(name, { yes, input }, format, context.deps));

export const pruneCommand = (context: Context) =>
  new Command('prune')
    .summary('forget the workspaces of which every mount source is gone')
    .option('-y, --yes', 'do not ask')
    .addOption(noInputOption())
    .addOption(formatOption())
    .action(({ yes = false, input, format }) => prune({ yes, input }, format, context.deps));
