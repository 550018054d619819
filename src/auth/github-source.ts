import { access, chmod, constants, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GITHUB, HOSTS_FILE, type HostsLogin, isToken, loginIn, parseHosts } from '../agents/github-login.ts';
import type { LoginState } from '../agents/login-facts.ts';
import { createPrivateFile } from '../shared/atomic-files.ts';
import { JackinError, messageOf } from '../shared/errors.ts';
import { Secret } from '../shared/secret.ts';
import { type Answer, askProgram } from './ask-program.ts';
import { openSource, type SourceOptions } from './source.ts';

const GH_TIMEOUT_MS = 10_000;
/** Whom a login is said to be of when nobody tells; GitHub looks at the token alone. */
const ANYBODY = 'git';

export type GithubSourceOptions = Pick<SourceOptions, 'home' | 'env' | 'uid'>;

/** What is known of the host's GitHub login before a launch, as plain JSON. Never holds a secret. */
export interface GithubFacts {
  /** Directory of gh's settings. */
  dir: string;
  /** Whether there is a `gh` on the PATH. */
  hasGh: boolean;
  /**
   * `live`: the token stands in the file. `unknown`: only gh can tell, and is asked at the
   * launch. `dead`: nobody can read what is there. Whether GitHub still takes it is not asked.
   */
  state: LoginState;
  user?: string;
  /** One sentence for a person: why the state is what it is. */
  why: string;
}

/** A login for github.com. */
export interface GithubLogin {
  token: Secret;
  /** Name of the account; `git` when nobody tells. */
  user: string;
}

export interface GithubRead {
  /** Undefined when the host is logged out. */
  login: GithubLogin | undefined;
  /** Who gave the token. */
  from: 'gh' | 'hosts.yml' | null;
  /** One sentence for a person: where the token is from, or why there is none. */
  why: string;
}

/** Where gh keeps its settings, by its own rules. */
const configDir = ({ env, home }: GithubSourceOptions): string => {
  if (env['GH_CONFIG_DIR']) return path.resolve(home, env['GH_CONFIG_DIR']);
  return path.resolve(home, env['XDG_CONFIG_HOME'] || '.config', 'gh');
};

/** What the file says, or why it says nothing; `none` is no trouble: there is no login in it. */
type Hosts = { kind: 'login'; login: HostsLogin } | { kind: 'none'; why: string } | { kind: 'broken'; why: string };

const readHosts = async (options: GithubSourceOptions): Promise<Hosts> => {
  const dir = configDir(options);
  const file = path.join(dir, HOSTS_FILE);
  // Whatever is wrong with it stops no launch: an agent works without GitHub.
  const opened = await openSource({ dir, from: 'default' }, 'GitHub', HOSTS_FILE, options.uid, { wanted: (name) => name === HOSTS_FILE }).catch(
    (error: unknown) => ({ broken: messageOf(error) }),
  );
  if ('broken' in opened) return { kind: 'broken', why: `${opened.broken}.` };
  if ('why' in opened) return { kind: 'none', why: `There is no ${file}.` };
  const [skipped] = opened.tree.skipped;
  if (skipped !== undefined) return { kind: 'broken', why: `${file} ${skipped.why}.` };
  const bytes = opened.tree.files.get(HOSTS_FILE);
  if (bytes === undefined) return { kind: 'none', why: `There is no ${file}.` };
  const hosts = parseHosts(bytes.toString('utf8'));
  if (hosts === undefined) return { kind: 'broken', why: `${file} is not of the form that gh writes.` };
  const login = loginIn(hosts);
  return login === undefined ? { kind: 'none', why: `${file} holds no login for ${GITHUB}.` } : { kind: 'login', login };
};

const isProgram = async (file: string): Promise<boolean> => {
  const usable = await access(file, constants.X_OK).then(() => stat(file), () => undefined);
  return usable?.isFile() ?? false;
};

const hasGh = async (searchPath: string | undefined): Promise<boolean> => {
  for (const dir of (searchPath ?? '').split(':').filter((part) => part !== '')) {
    if (await isProgram(path.join(dir, 'gh'))) return true;
  }
  return false;
};

/**
 * Looks at the host's GitHub login without asking any program or the network:
 * whether there is a gh, and what its `hosts.yml` says.
 */
