import { Command } from '@commander-js/extra-typings';
import type { Paths } from '../config/paths.ts';
import type { Deps } from '../launch/deps.ts';
import type { Instance, Selection } from '../instances/find.ts';
import { JackinError } from '../shared/errors.ts';
import { asksNothing, type Context, formatOption } from './options.ts';
import { asJackinError } from '../shared/system-error.ts';
import { type Format, printResult, say, sayError } from './output.ts';

const SELECTOR = 'role, instance id or container name';

const assertNamed = ({ selector, all }: Selection, verb: string): void => {
  if (selector !== undefined || all) return;
  throw new JackinError('usage', `nothing was named to ${verb}`, { hint: `name a role or an instance, or use --all; \`jackin status\` lists them` });
};

type Verb = 'eject' | 'purge';
const DONE = { eject: 'Ejected', purge: 'Purged' } as const;

interface Outcome {
  done: Instance[];
  /** Instances that other jackins are launching, with their processes. */
  left: { instance: Instance; launcher: number }[];
  failed: { instance: Instance; error: JackinError }[];
}

const describe = ({ id, container }: Instance): { instance_id: string; container: string } => ({ instance_id: id, container });

const asData = ({ done, left, failed }: Outcome, verb: Verb): object => ({
  [DONE[verb].toLowerCase()]: done.map(describe),
  left_alone: left.map(({ instance, launcher }) => ({ ...describe(instance), pid: launcher })),
  failed: failed.map(({ instance, error: { code, message, hint } }) => ({ ...describe(instance), code, message, hint: hint ?? null })),
});

/** Prints what was done; whatever was not is told by its name. */
const print = ({ deps, exit }: Context, format: Format, outcome: Outcome, verb: Verb): void => {
  const { done, left, failed } = outcome;
  printResult(deps, format, asData(outcome, verb), () => {
    if (done.length > 0) return done.map(({ container }) => `${DONE[verb]} ${container}`).join('\n');
    return failed.length + left.length === 0 ? 'nothing to do' : '';
  });
  if (failed.length > 0) exit(failed[0]!.error.exitCode);
  if (format === 'json') return;
  for (const { instance, launcher } of left) say(deps, `note       ${instance.container} is being launched by another jackin (pid ${launcher}); it is left alone`);
  for (const { error } of failed) sayError(deps, error);
};

/** Does the work for each, to the end of the list; one that fails stops no other, unless nothing can work any more. */
const forEach = async (found: Instance[], work: (instance: Instance) => Promise<JackinError | undefined>, verb: Verb, { paths, deps }: { paths: Paths; deps: Deps }): Promise<Outcome> => {
  const { launcherOf } = await import('../instances/journal.ts');
  const outcome: Outcome = { done: [], left: [], failed: [] };
  const fail = (instance: Instance, { code, message, hint }: JackinError): void => {
    const why = `${instance.container} was not ${DONE[verb].toLowerCase()}: ${message}`;
    outcome.failed.push({ instance, error: new JackinError(code, why, hint === undefined ? {} : { hint }) });
  };
  let end: JackinError | undefined;
  for (const instance of found) {
    if (deps.signal.aborted) end ??= new JackinError('interrupted', 'interrupted');
    if (end !== undefined) {
      fail(instance, new JackinError(end.code, end.code === 'interrupted' ? 'interrupted' : 'the container engine is gone'));
      continue;
    }
    const launcher = await launcherOf(paths, instance.container);
    if (launcher !== undefined) {
      outcome.left.push({ instance, launcher });
      continue;
    }
    try {
      const trouble = await work(instance);
      outcome.done.push(instance);
      if (trouble !== undefined) outcome.failed.push({ instance, error: trouble });
    } catch (error) {
      const known = asJackinError(error);
      if (known.code === 'engine.unreachable') end = known;
      fail(instance, known);
    }
  }
  return outcome;
};

/** Without --all only one instance was meant: its error is the command's own. */
const settle = async (outcome: Outcome, { all }: Selection): Promise<Outcome> => {
  if (all) return outcome;
  const { beingLaunched } = await import('../instances/find.ts');
  const [left] = outcome.left;
  if (left !== undefined) throw beingLaunched({ ...left.instance, launcher: left.launcher });
  const [failed] = outcome.failed;
  if (failed !== undefined && outcome.done.length === 0) throw failed.error;
  return outcome;
};

const eject = async (selection: Selection, flags: { purge: boolean; format: Format }, context: Context): Promise<void> => {
  const { deps } = context;
  assertNamed(selection, 'eject');
  const { openInstances } = await import('../launch/open-instances.ts');
  const { isPresent, ejectInstance } = await import('../instances/lifecycle.ts');
  const { selectInstances } = await import('../instances/find.ts');
  const { engine, paths, instances } = await openInstances(deps);
  const candidates = flags.purge ? instances : instances.filter((instance) => isPresent(instance) || instance.launcher !== undefined);
  const found = selectInstances(candidates, selection, 'eject');
  const work = (instance: Instance) => ejectInstance(engine, paths, instance, { purge: flags.purge, now: deps.now() });
  const verb = flags.purge ? 'purge' : 'eject';
  print(context, flags.format, await settle(await forEach(found, work, verb, { paths, deps }), selection), verb);
};

const purge = async (selection: Selection, format: Format, context: Context): Promise<void> => {
  const { deps } = context;
  assertNamed(selection, 'purge');
  const { openInstances } = await import('../launch/open-instances.ts');
  const { assertEjected, deleteState } = await import('../instances/lifecycle.ts');
  const { selectInstances } = await import('../instances/find.ts');
  const { paths, instances } = await openInstances(deps);
  const found = selectInstances(instances, selection, 'purge');
  assertEjected(found);
  const work = (instance: Instance) => deleteState(paths, instance).then(() => undefined);
  print(context, format, await settle(await forEach(found, work, 'purge', { paths, deps }), selection), 'purge');
};

export const ejectCommand = (context: Context) =>
  new Command('eject')
    .summary('stop an instance and remove its container; its state stays')
    .argument('[selector]', SELECTOR)
    .option('--all', 'every instance that matches; without a selector every instance')
    .option('--purge', 'delete the state as well')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((selector, flags) =>
      eject({ selector, all: flags.all ?? false }, { purge: flags.purge ?? false, format: flags.format }, context),
    );

export const purgeCommand = (context: Context) =>
  new Command('purge')
    .summary('delete the state of an ejected instance')
    .argument('[selector]', SELECTOR)
    .option('--all', 'every instance that matches; without a selector every instance')
    .addOption(asksNothing())
    .addOption(formatOption())
    .action((selector, flags) => purge({ selector, all: flags.all ?? false }, flags.format, context));
