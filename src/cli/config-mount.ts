import { Command } from '@commander-js/extra-typings';
import type { GlobalMountName } from '../config/change-settings.ts';
import { locatePaths } from '../config/paths.ts';
import { isContainerPath } from '../config/values.ts';
import type { Deps } from '../launch/deps.ts';
import { JackinError } from '../shared/errors.ts';
import { hostPath } from './load.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { saveAndPrint } from './save.ts';

const access = (readonly: boolean): string => (readonly ? 'read-only' : 'writable');
const described = ({ name, scope }: GlobalMountName): string => `${name}${scope === undefined ? '' : ` in scope ${scope}`}`;

const add = async (where: GlobalMountName, mount: { src: string; dst: string; readonly: boolean }, format: Format, deps: Deps): Promise<void> => {
  const { addMountEdits } = await import('../config/change-settings.ts');
  const { exists } = await import('../config/files.ts');
  if (!isContainerPath(mount.dst)) {
    throw new JackinError('usage', `--dst ${mount.dst}: expected an absolute container path without "." or ".."`);
  }
  const source = hostPath(mount.src, deps);
  if (!(await exists(source))) {
    throw new JackinError('not-found', `mount source ${source} does not exist`, { hint: 'create it, or correct --src' });
  }
  // A path below ~ is kept as it was written: it then means the same on every machine.
  const kept = { ...mount, src: mount.src.startsWith('~') ? mount.src : source };
  const done = `added ${described(where)}: ${kept.src} at ${kept.dst}, ${access(kept.readonly)}`;
  await saveAndPrint(
    {
      workspace: undefined,
      change: (current) => addMountEdits(current, where, kept),
      done,
      unchanged: done,
      data: { ...where, scope: where.scope ?? null, ...kept },
    },
    format,
    deps,
  );
};

const list = async (scope: string | undefined, format: Format, deps: Deps): Promise<void> => {
  const { readConfigFiles } = await import('../config/files.ts');
  const { listGlobalMounts } = await import('../config/change-settings.ts');
  const { global } = await readConfigFiles(locatePaths(deps));
  const mounts = listGlobalMounts(global?.document.value ?? {}, scope);
  printResult(deps, format, { file: global?.document.file ?? null, mounts }, () => {
    if (mounts.length === 0) return 'no mounts';
    const rows = mounts.map((mount) => [mount.name, mount.scope ?? 'every role', mount.src, mount.dst, access(mount.readonly)]);
    return table([['NAME', 'SCOPE', 'SOURCE', 'DESTINATION', 'ACCESS'], ...rows]);
  });
};

const remove = async (where: GlobalMountName, format: Format, deps: Deps): Promise<void> => {
  const { removeMountEdits } = await import('../config/change-settings.ts');
  const done = `removed ${described(where)}`;
  const change = (current: Record<string, unknown>) => removeMountEdits(current, where);
  await saveAndPrint({ workspace: undefined, change, done, unchanged: done, data: { name: where.name, scope: where.scope ?? null } }, format, deps);
};

const SCOPE = 'a role, or all roles of a namespace, such as "chainargos/*"';

export const mountCommand = (context: Context) =>
  new Command('mount')
    .summary('mounts for every workspace')
    .addCommand(
      new Command('add')
        .summary('add a mount')
        .argument('<name>')
        .requiredOption('--src <path>', 'path on this machine')
        .requiredOption('--dst <path>', 'path in the container')
        .option('--readonly', 'the container may only read')
        .option('--scope <scope>', `only for ${SCOPE}`)
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((name, { scope, src, dst, readonly = false, format }) => add({ name, scope }, { src, dst, readonly }, format, context.deps)),
    )
    .addCommand(
      new Command('list')
        .summary('list the mounts')
        .option('--scope <scope>', 'only those of this scope')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action(({ scope, format }) => list(scope, format, context.deps)),
    )
    .addCommand(
      new Command('remove')
        .summary('remove a mount')
        .argument('<name>')
        .option('--scope <scope>', 'the one of this scope')
        .addOption(asksNothing())
        .addOption(formatOption())
        .action((name, { scope, format }) => remove({ name, scope }, format, context.deps)),
    );
