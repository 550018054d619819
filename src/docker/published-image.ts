import { JackinError, messageOf } from '../shared/errors.ts';
import { oursAmong } from './dockerfile-rules.ts';
import type { Engine, LongCall } from './engine.ts';

/** An image that the author of a role has built of it. */
export interface PublishedImage {
  /** As the manifest names it. */
  reference: string;
  /** `sha256:…`, as it was when the role was trusted. The name alone may stand for another image by now. */
  digest: string;
}

const INSPECT_MS = 30_000;

const pinned = ({ reference, digest }: PublishedImage): string => `${reference.replace(/@.*$/, '').replace(/:[^/:]+$/, '')}@${digest}`;

/** What would act on the layer that jackin adds. */
const objectionTo = (image: object): string | undefined => {
  const { Config } = image as { Config?: { Volumes?: Record<string, unknown> | null; OnBuild?: string[] | null } };
  if ((Config?.OnBuild ?? []).length > 0) return 'it has ONBUILD instructions';
  const ours = oursAmong(Object.keys(Config?.Volumes ?? {}));
  return ours === undefined ? undefined : `it has a volume ${ours}, where jackin itself mounts`;
};

/**
 * The reference of a published image that can be built on, pulled by its digest when
 * the engine does not have it. Undefined, and a line says why, when the role has to be
 * built from its Dockerfile after all.
 */
export const obtainPublished = async (engine: Engine, published: PublishedImage, call: LongCall): Promise<string | undefined> => {
  const reference = pinned(published);
  const refuse = (why: string): undefined => {
    call.onLine?.(`${reference} is not used (${why}): the role is built from its Dockerfile`);
    return undefined;
  };
  try {
    if ((await engine.imageId(reference)) === undefined) await engine.pullImage(reference, call);
  } catch (error) {
    if (!(error instanceof JackinError) || error.code !== 'engine.failed') throw error;
    return refuse(messageOf(error));
  }
  const image = await engine.inspect('image', reference, { signal: AbortSignal.timeout(INSPECT_MS) });
  if (image === undefined) return refuse('the engine does not have it under this digest');
  const objection = objectionTo(image);
  return objection === undefined ? reference : refuse(objection);
};
