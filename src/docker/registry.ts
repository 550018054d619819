import { Readable } from 'node:stream';
import * as z from 'zod';
import { isErrno, JackinError } from '../shared/errors.ts';
import { DOWNLOAD_LIMITS, type DownloadLimits } from './download-limits.ts';
import type { Env } from './find-endpoint.ts';
import { hostOf, npmSettings, type NpmSettings, tarballAddress } from './npm-settings.ts';
import { patiently, registryFailure } from './registry-failure.ts';
import { verifiedTarball } from './tarball.ts';

const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
/** Goes into a file of the operator's as it is. */
const INTEGRITY = /^[\x20-\x7e]{1,4096}$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+-]*$/;

/** What of a tarball is fetched before it is its turn. */
const AHEAD_BYTES = 1024 * 1024;

const dependencySchema = z.record(z.string(), z.string()).default({});

const manifestSchema = z.object({
  name: z.string().regex(PACKAGE_NAME),
  version: z.string().regex(VERSION),
  dist: z.object({ tarball: z.url({ protocol: /^https?$/ }), integrity: z.string().regex(INTEGRITY) }),
  dependencies: dependencySchema,
  optionalDependencies: dependencySchema,
});

const packumentSchema = z.object({ versions: z.record(z.string(), z.unknown()) });

/** What a registry says of one version of a package. */
export type Manifest = z.infer<typeof manifestSchema>;

export interface Registry {
  /** By exact version, by dist-tag such as `latest`, or by semver range (the highest match). */
  resolvePackage(name: string, wanted: string, signal?: AbortSignal): Promise<Manifest>;
  /** The same, but undefined when the registry does not have it. */
  findPackage(name: string, wanted: string, signal?: AbortSignal): Promise<Manifest | undefined>;
  /** All versions of a package by their number; none when there is no such package. A big answer: only where one version is not enough. */
  listVersions(name: string, signal?: AbortSignal): Promise<ReadonlyMap<string, Manifest>>;
  /** The bytes of a package; the stream fails at its end unless their SHA-512 is the manifest's. */
  openTarball(manifest: Manifest, options: TarballOptions): Promise<Readable>;
}

export interface TarballOptions {
  signal?: AbortSignal;
  /** Bytes so far, and in all when the registry tells. */
  onBytes?: (done: number, total: number | undefined) => void;
}

/** The manifest in an answer; `what` is for the error, `download.failed`. */
export const manifestIn = (what: string, answer: unknown): Manifest => {
  const parsed = manifestSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new JackinError('download.failed', `${what}: the npm registry's answer makes no sense (${fields || 'no object'})`);
};

const versionsOf = (packument: unknown): Record<string, unknown> => {
  const parsed = packumentSchema.safeParse(packument);
  return parsed.success ? parsed.data.versions : {};
};

/** One broken version of a package is no reason not to use the others. */
export const manifestsIn = (packument: unknown): Map<string, Manifest> => {
  const parsed = Object.values(versionsOf(packument)).map((version) => manifestSchema.safeParse(version));
  return new Map(parsed.flatMap(({ data }) => (data === undefined ? [] : [[data.version, data]])));
};

const digestsOf = async (manifest: Manifest): Promise<string[]> => {
  const { default: ssri } = await import('ssri');
  const digests = ssri.parse(manifest.dist.integrity)?.sha512?.map((hash) => hash.digest) ?? [];
  if (digests.length > 0) return digests;
  throw new JackinError('download.failed', `${manifest.name}@${manifest.version}: the npm registry gives no SHA-512 for it`);
};

type Fetch = typeof import('npm-registry-fetch').default;

/** What a client of one registry works with. */
interface Client {
  settings: NpmSettings;
  fetch: Fetch;
  limits: DownloadLimits;
}

/** A question has a small answer: a registry that is silent about it is given up sooner than one in the middle of a download. */
const forQuestions = (limits: DownloadLimits): DownloadLimits => ({ ...limits, silenceMs: Math.min(limits.silenceMs, 15_000), retries: Math.min(limits.retries, 2) });

