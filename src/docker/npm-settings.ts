import { dirname, join } from 'node:path';
import { JackinError, messageOf } from '../shared/errors.ts';
import type { Env } from './find-endpoint.ts';

export interface NpmSettings {
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
export const npmSettings = async (env: Env): Promise<NpmSettings> => {
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

/** Host and port of an address: never its user and password. */
export const hostOf = (url: unknown): string => {
  try {
    return new URL(String(url)).host;
  } catch {
    return 'without a valid address';
  }
};

/** npm's `replace-registry-host`: a mirror may hand out addresses of the registry that it mirrors. */
export const tarballAddress = (tarball: string, { flat, defaultRegistry }: NpmSettings): string => {
  const rule = textOf(flat.replaceRegistryHost) ?? 'npmjs';
  const url = new URL(tarball);
  const host = rule === 'npmjs' ? hostOf(defaultRegistry) : rule;
  if (rule === 'never' || (rule !== 'always' && url.host !== host)) return tarball;
  const registry = new URL(String(flat.registry));
  if (registry.host === url.host) return tarball;
  return new URL(registry.pathname.replace(/\/$/, '') + url.pathname, registry).href;
};
