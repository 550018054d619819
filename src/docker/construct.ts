import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { JackinError } from '../shared/errors.ts';
import { packContext } from './build-context.ts';
import { buildWithTail } from './build.ts';
import { directoryKey } from './content-key.ts';
import type { Engine, LongCall } from './engine.ts';
import type { Env } from './find-endpoint.ts';
import { MANAGED } from './labels.ts';
import { once } from './once.ts';

const DOCKERFILE = 'Dockerfile';

export interface ConstructOptions {
  /** Folder of the installed package, which holds `construct/`. */
  packageRoot: string;
  /** Value of JACKIN_CONSTRUCT_IMAGE: any other image. */
  override?: string | undefined;
  env: Env;
  /** Builds although the image is there, every step anew. */
  rebuild?: boolean;
  /** Folder for locks: of several launches that need the construct, one builds it. */
  locks?: string;
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

const INSPECT_MS = 30_000;

export interface ConstructStatus {
  reference: string;
  /** Undefined: the engine does not have it. */
  image: { id: string; bytes: number; createdAt: string } | undefined;
  /** For people: how it is made, or where it comes from. */
  how: string;
  /** Debian packages that it holds; undefined for an image that is not of our recipe. */
  tools: string[] | undefined;
}

/** The packages that the recipe names. */
const toolsOf = (dockerfile: string): string[] => {
  const [, list = ''] = /--no-install-recommends ([^;]*);/.exec(dockerfile) ?? [];
  return list.split(/[\s\\]+/).filter((name) => name !== '');
};

/** What stands for `projectjackin/construct` on this engine, or would. Makes and pulls nothing. */
export const constructStatus = async (engine: Engine, { packageRoot, override, env }: ConstructOptions): Promise<ConstructStatus> => {
  const reference = override || (await constructReference(packageRoot));
  const found = (await engine.inspect('image', reference, { signal: AbortSignal.timeout(INSPECT_MS) })) as { Id: string; Size: number; Created: string } | undefined;
  const image = found && { id: found.Id, bytes: found.Size, createdAt: found.Created };
  if (override) return { reference, image, how: 'named by JACKIN_CONSTRUCT_IMAGE', tools: undefined };
  const { firstWay } = await import('./debian-base.ts');
  const text = await readFile(path.join(packageRoot, 'construct', DOCKERFILE), 'utf8');
  return { reference, image, how: `built on a Debian base (${await firstWay(engine, env)})`, tools: toolsOf(text) };
};

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

const build = async (engine: Engine, reference: string, options: ConstructOptions, call: LongCall): Promise<Construct> => {
  // A launch that finds the construct never loads what makes one.
  const { debianBase } = await import('./debian-base.ts');
  const base = await debianBase(engine, { env: options.env, fresh: options.rebuild ?? false }, call);
  const folder = path.join(options.packageRoot, 'construct');
  const text = await readFile(path.join(folder, DOCKERFILE), 'utf8');
  const spec = {
    context: await packContext(folder, { dockerfile: DOCKERFILE, text }),
    dockerfile: DOCKERFILE,
    tag: reference,
    labels: MANAGED,
    buildArgs: { BASE: base.reference },
    ...(options.env.JACKIN_BUILDER === 'buildkit' ? { builder: 'buildkit' as const } : {}),
    ...(options.rebuild ? { noCache: true } : {}),
  };
  await buildWithTail(engine, spec, call, () => undefined);
  return { reference, id: await idOf(engine, reference), key: reference, built: true, how: base.how };
};

/** The image that stands for `projectjackin/construct`: built once per recipe on each engine. */
export const ensureConstruct = async (engine: Engine, options: ConstructOptions, call: LongCall): Promise<Construct> => {
  if (options.override) return await overriding(engine, options.override, call);

  const reference = await constructReference(options.packageRoot);
  const present = await engine.imageId(reference);
  if (present !== undefined && !options.rebuild) return { reference, id: present, key: reference, built: false, how: 'present' };
  return await once(options.locks, reference, call, async () => {
    const before = await engine.imageId(reference);
    if (before !== undefined && before !== present) return { reference, id: before, key: reference, built: false, how: 'present' };
    const made = await build(engine, reference, options, call);
    // Roles that were built on the old one hold it: then it stays.
    if (before !== undefined && before !== made.id) await engine.removeImage(before).catch(() => undefined);
    return made;
  });
};