export const inspectGithub = async (options: GithubSourceOptions): Promise<GithubFacts> => {
  const [hosts, gh] = await Promise.all([readHosts(options), hasGh(options.env['PATH'])]);
  const facts = { dir: configDir(options), hasGh: gh };
  if (hosts.kind === 'none') return { ...facts, state: 'absent', why: hosts.why };
  const asked = gh ? 'gh is asked for the token at the launch.' : 'There is no gh on this machine that could be asked for the token.';
  if (hosts.kind === 'broken') return { ...facts, state: gh ? 'unknown' : 'dead', why: `${hosts.why} ${asked}` };
  const { user, token } = hosts.login;
  const who = { ...facts, ...(user !== undefined && { user }) };
  const name = `gh is logged in to ${GITHUB}${user === undefined ? '' : ` as ${user}`}`;
  if (token !== undefined) return { ...who, state: 'live', why: `${name}.` };
  return { ...who, state: gh ? 'unknown' : 'absent', why: `${name}, with a token that is not in ${HOSTS_FILE}. ${asked}` };
};

/**
 * gh from 2.40 on converts the files of an older one whenever it runs, and the host's
 * are not ours to change. So it is shown a directory that looks converted, where its
 * own `hosts.yml` is a link: no secret is copied, and there is nothing to write.
 */
const withGhSettings = async <T>(dir: string, work: (settings: string) => Promise<T>): Promise<T> => {
  const settings = await mkdtemp(path.join(tmpdir(), 'jackin-gh-'));
  try {
    await chmod(settings, 0o700);
    await createPrivateFile(path.join(settings, 'config.yml'), 'version: "1"\n');
    await symlink(path.join(dir, HOSTS_FILE), path.join(settings, HOSTS_FILE));
    return await work(settings);
  } finally {
    await rm(settings, { recursive: true, force: true });
  }
};

/**
 * The environment in which gh tells of its login. Without the tokens of the shell:
 * gh prefers them to the login, and so whatever project's `.envrc` the operator
 * stands in would decide as whom every agent works. Who wants them says so:
 * mode `token` with `GH_TOKEN = "$GH_TOKEN"`.
 */
const ghEnvironment = (env: SourceOptions['env'], settings: string): SourceOptions['env'] => {
  const { GH_TOKEN: _ghToken, GITHUB_TOKEN: _githubToken, ...rest } = env;
  return { ...rest, GH_CONFIG_DIR: settings, GH_PROMPT_DISABLED: '1', GH_NO_UPDATE_NOTIFIER: '1' };
};

const askGh = async (options: GithubSourceOptions, timeoutMs: number, signal: AbortSignal): Promise<Answer> => {
  if (!(await hasGh(options.env['PATH']))) return { why: 'is not installed' };
  const answer = await withGhSettings(configDir(options), (settings) =>
    askProgram('gh', ['auth', 'token', '--hostname', GITHUB], { env: ghEnvironment(options.env, settings), timeoutMs, signal }),
  ).catch((error: unknown) => {
    if (error instanceof JackinError) throw error;
    return { why: `could not be asked: ${messageOf(error)}` };
  });
  if ('why' in answer) return answer;
  const text = answer.text.trim();
  if (text === '') return { why: 'printed nothing' };
  return isToken(text) ? { text } : { why: 'printed something that is no token' };
};

/**
 * Reads the host's login for github.com: from gh, else from its `hosts.yml`. Changes
 * nothing on the host. No login, for whatever reason, is no error.
 */
export const readGithub = async (options: GithubSourceOptions, signal: AbortSignal, ghTimeoutMs = GH_TIMEOUT_MS): Promise<GithubRead> => {
  const [hosts, answer] = await Promise.all([readHosts(options), askGh(options, ghTimeoutMs, signal)]);
  const login = hosts.kind === 'login' ? hosts.login : undefined;
  const user = login?.user ?? ANYBODY;
  if ('text' in answer) return { login: { token: new Secret(answer.text), user }, from: 'gh', why: `gh gave its token for ${user}.` };
  if (login?.token !== undefined) {
    return { login: { token: new Secret(login.token), user }, from: 'hosts.yml', why: `The token of ${user} is from ${HOSTS_FILE}: gh ${answer.why}.` };
  }
  const noToken = hosts.kind === 'login' ? `${HOSTS_FILE} holds no token for ${GITHUB}.` : hosts.why;
  return { login: undefined, from: null, why: `gh ${answer.why}. ${noToken}` };
};
