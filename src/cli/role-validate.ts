import { Command } from '@commander-js/extra-typings';
import type { Deps } from '../launch/deps.ts';
import { EXIT_CODES } from '../shared/errors.ts';
import { hostPath } from './load.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult } from './output.ts';

const validate = async (folder: string, format: Format, deps: Deps): Promise<number> => {
  const { validateRole } = await import('../launch/validate-role.ts');
  const { folder: real, faults, more, notes } = await validateRole(hostPath(folder, deps));
  const problems = faults.map(({ place, message }) => ({ file: place?.file ?? null, line: place?.line ?? null, column: place?.column ?? null, message }));
  const count = faults.length + more;
  const verdict = count === 0 ? `${real}: a role that can be loaded` : `${real}: ${count === 1 ? 'a problem' : `${count} problems`}`;
  const rest = more === 0 ? [] : [`and ${more} more`];
  const data = { folder: real, valid: count === 0, problems, more_problems: more, notes };
  printResult(deps, format, data, () => [verdict, ...faults.map(({ shown }) => shown), ...rest, ...notes.map((note) => `note       ${note}`)].join('\n'));
  return count === 0 ? 0 : EXIT_CODES['config.invalid'];
};

export const roleValidateCommand = (context: Context) =>
  new Command('validate')
    .summary('look whether a role in a folder is right')
    .description('Looks at everything in a role’s folder that a load would refuse: its manifest, its Dockerfile, its hooks, links and size. All problems are told at once, of many the first 50 and their number; with one, the exit code is 3. Asks no engine, and runs nothing of the role.')
    .argument('[folder]', 'folder of the role', '.')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action(async (folder, flags) => context.exit(await validate(folder, flags.format, context.deps)));