const fetchOptions = ({ settings, limits }: Client, name: string, signal: AbortSignal | undefined): Record<string, unknown> => ({
  ...settings.flat,
  spec: name,
  // What is fetched goes into a volume; npm's cache would only hold it a second time.
  cache: undefined,
  // Tried again by us, who hear what the registry asks for.
  retry: { retries: 0 },
  timeout: limits.silenceMs,
  signal,
});

/** What a GET gives, or undefined for an honest 404. */
const ask = async (client: Client, what: string, name: string, rest: string, signal: AbortSignal | undefined): Promise<unknown> => {
  if (!PACKAGE_NAME.test(name)) throw new JackinError('download.failed', `${JSON.stringify(name)} is not the name of an npm package`);
  const patient = { ...client, limits: forQuestions(client.limits) };
  const headers = rest === '' ? { headers: { accept: 'application/vnd.npm.install-v1+json' } } : {};
  const get = async (): Promise<unknown> => {
    const answer = await client.fetch(`/${name.replace('/', '%2f')}${rest}`, { ...fetchOptions(patient, name, signal), ...headers });
    return await answer.json();
  };
  try {
    return await patiently(get, patient.limits, signal);
  } catch (error) {
    if (isErrno(error, 'E404')) return undefined;
    throw registryFailure(what, error, hostOf(client.settings.flat.registry), signal);
  }
};

const find = async (client: Client, name: string, wanted: string, signal: AbortSignal | undefined): Promise<Manifest | undefined> => {
  const { default: semver } = await import('semver');
  const what = `${name}@${wanted}`;
  const exact = semver.valid(wanted) !== null || semver.validRange(wanted) === null;
  if (exact) {
    const answer = await ask(client, what, name, `/${encodeURIComponent(wanted)}`, signal);
    return answer === undefined ? undefined : manifestIn(what, answer);
  }
  const versions = versionsOf(await ask(client, what, name, '', signal));
  const best = semver.maxSatisfying(Object.keys(versions), wanted);
  return best === null ? undefined : manifestIn(what, versions[best]);
};

const openTarball = async (client: Client, manifest: Manifest, { signal, onBytes }: TarballOptions): Promise<Readable> => {
  const { settings, fetch, limits } = client;
  const address = tarballAddress(manifest.dist.tarball, settings);
  const options = fetchOptions(client, manifest.name, signal);
  const download = {
    // Compressed once more on the way, the bytes of a part would not be those that were asked for.
    get: async (range: string) => await fetch(address, { ...options, headers: { range, 'accept-encoding': 'identity' } }),
    digests: await digestsOf(manifest),
    limits,
    signal,
    onBytes,
    fail: (error: unknown) => registryFailure(`downloading ${manifest.name}@${manifest.version}`, error, hostOf(address), signal),
  };
  return Readable.from(verifiedTarball(download), { objectMode: false, highWaterMark: AHEAD_BYTES });
};

/** A client of the registry that npm on this machine is configured for. Asks nothing by itself. */
export const openRegistry = async (env: Env, limits: DownloadLimits = DOWNLOAD_LIMITS): Promise<Registry> => {
  const settings = await npmSettings(env);
  const { default: fetch } = await import('npm-registry-fetch');
  const client: Client = { settings, fetch, limits };
  return {
    findPackage: async (name, wanted, signal) => await find(client, name, wanted, signal),

    resolvePackage: async (name, wanted, signal) => {
      const found = await find(client, name, wanted, signal);
      if (found !== undefined) return found;
      throw new JackinError('download.failed', `${name}@${wanted}: the npm registry (${hostOf(settings.flat.registry)}) does not have it`);
    },

    listVersions: async (name, signal) => manifestsIn(await ask(client, name, name, '', signal)),
    openTarball: async (manifest, options) => await openTarball(client, manifest, options),
  };
};
