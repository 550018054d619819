import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { JackinError } from '../shared/errors.ts';
import { packContext } from './build-context.ts';
import { buildWithTail } from './build.ts';
import { directoryKey } from './content-key.ts';
import type { Engine, LongCall } from './engine.ts';
import type { Env } from './find-endpoint.ts';
import { MANAGED } from './labels.ts';

const DOCKERFILE = 'Dockerfile';

export interface ConstructOptions {
  /** Folder of the installed package, which holds `construct/`. */
  packageRoot: string;
  /** Value of JACKIN_CONSTRUCT_IMAGE: any other image. */
  override?: string | undefined;
  env: Env;
}

export interface Construct {
  /** For a FROM line. */
  reference: string;
  id: string;
  /** What keys of images built on it are made of. */
  key: string;
  built: boolean;
  /** For people: where it came from. */
  how: string;
}

/** Name of the construct that this version of the recipe makes. */
export const constructReference = async (packageRoot: string): Promise<string> =>
  `jackin-local/construct:${await directoryKey(path.join(packageRoot, 'construct'))}`;

const idOf = async (engine: Engine, reference: string): Promise<string> => {
  const id = await engine.imageId(reference);
  if (id === undefined) throw new JackinError('engine.failed', `the engine does not have ${reference}, although it said so`);
  return id;
};

/** Asked for by name, so it may be pulled; its tag may move, so its id is its key. */
const overriding = async (engine: Engine, reference: string, call: LongCall): Promise<Construct> => {
  const how = 'named by JACKIN_CONSTRUCT_IMAGE';
  const id = await engine.imageId(reference);
  if (id !== undefined) return { reference, id, key: id, built: false, how };
  await engine.pullImage(reference, call);
  const pulled = await idOf(engine, reference);
  return { reference, id: pulled, key: pulled, built: false, how: `${how}, pulled` };
};

/** The image that stands for `projectjackin/construct`: built once per recipe on each engine. */
export const ensureConstruct = async (engine: Engine, options: ConstructOptions, call: LongCall): Promise<Construct> => {
  if (options.override) return await overriding(engine, options.override, call);

  const reference = await constructReference(options.packageRoot);
  const present = await engine.imageId(reference);
  if (present !== undefined) return { reference, id: present, key: reference, built: false, how: 'present' };

  // A launch that finds the construct never loads what makes one.
  const { debianBase } = await import('./debian-base.ts');
  const base = await debianBase(engine, options.env, call);
  const folder = path.join(options.packageRoot, 'construct');
  const text = await readFile(path.join(folder, DOCKERFILE), 'utf8');
  const spec = {
    context: await packContext(folder, { path: DOCKERFILE, text }),
    dockerfile: DOCKERFILE,
    tag: reference,
    labels: MANAGED,
    buildArgs: { BASE: base.reference },
  };
  await buildWithTail(engine, spec, call, () => undefined);
  return { reference, id: await idOf(engine, reference), key: reference, built: true, how: base.how };
};
