import path from 'node:path';
import { SECRET_FORMS, type SecretForm } from '../auth/secret-forms.ts';
import { createFinder } from '../auth/secret-scan.ts';
import type { Paths } from '../config/paths.ts';
import type { Engine } from '../docker/engine.ts';
import { type Instance, type InstanceState, stateOf } from '../instances/find.ts';
import type { Report } from '../shared/progress.ts';
import type { Deps } from './deps.ts';
import { enginePlaces } from './verify-engine.ts';
import { checkModes, type ModeReport } from './verify-modes.ts';
import { lookAt, type PlaceReport, type PlaceToLook } from './verify-place.ts';
import { type NotLookedFor, secretsOf } from './verify-secrets.ts';
import { statePlaces } from './verify-state.ts';

export interface Finding {
  place: string;
  /** Where in the place. */
  where: string;
  /** What it is called; never what it is. */
  secret: string;
  form: SecretForm;
}

export interface Verification {
  instance_id: string;
  container: string;
  state: InstanceState;
  /** Nothing was found, every place that there is could be looked at, and the modes are right. */
  ok: boolean;
  secrets: string[];
  forms: readonly SecretForm[];
  places: Omit<PlaceReport, 'findings'>[];
  findings: Finding[];
  modes: ModeReport;
  not_looked_for: NotLookedFor[];
}

export interface VerifyOptions {
  withOp: boolean;
  report: Report;
}

const ON_ENGINE: PlaceToLook = {
  place: 'engine',
  run: async () => ({ absent: 'the container is gone: only the state is looked at' }),
};

const placesOf = async (engine: Engine, instance: Instance, paths: Paths, signal: AbortSignal): Promise<PlaceToLook[]> => {
  const own = statePlaces(paths, instance.container);
  if (instance.engine === undefined) return [ON_ENGINE, ...own];
  const inspected = await engine.inspect('container', instance.engine.id, { signal });
  return inspected === undefined ? [ON_ENGINE, ...own] : [...enginePlaces(engine, instance, inspected), ...own];
};

/**
 * Looks for every secret of an instance in every place where one could have come to lie, in
 * all its forms, and checks who may read the places where they belong. Throws when it is
 * interrupted, and when the configuration cannot be read.
 */
export const verifyInstance = async (engine: Engine, instance: Instance, paths: Paths, options: VerifyOptions, deps: Deps): Promise<Verification> => {
  const directory = path.join(paths.dataDir, instance.container);
  const { secrets, notLookedFor } = await secretsOf(directory, instance.record, options.withOp, paths, deps);
  const finder = createFinder(secrets.map(({ secret }) => secret));
  const names = secrets.map(({ name }) => finder.mask(name));
  const waiting = await placesOf(engine, instance, paths, deps.signal);
  let done = 0;
  const places = await Promise.all(
    waiting.map(async (place) => {
      const report = await lookAt(place, finder, deps.signal);
      options.report({ step: 'verify', message: `${instance.container}: ${(done += 1)} of ${waiting.length} places` });
      return report;
    }),
  );
  const modes = await checkModes(directory, finder, deps.signal);
  const findings = places.flatMap(({ place, findings: hits }) =>
    hits.map(({ where, secret, form }) => ({ place, where, secret: names[secret]!, form })),
  );
  return {
    instance_id: instance.id,
    container: instance.container,
    state: stateOf(instance),
    ok: findings.length === 0 && modes.problems.length === 0 && places.every(({ result }) => result !== 'failed'),
    secrets: names,
    forms: SECRET_FORMS,
    places: places.map(({ place, result, what }) => ({ place, result, what })),
    findings,
    modes,
    not_looked_for: notLookedFor.map(({ names: all, why }) => ({ names: all.map(finder.mask), why })),
  };
};
