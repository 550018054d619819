import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import * as z from 'zod';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { Env } from './find-endpoint.ts';

const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+-]*$/;

const dependencySchema = z.record(z.string(), z.string()).default({});

const manifestSchema = z.object({
  name: z.string().regex(PACKAGE_NAME),
  version: z.string().regex(VERSION),
  dist: z.object({ tarball: z.url({ protocol: /^https?$/ }), integrity: z.string() }),
  dependencies: dependencySchema,
  optionalDependencies: dependencySchema,
});

const packumentSchema = z.object({ versions: z.record(z.string(), z.unknown()) });

/** What a registry says of one version of a package. */
export type Manifest = z.infer<typeof manifestSchema>;

export interface Registry {
  /** By exact version, by dist-tag such as `latest`, or by semver range (the highest match). */
  resolvePackage(name: string, wanted: string, signal?: AbortSignal): Promise<Manifest>;
  /** The bytes of a package; the stream fails at its end unless their SHA-512 is the manifest's. */
  openTarball(manifest: Manifest, options: TarballOptions): Promise<Readable>;
}

export interface TarballOptions {
  signal?: AbortSignal;
  /** Bytes so far, and in all when the registry tells. */
  onBytes?: (done: number, total: number | undefined) => void;
}

type Body = AsyncIterable<Uint8Array> & { destroy(): unknown };

