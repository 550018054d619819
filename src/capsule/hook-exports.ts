import { AGENTS } from '../agents/agents.ts';

/** Follows the environment, so that half of it is never taken for all. */
const MARK = 'jackin-end';

/**
 * Runs a hook inside bash and then tells its environment on file descriptor 3, which
 * is moved out of the way of the hook's own. A hook may end the shell with `exit 0`,
 * and may have taken the EXIT trap by then: a function in the place of `exit` is what
 * still gets to tell. Subshells leave by theirs. `-p` because the image's own functions
 * and shell options would come in between.
 */
const BASH = `exec 199>&3 3>&-
jackin_end() { { set +eux; } 2>/dev/null; /usr/bin/env -0 >&199 && builtin printf '${MARK}\\0' >&199; }
exit() {
  builtin set -- "\${1-$?}"
  if [[ $1 == 0 && $BASHPID == "$$" ]]; then jackin_end; fi
  builtin exit "$1"
}
source "$0"
builtin set -- "$?"
[[ $1 == 0 ]] && jackin_end
builtin exit "$1"`;

/** The same for a shell in which `exit` cannot be a function. */
const SH = `exec 9>&3 3>&-
jackin_end() { trap - EXIT; { set +eux; } 2>/dev/null; /usr/bin/env -0 >&9 && printf '${MARK}\\0' >&9; }
trap '[ $? = 0 ] && jackin_end' EXIT
. "$0"
set -- "$?"
[ "$1" = 0 ] && jackin_end
exit "$1"`;

export interface Shell {
  file: string;
  isBash: boolean;
}

/** Program and arguments that source a file and write what it exports to file descriptor 3. */
export const sourcing = ({ file, isBash }: Shell, script: string): string[] => (isBash ? [file, '-p', '-c', BASH, script] : [file, '-c', SH, script]);

/** Whether everything is there that {@link readExports} needs. */
export const isWhole = (bytes: Buffer): boolean => bytes.includes(`\0${MARK}\0`);

/** The environment that was told. Undefined without the mark at its end. */
export const readExports = (bytes: Buffer): Record<string, string> | undefined => {
  const entries = bytes.toString().split('\0');
  const end = entries.indexOf(MARK);
  if (end === -1) return undefined;
  const pairs = entries.slice(0, end).map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const);
  return Object.fromEntries(pairs);
};

/** What every shell changes by itself, or keeps its own settings in. */
const OF_THE_SHELL = new Set(['_', 'SHLVL', 'PWD', 'OLDPWD', 'SHELLOPTS', 'BASHOPTS', 'PS4', 'TERM']);

/** Keys are the operator's: a role never says how somebody is logged in. */
const KEYS = new Set([
  'GH_TOKEN',
  'GITHUB_TOKEN',
  'GH_ENTERPRISE_TOKEN',
  'GITHUB_ENTERPRISE_TOKEN',
  ...Object.values(AGENTS).flatMap(({ keys }) => Object.values(keys)),
]);

/** What jackin sets itself, and what would run code in front of every program. */
const OURS = /^(HOME|IS_SANDBOX|JACKIN(_.*)?|NODE_OPTIONS|NODE_EXTRA_.*|LD_.*|BASH_ENV|ENV)$/;

/**
 * What a hook has set or changed, apart from what is not its to set; `refused` has the
 * names of that. What a hook unsets stays: the container's own cannot be taken away.
 */
export const changedBy = (
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): { variables: Record<string, string>; refused: string[] } => {
  const changed = Object.entries(after).filter(
    ([name, value]) => /^[A-Za-z_]\w*$/.test(name) && !OF_THE_SHELL.has(name) && !(Object.hasOwn(before, name) && before[name] === value),
  );
  const isRefused = (name: string): boolean => OURS.test(name) || KEYS.has(name);
  return {
    variables: Object.fromEntries(changed.filter(([name]) => !isRefused(name))),
    refused: changed.map(([name]) => name).filter(isRefused),
  };
};
