import { lstat, rm } from 'node:fs/promises';
import path from 'node:path';
import { GITHUB, HOSTS_FILE } from '../../agents/github-login.ts';
import { writeFileAtomic } from '../../shared/atomic-files.ts';
import { findProgram } from '../program.ts';
import type { GitSetup } from '../protocol.ts';
import { prepareGitHooks } from './git-hooks.ts';
import type { HomeRoots } from './roots.ts';

/**
 * Settings for git in the container: GitHub over https with the forwarded login, and
 * who the operator is. They stand in a file of ours that git reads as its system-wide
 * configuration, which in turn includes the image's:
 *
 * - it is the weakest of git's places, so whatever the role, the agent or a repository
 *   sets wins, and no file of theirs is ever edited or hidden (GIT_CONFIG_GLOBAL would
 *   hide `~/.gitconfig`; `~/.config/git/config` is where `git config --global` may write);
 * - it is written anew at each start and is gone when nothing is forwarded;
 * - agents that keep variables with KEY or TOKEN in their names from the programs they
 *   run leave it alone. With GIT_CONFIG_KEY_n missing, every call of git would fail.
 */

export interface GitOutcome {
  /** For the environment of every session; they win over what is there. Never a secret. */
  variables: Record<string, string>;
  /** One line for a person; undefined when GitHub is not forwarded. */
  why: string | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

const SYSTEM_CONFIG = '/etc/gitconfig';
const GH_DIR = '.config/gh';

/** A value as git reads it back, whatever is in it. */
const quote = (value: string): string =>
  `"${value.replaceAll('\0', '').replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

const shellQuote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const section = (name: string, settings: (readonly [string, string])[]): string =>
  [`[${name}]`, ...settings.map(([key, value]) => `\t${key} = ${quote(value)}`), ''].join('\n');

const identitySection = ({ name, email }: NonNullable<GitSetup['identity']>): string[] => {
  const settings = [...(name ? [['name', name] as const] : []), ...(email ? [['email', email] as const] : [])];
  return settings.length === 0 ? [] : [section('user', settings)];
};

const hostSections = (host: string, gh: string): string[] => {
  const helped = host === GITHUB ? [host, `gist.${host}`] : [host];
  return [
    section(`url "https://${host}/"`, [
      ['insteadOf', `git@${host}:`],
      ['insteadOf', `ssh://git@${host}/`],
    ]),
    ...helped.map((name) => section(`credential "https://${name}"`, [['helper', `!${shellQuote(gh)} auth git-credential`]])),
  ];
};

/** Hosts for which the container has a login. In mode `sync` the file tells: it may be one that an earlier launch handed over. */
const forwardedHosts = async ({ mode, host }: GitSetup['github'], home: string): Promise<string[]> => {
  if (mode === 'ignore') return [];
  const own = host === undefined || host === GITHUB ? [] : [host];
  const found = mode === 'sync' ? await lstat(path.join(home, GH_DIR, HOSTS_FILE)).catch(() => undefined) : undefined;
  return mode === 'token' || found?.isFile() ? [GITHUB, ...own] : own;
};

/** Tells gh where its durable directory is, where the image's variables would lead it elsewhere. */
const ghVariables = (env: Env, home: string): Record<string, string> => {
  const usual = path.join(home, GH_DIR);
  const place = env['GH_CONFIG_DIR'] || path.join(env['XDG_CONFIG_HOME'] || path.join(home, '.config'), 'gh');
  return path.resolve(place) === usual ? {} : { GH_CONFIG_DIR: usual };
};

/**
 * Sets git up before a session starts: logins, the operator's name, trailers. `env` is what the sessions will have: the
 * image's variables and the host's. Can be repeated at any time.
 */
export const prepareGit = async (setup: GitSetup, { home, state }: Pick<HomeRoots, 'home' | 'state'>, env: Env): Promise<GitOutcome> => {
  const file = path.join(state, 'gitconfig');
  const hosts = await forwardedHosts(setup.github, home);
  const gh = await findProgram(['gh'], { cwd: home, path: env['PATH'], agentsDir: '/jackin/agents' });
  const sections = [
    ...identitySection(setup.identity ?? {}),
    ...('file' in gh ? hosts.flatMap((host) => hostSections(host, gh.file)) : []),
  ];
  const variables = { ...(setup.github.mode !== 'ignore' && ghVariables(env, home)), ...(await prepareGitHooks(setup, state, env)) };
  const why = hosts.length === 0 ? undefined : 'file' in gh ? `git uses the GitHub login for ${hosts.join(' and ')}.` : 'git cannot use the GitHub login: there is no gh in the container.';
  if (sections.length === 0) {
    await rm(file, { force: true });
    return { variables, why };
  }
  const include = section('include', [['path', env['GIT_CONFIG_SYSTEM'] || SYSTEM_CONFIG]]);
  await writeFileAtomic(file, [include, ...sections].join(''));
  return { variables: { ...variables, GIT_CONFIG_SYSTEM: file }, why };
};
