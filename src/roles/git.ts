import { JackinError } from '../shared/errors.ts';
import { endGroupWith } from '../shared/process-group.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Ways of fetching that run no program of their own. */
const PROTOCOLS = ['https', 'ssh', 'file'];

/**
 * Whatever the operator's git is set to do by itself, it does not do with a
 * stranger's repository: no hook, no template, no submodule, no filter, no
 * maintenance in the background. What arrives is checked before it is kept.
 */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.attributesFile=/dev/null',
  'init.templateDir=',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  'filter.lfs.smudge=',
  'filter.lfs.process=',
  'filter.lfs.required=false',
  'fetch.fsckObjects=true',
  // The objects of a small pack would be unpacked before the last check. A pack can be removed again.
  'fetch.unpackLimit=1',
  // Old and harmless, and in the history of many repositories.
  'fetch.fsck.zeroPaddedFilemode=ignore',
  'fetch.fsck.missingSpaceBeforeDate=ignore',
  'gc.auto=0',
  'maintenance.auto=false',
  'protocol.allow=never',
  ...PROTOCOLS.map((protocol) => `protocol.${protocol}.allow=always`),
  // A server that says nothing for half a minute is given up.
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=30',
];

/** What of git's own variables reaches it: how to get to a server, never which files and programs it uses. */
const KEPT = /^GIT_(SSL_\w+|SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|PROXY_\w+|CONFIG_GLOBAL|CONFIG_SYSTEM|CONFIG_NOSYSTEM)$/;

/** Narrows what the operator allows, and never widens what is safe. */
const allowedProtocols = (env: Env, safe: readonly string[]): string => {
  const wanted = env.GIT_ALLOW_PROTOCOL?.split(':') ?? safe;
  return safe.filter((protocol) => wanted.includes(protocol)).join(':');
};

const SSH = 'ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oServerAliveCountMax=3';

const environment = ({ env, protocols = PROTOCOLS }: GitCall, extra: Env): Record<string, string> => {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith('GIT_') || KEPT.test(name));
  const all = {
    ...(env.GIT_SSH === undefined && { GIT_SSH_COMMAND: SSH }),
    ...Object.fromEntries(kept),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: allowedProtocols(env, protocols) || 'none',
    GIT_NO_LAZY_FETCH: '1',
    ...extra,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
};

/** Files are taken out of a repository without anybody's settings: filters and line ends are as the repository has them. */
const NO_SETTINGS: Env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_SYSTEM: undefined };

export interface GitCall {
  env: Env;
  signal: AbortSignal;
  /** Asks a server, with the operator's own settings for that (proxies, credentials). */
  network?: boolean;
  extraEnv?: Env;
  /** Ways of fetching; https, ssh and paths unless told. */
  protocols?: readonly string[];
  /** How long a server may say nothing at all. */
  silenceMs?: number;
  onProgress?: (line: string) => void;
}

/** git itself only watches transfers that have begun, not a server that never answers. */
const SILENCE_MS = 60_000;
const MAX_OUTPUT = 64 * 1024 * 1024;

/** What git complained about, in one line that can be shown. */
const complaintOf = (stderr: string): string => {
  const lines = stderr.split(/[\n\r]/).map((line) => line.trim()).filter(Boolean);
  const fatal = lines.findIndex((text) => /^(fatal|error):/.test(text));
  // Of a server that is reached by ssh, it is ssh that has said why.
  const said = /Could not read from remote/.test(lines[fatal] ?? '') ? (lines[fatal - 1] ?? lines[fatal]) : lines[fatal];
  const line = said ?? lines.at(-1) ?? 'it failed without saying why';
  // An address may hold a login that a credential helper or a rewritten URL has put there.
  return line.replace(/^(fatal|error):\s*/, '').replaceAll(/:\/\/[^/\s@]+@/g, '://').replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, 300);
};

/** A git that failed; `complaint` is one clause for a person. Where nobody expects it, what is cached is damaged. */
export class GitError extends JackinError {
  readonly complaint: string;

  constructor(complaint: string, cause: unknown) {
    super('failed', `git could not read what is cached of the role: ${complaint}`, { hint: '`jackin role update` with the role and --replace fetches it anew', cause });
    this.complaint = complaint;
  }
}

/** There is no git on this machine. */
export class GitMissing extends JackinError {
  constructor() {
    super('not-found', 'there is no git on this machine, and roles come by git', { hint: 'install git, or name a folder, as in `jackin load ./my-role`' });
  }
}

const interrupted = (): JackinError => new JackinError('interrupted', 'git: interrupted');

/** Runs git on one repository. Throws `GitError`, `not-found` where there is no git, and `interrupted`. */
export const runGit = async (repository: string, args: readonly string[], call: GitCall): Promise<string> => {
  const { execa } = await import('execa');
  if (call.signal.aborted) throw interrupted();
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  const child = execa('git', [...settings, '--git-dir', repository, ...args], {
    env: environment(call, { ...(call.network ? {} : NO_SETTINGS), ...call.extraEnv }),
    extendEnv: false,
    stdin: 'ignore',
    maxBuffer: MAX_OUTPUT,
    stripFinalNewline: false,
    // git starts helpers, which would go on without it.
    detached: true,
  });
  const stop = endGroupWith(child, call.signal);
  const { silenceMs = SILENCE_MS, onProgress } = call;
  let silent = false;
  const patience = call.network
    ? setTimeout(() => {
        silent = true;
        stop();
      }, silenceMs)
    : undefined;
  child.stderr.on('data', (chunk: Buffer) => {
    patience?.refresh();
    const line = chunk.toString('utf8').split(/[\n\r]/).map((text) => text.trim()).filter(Boolean).at(-1);
    if (line !== undefined) onProgress?.(line);
  });
  try {
    return (await child).stdout;
  } catch (error) {
    const { stderr, code, isMaxBuffer } = error as { stderr?: string; code?: string; isMaxBuffer?: boolean };
    if (call.signal.aborted) throw interrupted();
    if (code === 'ENOENT') throw new GitMissing();
    if (silent) throw new GitError(`the server has said nothing for ${silenceMs / 1000} seconds`, error);
    if (isMaxBuffer) throw new JackinError('usage', `git has more than ${MAX_OUTPUT / 1024 / 1024} MiB to tell of this repository: that is too much for a role`);
    if (/No space left on device|Disk quota exceeded/.test(stderr ?? '')) {
      throw new JackinError('disk.full', 'fetching the role: there is no space left on the disk', { hint: 'free some space and run the command again; what was there before is unchanged' });
    }
    throw new GitError(complaintOf(stderr ?? ''), error);
  } finally {
    clearTimeout(patience);
  }
};

/**
 * How a call reaches ssh: the operator's `core.sshCommand` goes before ours, since their
 * key may be in it.
 */
export const operatorSsh = async (repository: string, call: GitCall): Promise<Pick<GitCall, 'extraEnv'>> => {
  const command = await runGit(repository, ['config', '--get', 'core.sshCommand'], { ...call, network: true }).catch((error: unknown) => {
    if (error instanceof GitError) return '';
    throw error;
  });
  return command.trim() === '' ? {} : { extraEnv: { GIT_SSH_COMMAND: call.env.GIT_SSH_COMMAND } };
};
