import path from 'node:path';

/** Where jackin keeps things on the host. With both variables set, nothing outside of them is read or written. */
export interface Paths {
  configFile: string;
  configLock: string;
  workspacesDir: string;
  /** Root of everything that jackin makes: state, caches, journal. */
  jackinHome: string;
  dataDir: string;
  journalDir: string;
  cacheDir: string;
  /** Cached checkouts of roles. */
  rolesDir: string;
  /** Which commits of which sources the operator trusts. */
  trustFile: string;
  homeIdFile: string;
  /** Logins of jackin's own, `<agent>/<account>/`. */
  loginsDir: string;
  /** Socket, lock and notes of the keeper. */
  keeperDir: string;
}

export interface PathsInput {
  env: Readonly<Record<string, string | undefined>>;
  home: string;
}

export const locatePaths = ({ env, home }: PathsInput): Paths => {
  const configDir = path.resolve(env.JACKIN_CONFIG_DIR || path.join(home, '.config', 'jackin'));
  const jackinHome = path.resolve(env.JACKIN_HOME_DIR || path.join(home, '.jackin'));
  return {
    configFile: path.join(configDir, 'config.toml'),
    configLock: path.join(configDir, 'config.lock'),
    workspacesDir: path.join(configDir, 'workspaces'),
    jackinHome,
    dataDir: path.join(jackinHome, 'data'),
    journalDir: path.join(jackinHome, 'journal'),
    cacheDir: path.join(jackinHome, 'cache'),
    rolesDir: path.join(jackinHome, 'roles'),
    trustFile: path.join(jackinHome, 'trust.json'),
    homeIdFile: path.join(jackinHome, 'home-id'),
    loginsDir: path.join(jackinHome, 'logins'),
    keeperDir: path.join(jackinHome, 'keeper'),
  };
};

export const workspaceFile = (paths: Paths, name: string): string => path.join(paths.workspacesDir, `${name}.toml`);

/** `~` and `~/x` become absolute; everything else is returned as it is. */
export const expandHome = (file: string, home: string): string =>
  file === '~' ? home : file.startsWith('~/') ? path.join(home, file.slice(2)) : file;
