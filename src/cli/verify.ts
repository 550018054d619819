import { Command } from '@commander-js/extra-typings';
import type { Verification } from '../launch/verify.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { type Format, printResult, table } from './output.ts';
import { progressPrinter } from './progress.ts';

const RESULTS = { clean: 'nothing', found: 'FOUND', absent: '-', failed: 'NOT LOOKED AT' } as const;

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

const modesRow = ({ modes }: Verification): string[] => [
  'modes',
  modes.problems.length === 0 ? 'as they should be' : 'WRONG',
  `${count(modes.files, 'file')} and ${modes.directories} director${modes.directories === 1 ? 'y' : 'ies'} of credentials`,
];

const verdict = ({ ok, secrets, forms, places, findings, modes }: Verification): string => {
  const looked = places.filter(({ result }) => result === 'clean' || result === 'found').length;
  const scope = `${count(secrets.length, 'secret')} in ${count(forms.length, 'form')}, ${count(looked, 'place')}`;
  const troubles = [
    ...(modes.problems.length === 0 ? [] : [count(modes.problems.length, 'wrong mode')]),
    ...(places.some(({ result }) => result === 'failed') ? ['not every place could be looked at'] : []),
  ];
  const more = troubles.length === 0 ? '' : `; ${troubles.join('; ')}`;
  if (findings.length > 0) return `found ${count(findings.length, 'trace')}: ${scope}${more}`;
  return ok && secrets.length === 0 ? `nothing to look for: the instance holds no secret that jackin knows of` : `nothing found: ${scope}${more}`;
};

const instanceText = (result: Verification): string => {
  const { container, state, secrets, places, findings, modes, not_looked_for: left } = result;
  const rows = [['PLACE', 'FOUND', 'LOOKED AT'], ...places.map(({ place, result: found, what }) => [place, RESULTS[found], what]), modesRow(result)];
  return [
    `${container} (${state})`,
    ...secrets.map((name) => `looked for ${name}`),
    ...left.map(({ names, why }) => `not looked for ${names.join(', ')}: ${why}`),
    table(rows),
    ...findings.map(({ place, where, secret, form }) => `found ${secret} (${form}) in ${place}: ${where}`),
    ...modes.problems.map(({ path, problem }) => `wrong ${path}: ${problem}`),
    verdict(result),
  ].join('\n');
};

interface Flags {
  withOp: boolean;
  format: Format;
}

const verify = async (selector: string | undefined, { withOp, format }: Flags, { deps, exit }: Context): Promise<void> => {
  const { openInstances } = await import('../launch/open-instances.ts');
  const { isShown, selectInstances } = await import('../instances/find.ts');
  const { verifyInstance } = await import('../launch/verify.ts');
  const { engine, paths, instances } = await openInstances(deps);
  const results: Verification[] = [];
  const { report, end } = progressPrinter(deps);
  // What was looked at stands in the result; meanwhile only a person wants to know.
  const watched = { withOp, report: deps.stderr.isTTY === true ? report : () => undefined };
  for (const instance of selectInstances(instances.filter(isShown), { selector, all: true }, 'verify')) {
    results.push(await verifyInstance(engine, instance, paths, watched, deps).finally(end));
  }
  printResult(deps, format, { instances: results }, () => (results.length === 0 ? 'no instances' : results.map(instanceText).join('\n\n')));
  if (results.some(({ ok }) => !ok)) exit(1);
};

export const verifyCommand = (context: Context) =>
  new Command('verify')
    .summary('look for the secrets of an instance wherever they must not be; exit 1 when one is found')
    .description(
      'Looks for every secret of an instance, as it is, in base64, URL and JSON form and in hex: in its container, its image, what the engine tells of them, and jackin’s own state. ' +
        'Checks who may read the files where secrets belong. Prints what was looked at, and never a secret. Exits 1 when one is found, when a mode is wrong, and when a place could not be looked at.',
    )
    .argument('[selector]', 'role, instance id or container name; without it every instance')
    .option('--with-op', 'ask 1Password for its values again, and look for them as well')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((selector, { withOp = false, format }) => verify(selector, { withOp, format }, context));
