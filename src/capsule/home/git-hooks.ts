import { chmod, lstat, mkdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { unlessMissing } from '../../shared/atomic-files.ts';
import type { GitSetup } from '../protocol.ts';

/**
 * Every hook that git may run in a repository, or on its behalf; but not
 * push-to-checkout: where there is one, git leaves the files that are pushed to alone.
 */
const HOOKS = [
  'applypatch-msg', 'pre-applypatch', 'post-applypatch', 'pre-commit', 'pre-merge-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit',
  'pre-rebase', 'post-checkout', 'post-merge', 'pre-push', 'pre-receive', 'update', 'proc-receive', 'post-receive', 'post-update',
  'reference-transaction', 'pre-auto-gc', 'post-rewrite', 'sendemail-validate', 'fsmonitor-watchman',
  'p4-changelist', 'p4-prepare-changelist', 'p4-post-changelist', 'p4-pre-submit', 'post-index-change',
] as const; // prettier-ignore

/** Those that are the capsule's own program; the others only pass on to the repository's. */
const OURS = new Set<string>(['prepare-commit-msg', 'commit-msg']);
const OWN_HOOK = 'run-own-hook';
const PROGRAM = '/jackin/runtime/capsule/git-hook.mjs';

/**
 * The directory is in force in place of the repository's, so it runs the
 * repository's own hook of that name, if there is one, as git would. A small
 * script, because some of these run several times for one command.
 */
const OWN_HOOK_SCRIPT = `#!/bin/sh
hook=$(unset GIT_CONFIG_PARAMETERS; git rev-parse --git-path hooks 2>/dev/null)/\${0##*/}
[ -f "$hook" ] && [ -x "$hook" ] && ! [ "$hook" -ef "$0" ] || exit 0
exec "$hook" "$@"
`;

/** One setting as git's own \`-c\` hands it on. */
const asParameter = (setting: string): string => `'${setting.replaceAll("'", String.raw`'\''`)}'`;

const link = async (target: string, place: string): Promise<void> => {
  if ((await unlessMissing(readlink(place))) === target) return;
  await rm(`${place}.new`, { force: true });
  await symlink(target, `${place}.new`);
  await rename(`${place}.new`, place);
};

/** Executable before it has its name: git skips a hook that is not, and other sessions may be committing. */
const placeScript = async (place: string): Promise<void> => {
  await writeFile(`${place}.new`, OWN_HOOK_SCRIPT);
  await chmod(`${place}.new`, 0o755);
  await rename(`${place}.new`, place);
};

/**
 * Puts the trailer hook in force for every repository of the container, or takes
 * it away. Gives the variables that do that: one of git's own, because it beats
 * what a repository says of its hooks, survives agents that hide variables with
 * KEY or TOKEN in their names, and edits no file of anybody's.
 */
export const prepareGitHooks = async (
  { trailers }: GitSetup,
  state: string,
  env: Readonly<Record<string, string | undefined>>,
  program = PROGRAM,
): Promise<Record<string, string>> => {
  const directory = path.join(state, 'git-hooks');
  if (trailers === undefined || (!trailers.coauthor && !trailers.dco)) {
    // Sessions that run still look there for hooks: without the directory they would skip the repository's own.
    const isThere = (await unlessMissing(lstat(directory))) !== undefined;
    for (const hook of isThere ? OURS : []) await link(OWN_HOOK, path.join(directory, hook));
    return {};
  }
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await placeScript(path.join(directory, OWN_HOOK));
  for (const hook of HOOKS) await link(OURS.has(hook) ? program : OWN_HOOK, path.join(directory, hook));
  const parameters = [env['GIT_CONFIG_PARAMETERS'], asParameter(`core.hooksPath=${directory}`)].filter(Boolean).join(' ');
  return {
    GIT_CONFIG_PARAMETERS: parameters,
    ...(trailers.coauthor && { JACKIN_GIT_COAUTHOR_TRAILER: '1' }),
    ...(trailers.dco && { JACKIN_GIT_DCO: '1' }),
  };
};