interface Settings {
  flat: Record<string, unknown>;
  /** The registry that npm uses where nothing is configured. */
  defaultRegistry: string;
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/**
 * npm's own settings: environment, user and global files. Not the `.npmrc` of the
 * current directory: that may be a stranger's project, and what is fetched here
 * will hold the operator's login.
 */
const npmSettings = async (env: Env): Promise<Settings> => {
  const { default: Config } = await import('@npmcli/config');
  const { default: npm } = await import('@npmcli/config/lib/definitions/index.js');
  const npmPath = join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm');
  const { definitions, shorthands, flatten, nerfDarts } = npm;
  // It writes into the environment that it is given.
  const config = new Config({ npmPath, definitions, shorthands, flatten, nerfDarts, argv: ['', '', '--global'], env: { ...env } });
  try {
    await config.load();
    return { flat: config.flat, defaultRegistry: textOf(definitions.registry?.default) ?? '' };
  } catch (error) {
    throw new JackinError('download.failed', `npm's configuration cannot be read: ${messageOf(error)}`, { cause: error });
  }
};

const hostOf = (url: unknown): string => {
  try {
    return new URL(String(url)).host;
  } catch {
    return 'without a valid address';
  }
};

const failure = (what: string, error: unknown, settings: Settings, signal: AbortSignal | undefined): JackinError => {
  if (error instanceof JackinError) return error;
  if (signal?.aborted) return new JackinError('interrupted', `${what}: interrupted`, { cause: error });
  const code = error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
  const registry = `the npm registry (${hostOf(settings.flat.registry)})`;
  if (code === 'E404') return new JackinError('download.failed', `${what}: ${registry} does not have it`, { cause: error });
  if (code === 'EINTEGRITY') {
    return new JackinError('download.failed', `${what}: what ${registry} sent is not what its SHA-512 promises. Nothing of it is used.`, {
      hint: 'try again; if it happens again, the registry or a proxy on the way is broken',
      cause: error,
    });
  }
  if (/^E\d+$/.test(code)) {
    return new JackinError('download.failed', `${what}: ${registry} answered with HTTP status ${code.slice(1)}`, {
      hint: 'check the registry and its access in npm\'s configuration (npm config ls)',
      cause: error,
    });
  }
  return new JackinError('download.failed', `${what}: ${registry} cannot be reached (${code})`, {
    hint: 'check the network, and registry and proxy in npm\'s configuration (npm config ls). What is cached already starts offline',
    cause: error,
  });
};

/** npm's `replace-registry-host`: a mirror may hand out addresses of the registry that it mirrors. */
const tarballAddress = (tarball: string, { flat, defaultRegistry }: Settings): string => {
  const rule = textOf(flat.replaceRegistryHost) ?? 'npmjs';
  const url = new URL(tarball);
  const host = rule === 'npmjs' ? hostOf(defaultRegistry) : rule;
  if (rule === 'never' || (rule !== 'always' && url.host !== host)) return tarball;
  const registry = new URL(String(flat.registry));
  if (registry.host === url.host) return tarball;
  return new URL(registry.pathname.replace(/\/$/, '') + url.pathname, registry).href;
};

const parseManifest = (what: string, answer: unknown): Manifest => {
  const parsed = manifestSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new JackinError('download.failed', `${what}: the npm registry's answer makes no sense (${fields || 'no object'})`);
};

const pickVersion = async (what: string, packument: unknown, range: string): Promise<Manifest> => {
  const { default: semver } = await import('semver');
  const parsed = packumentSchema.safeParse(packument);
  const versions = parsed.success ? parsed.data.versions : {};
  const best = semver.maxSatisfying(Object.keys(versions), range);
  if (best === null) throw new JackinError('download.failed', `${what}: the npm registry has no such version`);
  return parseManifest(what, versions[best]);
};

const digestsOf = async (manifest: Manifest): Promise<string[]> => {
  const { default: ssri } = await import('ssri');
  const digests = ssri.parse(manifest.dist.integrity)?.sha512?.map((hash) => hash.digest) ?? [];
  if (digests.length > 0) return digests;
  throw new JackinError('download.failed', `${manifest.name}@${manifest.version}: the npm registry gives no SHA-512 for it`);
};

/** Passes the bytes on, and ends well only when all have come and their digest is right. */
async function* verified(body: Body, digests: string[], onChunk: (bytes: number) => void, fail: (error: unknown) => JackinError) {
  const hash = createHash('sha512');
  try {
    for await (const chunk of body) {
      hash.update(chunk);
      onChunk(chunk.length);
      yield chunk;
    }
    if (digests.includes(hash.digest('base64'))) return;
    throw Object.assign(new Error('wrong digest'), { code: 'EINTEGRITY' });
  } catch (error) {
    throw fail(error);
  } finally {
    body.destroy();
  }
}

/** A client of the registry that npm on this machine is configured for. Asks nothing by itself. */
export const openRegistry = async (env: Env): Promise<Registry> => {
  const settings = await npmSettings(env);
  const { default: fetch } = await import('npm-registry-fetch');
  const { default: semver } = await import('semver');
  const options = (name: string, signal: AbortSignal | undefined): Record<string, unknown> => ({
    ...settings.flat,
    spec: name,
    // What is fetched goes into a volume; npm's cache would only hold it a second time.
    cache: undefined,
    retry: { retries: 2, factor: 2, minTimeout: 500, maxTimeout: 2000 },
    timeout: 30_000,
    signal,
  });

  return {
    resolvePackage: async (name, wanted, signal) => {
      const what = `${name}@${wanted}`;
      if (!PACKAGE_NAME.test(name)) throw new JackinError('download.failed', `"${name}" is not the name of an npm package`);
      const path = `/${name.replace('/', '%2f')}`;
      const exact = semver.valid(wanted) !== null || semver.validRange(wanted) === null;
      try {
        if (exact) {
          const answer = await fetch(`${path}/${encodeURIComponent(wanted)}`, options(name, signal));
          return parseManifest(what, await answer.json());
        }
        const headers = { accept: 'application/vnd.npm.install-v1+json' };
        const answer = await fetch(path, { ...options(name, signal), headers });
        return await pickVersion(what, await answer.json(), wanted);
      } catch (error) {
        throw failure(what, error, settings, signal);
      }
    },

    openTarball: async (manifest, { signal, onBytes }) => {
      const what = `downloading ${manifest.name}@${manifest.version}`;
      const fail = (error: unknown): JackinError => failure(what, error, settings, signal);
      const digests = await digestsOf(manifest);
      try {
        const answer = await fetch(tarballAddress(manifest.dist.tarball, settings), options(manifest.name, signal));
        const length = Number(answer.headers.get('content-length'));
        const total = length > 0 ? length : undefined;
        let done = 0;
        const onChunk = (bytes: number): void => onBytes?.((done += bytes), total);
        return Readable.from(verified(answer.body, digests, onChunk, fail), { objectMode: false });
      } catch (error) {
        throw fail(error);
      }
    },
  };
};
