import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import * as z from 'zod';
import { isErrno, JackinError, messageOf } from '../shared/errors.ts';
import type { Env } from './find-endpoint.ts';

const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+-]*$/;

/** npm's client keeps in memory what is not taken in time: a tarball is asked for in pieces, not as a whole. */
const PIECE_BYTES = 16 * 1024 * 1024;

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

type Body = AsyncIterable<Uint8Array> & { destroy(): unknown };

interface Answer {
  headers: { get(name: string): string | null };
  body: Body;
}

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

const versionsOf = (packument: unknown): Record<string, unknown> => {
  const parsed = packumentSchema.safeParse(packument);
  return parsed.success ? parsed.data.versions : {};
};

/** One broken version of a package is no reason not to use the others. */
const manifestsOf = (packument: unknown): Map<string, Manifest> => {
  const parsed = Object.values(versionsOf(packument)).map((version) => manifestSchema.safeParse(version));
  return new Map(parsed.flatMap(({ data }) => (data === undefined ? [] : [[data.version, data]])));
};

const digestsOf = async (manifest: Manifest): Promise<string[]> => {
  const { default: ssri } = await import('ssri');
  const digests = ssri.parse(manifest.dist.integrity)?.sha512?.map((hash) => hash.digest) ?? [];
  if (digests.length > 0) return digests;
  throw new JackinError('download.failed', `${manifest.name}@${manifest.version}: the npm registry gives no SHA-512 for it`);
};

/** A piece of a tarball and the size of the whole, where the registry tells; `last` when it did not send pieces. */
const pieceOf = ({ headers, body }: Answer): { body: Body; total: number | undefined; last: boolean } => {
  const [, whole] = /^bytes \d+-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? [];
  const size = Number(whole ?? headers.get('content-length'));
  return { body, total: size > 0 ? size : undefined, last: whole === undefined };
};

interface Download {
  /** Asks for the bytes from here on, as many as fit in a piece. */
  get: (from: number) => Promise<Answer>;
  digests: string[];
  onBytes: TarballOptions['onBytes'];
  fail: (error: unknown) => JackinError;
}

/** Passes the bytes on, and ends well only when all have come and their digest is right. */
async function* verified({ get, digests, onBytes, fail }: Download) {
  const hash = createHash('sha512');
  let done = 0;
  try {
    for (let more = true; more; ) {
      const from = done;
      const { body, total, last } = pieceOf(await get(from));
      try {
        for await (const chunk of body) {
          hash.update(chunk);
          done += chunk.length;
          onBytes?.(done, total);
          yield chunk;
        }
      } finally {
        body.destroy();
      }
      more = !last && done > from && done < (total ?? 0);
    }
    if (digests.includes(hash.digest('base64'))) return;
    throw Object.assign(new Error('wrong digest'), { code: 'EINTEGRITY' });
  } catch (error) {
    throw fail(error);
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

  /** What a GET gives, or undefined for an honest 404. */
  const ask = async (what: string, name: string, rest: string, signal: AbortSignal | undefined): Promise<unknown> => {
    if (!PACKAGE_NAME.test(name)) throw new JackinError('download.failed', `"${name}" is not the name of an npm package`);
    const headers = rest === '' ? { headers: { accept: 'application/vnd.npm.install-v1+json' } } : {};
    try {
      const answer = await fetch(`/${name.replace('/', '%2f')}${rest}`, { ...options(name, signal), ...headers });
      return await answer.json();
    } catch (error) {
      if (isErrno(error, 'E404')) return undefined;
      throw failure(what, error, settings, signal);
    }
  };

  const findPackage = async (name: string, wanted: string, signal?: AbortSignal): Promise<Manifest | undefined> => {
    const what = `${name}@${wanted}`;
    const exact = semver.valid(wanted) !== null || semver.validRange(wanted) === null;
    if (exact) {
      const answer = await ask(what, name, `/${encodeURIComponent(wanted)}`, signal);
      return answer === undefined ? undefined : parseManifest(what, answer);
    }
    const versions = versionsOf(await ask(what, name, '', signal));
    const best = semver.maxSatisfying(Object.keys(versions), wanted);
    return best === null ? undefined : parseManifest(what, versions[best]);
  };

  return {
    findPackage,

    resolvePackage: async (name, wanted, signal) => {
      const found = await findPackage(name, wanted, signal);
      if (found !== undefined) return found;
      throw new JackinError('download.failed', `${name}@${wanted}: the npm registry (${hostOf(settings.flat.registry)}) does not have it`);
    },

    listVersions: async (name, signal) => manifestsOf(await ask(name, name, '', signal)),

    openTarball: async (manifest, { signal, onBytes }) => {
      const what = `downloading ${manifest.name}@${manifest.version}`;
      const digests = await digestsOf(manifest);
      const address = tarballAddress(manifest.dist.tarball, settings);
      const get = async (from: number): Promise<Answer> => {
        // npm's client would try an interrupted request again, and wait in between.
        signal?.throwIfAborted();
        const headers = { range: `bytes=${from}-${from + PIECE_BYTES - 1}` };
        return await fetch(address, { ...options(manifest.name, signal), headers });
      };
      const fail = (error: unknown): JackinError => failure(what, error, settings, signal);
      return Readable.from(verified({ get, digests, onBytes, fail }), { objectMode: false });
    },
  };
};
