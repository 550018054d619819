import * as z from 'zod';
import type { Labels } from './engine.ts';

const packageSchema = z.object({ name: z.string(), version: z.string(), integrity: z.string() });
const listSchema = z.array(packageSchema).min(1);
const markerSchema = z.object({ packages: listSchema });

/** One package of the npm registry, exactly: `integrity` is the digest that npm calls so. */
export type ExactPackage = z.infer<typeof packageSchema>;

const LABEL = 'jackin.packages';

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** What a volume is made of, on its label: so that it can be told without looking into it. */
export const packagesLabel = (packages: readonly ExactPackage[]): Labels => ({ [LABEL]: JSON.stringify(packages) });

export const packagesOnLabel = (labels: Labels): ExactPackage[] | undefined => listSchema.safeParse(parsed(labels[LABEL] ?? '')).data;

/** The same, as the marker of a complete volume has it. */
export const packagesInMarker = (text: string): ExactPackage[] | undefined => markerSchema.safeParse(parsed(text)).data?.packages;

const lines = (packages: readonly ExactPackage[]): string =>
  packages
    .map(({ name, version, integrity }) => `${name}@${version} ${integrity}`)
    .sort()
    .join('\n');

export const areSamePackages = (one: readonly ExactPackage[], other: readonly ExactPackage[]): boolean => lines(one) === lines(other);

/** A package of the one list that has another content in the other, under the same version. */
export const contradiction = (one: readonly ExactPackage[], other: readonly ExactPackage[]): ExactPackage | undefined =>
  one.find(({ name, version, integrity }) => other.some((its) => its.name === name && its.version === version && its.integrity !== integrity));
