import { lstat, open } from 'node:fs/promises';
import path from 'node:path';
import { ensurePrivateDir, unlessMissing, writeFileAtomic } from '../shared/atomic-files.ts';
import { messageOf } from '../shared/errors.ts';
import { sessionEnvironment } from './environment.ts';
import { changedBy, readExports, type Shell, sourcing } from './hook-exports.ts';
import { type HookEnd, runHook } from './hook-process.ts';
import { findProgram } from './program.ts';
import { SHELL, type HookName, type ProgramExit } from './protocol.ts';

/** Where the role's image holds them, under their names. */
const HOOKS_DIR = '/jackin/hooks';
const PATIENCE_MS = 10_000;

export interface HookPlaces {
  home: string;
  state: string;
  workdir: string;
  hooksDir?: string;
}

export interface HookContext {
  /** What sessions will have, apart from keys of agents. */
  env: NodeJS.ProcessEnv;
  /** Values of the environment that must not be shown when a hook prints them. */
  secrets: readonly string[];
  note: (text: string) => void;
  signal: AbortSignal;
}

/** Whether the system runs the file by itself, by its first line or as a program; anything else is a shell script. */
const runsByItself = async (file: string): Promise<boolean> => {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    const start = buffer.subarray(0, bytesRead).toString('latin1');
    return start.startsWith('#!') || start === '\u007fELF';
  } finally {
    await handle.close();
  }
};

/** Bash, or what else there is. Looked for once: a hook may lead the `PATH` anywhere. */
const findHookShell = async (place: { home: string; path: string | undefined }): Promise<Shell> => {
  for (const name of ['bash', 'sh']) {
    const found = await findProgram([name], { cwd: place.home, path: place.path, agentsDir: '/jackin/agents' });
    if ('file' in found) return { file: found.file, isBash: name === 'bash' };
  }
  throw new Error('the hooks of the role cannot run: there is neither bash nor sh in the PATH of the container');
};

const hookEnvironment = (env: NodeJS.ProcessEnv, home: string, cwd: string): Record<string, string> => {
  const { JACKIN_SESSION_ID: _none, ...shared } = sessionEnvironment(env, { env: {}, keys: {} }, { agent: SHELL, io: 'pipe', cwd, id: '' }, home);
  return { ...shared, TERM: 'dumb' };
};

const described = ({ code, signal }: ProgramExit): string => (signal === undefined ? `ended with exit code ${code}` : `was ended by ${signal}`);

/** For a person: which hook, how it ended, and the end of what it printed. */
const hookFailure = (name: HookName, how: string, output: string[] | undefined): Error =>
  new Error([`the role's hook ${name} ${how}${output === undefined ? ', and printed nothing' : ''}`, ...(output ?? []).map((line) => `  | ${line}`)].join('\n'));

/** Tells that a hook runs, and once when it goes on for long. */
const announced = async (name: HookName, note: (text: string) => void, act: () => Promise<HookEnd>): Promise<HookEnd> => {
  note(`running ${name}`);
  const patience = setTimeout(() => note(`${name} is still running`), PATIENCE_MS);
  try {
    return await act();
  } finally {
    clearTimeout(patience);
  }
};

/** Runs one hook to a good end, and gives what it exports. */
const runOne = async (
  name: HookName,
  { home, workdir, hooksDir = HOOKS_DIR }: HookPlaces,
  { env, secrets, note, signal }: HookContext,
  shell: Shell,
): Promise<Record<string, string>> => {
  if (signal.aborted) throw new Error(`the launch was given up before the role's hook ${name} ran`);
  const file = path.join(hooksDir, name);
  const byItself = await unlessMissing(runsByItself(file));
  if (byItself === undefined) throw new Error(`the role's hook ${name} is not in the container, which was made before the role had it: start it anew`);
  const isSource = name === 'source';
  const cwd = isSource ? workdir : home;
  const before = hookEnvironment(env, home, cwd);
  const script = byItself ? [file] : [shell.file, file];
  const spec = { argv: isSource ? sourcing(shell, file) : script, shell, cwd, env: before, exports: isSource, secrets, signal };
  const { exit, output, exported } = await announced(name, note, () => runHook(spec)).catch((error: unknown) => {
    throw new Error(`the role's hook ${name} cannot be started in ${cwd}: ${messageOf(error)}`);
  });
  if (signal.aborted) throw new Error(`the launch was given up while the role's hook ${name} ran`);
  if (exit.code !== 0) throw hookFailure(name, described(exit), output);
  if (!isSource) return {};
  const after = readExports(exported);
  if (after === undefined) throw hookFailure(name, 'ended the shell before its exports could be read', output);
  const { variables, refused } = changedBy(before, after);
  if (refused.length > 0) note(`${name} cannot set ${refused.join(', ')}`);
  return variables;
};

/**
 * Runs the role's hooks: `setup_once` until it has succeeded once in this instance,
 * `source`, and `preflight`, which sees what `source` has exported. Gives these exports.
 * The first one that fails is an Error with the end of its output.
 */
export const runHooks = async (hooks: readonly HookName[], places: HookPlaces, context: HookContext): Promise<Record<string, string>> => {
  if (hooks.length === 0) return {};
  const shell = await findHookShell({ home: places.home, path: context.env['PATH'] });
  const marker = path.join(places.state, 'hooks', 'setup_once.done');
  let exported: Record<string, string> = {};
  for (const name of (['setup_once', 'source', 'preflight'] as const).filter((one) => hooks.includes(one))) {
    if (name === 'setup_once' && (await unlessMissing(lstat(marker))) !== undefined) continue;
    const variables = await runOne(name, places, { ...context, env: { ...context.env, ...exported } }, shell);
    exported = { ...exported, ...variables };
    if (name !== 'setup_once') continue;
    await ensurePrivateDir(path.dirname(marker));
    await writeFileAtomic(marker, '');
  }
  return exported;
};
