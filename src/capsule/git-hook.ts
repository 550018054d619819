#!/usr/bin/env -S -u NODE_OPTIONS JACKIN_NODE_OPTIONS=${NODE_OPTIONS} /jackin/runtime/bin/node
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isAgentSlug } from '../agents/agents.ts';
import { COMMIT_AUTHORS } from '../agents/commit-author.ts';
import { gatherTrailers, isEmptyMessage, keptText, missingTrailers, splitMessage, type MessageParts } from './commit-message.ts';

/**
 * What git runs as `prepare-commit-msg` and `commit-msg` in the container: the
 * repository's own hook, and the trailers. It must never keep anybody from
 * committing: what it cannot do it says in one line. NODE_OPTIONS are the
 * project's, and could keep our Node from starting; its own hook gets them back.
 */
const [, self = '', file = '', source = ''] = process.argv;
const name = path.basename(self);
const directory = path.dirname(self);
const passed = process.argv.slice(2);
/** What the last template said. Git aborts a commit whose template nobody has filled in: nothing may be added to that. */
const templateFile = path.join(directory, 'last-template');

const { JACKIN_NODE_OPTIONS: nodeOptions = '', ...given } = process.env;
const hookEnv: NodeJS.ProcessEnv = { ...given, ...(nodeOptions !== '' && { NODE_OPTIONS: nodeOptions }) };
/** Git without our own setting: as it would be in this repository without the container. */
const plainEnv: NodeJS.ProcessEnv = { ...given, GIT_CONFIG_PARAMETERS: (given['GIT_CONFIG_PARAMETERS'] ?? '').replace(`'core.hooksPath=${directory}'`, '').trim() };
/** Git without anybody's settings: `trailer.*` could run programs, or forbid to add. */
const bareEnv: NodeJS.ProcessEnv = { ...plainEnv, GIT_DIR: '/dev/null', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', GIT_CONFIG_PARAMETERS: '', GIT_CONFIG_COUNT: '0' };

/** Messages are worked on as bytes, each a character: they may be in any encoding. */
const git = (args: string[], env: NodeJS.ProcessEnv, input = ''): string | undefined => {
  const { status, stdout } = spawnSync('git', args, { env, stdio: ['pipe', 'pipe', 'ignore'], input: Buffer.from(input, 'latin1'), maxBuffer: 256 * 1024 * 1024 });
  return status === 0 ? stdout.toString('latin1') : undefined;
};
const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString();

const isProgram = (hook: string): boolean => {
  try {
    accessSync(hook, constants.X_OK);
    return statSync(hook).isFile() && realpathSync(hook) !== realpathSync(self);
  } catch {
    return false;
  }
};

/** Its exit code; what it prints and reads is git's. */
const runOwnHook = (): number => {
  const hooks = git(['rev-parse', '--git-path', 'hooks'], plainEnv)?.replace(/\n$/, '');
  const hook = hooks === undefined ? undefined : path.join(path.resolve(utf8(hooks)), name);
  if (hook === undefined || !isProgram(hook)) return 0;
  const { status, error } = spawnSync(hook, passed, { stdio: 'inherit', env: hookEnv });
  if (error !== undefined) process.stderr.write(`jackin: cannot run ${hook}: ${error.message}\n`);
  return status ?? 1;
};

/** All that is asked of git's settings, in one call; of a key that stands more than once the last counts. */
const readSettings = (): ReadonlyMap<string, string> => {
  const listed = git(['config', '--null', '--get-regexp', String.raw`^(user\.(name|email)|core\.comment(char|string)|commit\.cleanup)$`], plainEnv) ?? '';
  const entries = listed.split('\0').filter((entry) => entry.includes('\n'));
  return new Map(entries.map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1).trim()]));
};

const signOff = (settings: ReadonlyMap<string, string>): string[] => {
  if (given['JACKIN_GIT_DCO'] !== '1') return [];
  const [person, address] = [settings.get('user.name'), settings.get('user.email')];
  if (person && address) return [`Signed-off-by: ${person} <${address}>`];
  // Of the two hooks this one runs for every commit.
  if (name === 'prepare-commit-msg') process.stderr.write('jackin: no Signed-off-by is added: git knows no user.name or no user.email here; set them with git config\n');
  return [];
};

const coauthor = (): string[] => {
  const agent = given['JACKIN_AGENT'] ?? '';
  const on = given['JACKIN_GIT_COAUTHOR_TRAILER'] === '1';
  return on && isAgentSlug(agent) ? [latin1(`Co-authored-by: ${COMMIT_AUTHORS[agent]}`)] : [];
};

/** For messages without comments: a sign that begins no line. */
const NO_COMMENT = '\u0001';

const interpretTrailers = (comment: string | undefined, args: string[], message: string): string => {
  const done = git(['-c', `core.commentChar=${utf8(comment ?? NO_COMMENT)}`, 'interpret-trailers', '--no-divider', ...args], bareEnv, message);
  if (done === undefined) throw new Error('git interpret-trailers failed');
  return done;
};

/** Each line ended: what git leaves of the last one would stand before the scissors. */
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

/** An argument of a program is UTF-8; these lines need not be. Git is given a stand-in for each. */
const appendTrailers = (comment: string | undefined, message: string, trailers: readonly string[]): string => {
  const standIn = (index: number): string => `Jackin-stand-in: ${index}.`;
  const args = trailers.flatMap((_, index) => ['--trailer', standIn(index)]);
  const done = interpretTrailers(comment, ['--where', 'end', '--if-exists', 'add', '--if-missing', 'add', ...args], message);
  return trailers.reduce((text, trailer, index) => text.replace(standIn(index), () => trailer), done);
};

const readTemplate = (): string | undefined => {
  try {
    return readFileSync(templateFile, 'latin1');
  } catch {
    return undefined;
  }
};

const readMessage = (settings: ReadonlyMap<string, string>): MessageParts =>
  splitMessage(readFileSync(file, 'latin1'), {
    commentChar: settings.get('core.commentstring') ?? settings.get('core.commentchar') ?? '#',
    cleanup: settings.get('commit.cleanup') ?? 'default',
    // Git says so to its hooks when it opens no editor.
    edited: given['GIT_EDITOR'] !== ':',
  });

const addTrailers = (): void => {
  const settings = readSettings();
  const wanted = [...coauthor(), ...signOff(settings)];
  const parts = readMessage(settings);
  if (isEmptyMessage(parts) || readTemplate() === keptText(parts)) return;
  const known = [...Object.values(COMMIT_AUTHORS).map((author) => latin1(`Co-authored-by: ${author}`)), ...wanted];
  const trailersOf = (lines: readonly string[]): string[] => interpretTrailers(parts.comment, ['--parse'], textOf(lines)).split('\n').filter(Boolean);
  const { lines, moved } = gatherTrailers(parts.lines, known, trailersOf(parts.lines));
  const added = [...moved, ...missingTrailers(wanted, [...moved, ...trailersOf(lines)])];
  if (added.length > 0) writeFileSync(file, `${appendTrailers(parts.comment, textOf(lines), added)}${parts.rest}`, 'latin1');
};

const noteTemplate = (): void => writeFileSync(templateFile, keptText(readMessage(readSettings())), 'latin1');

/** Runs a part of ours; that it fails is said, and stops nobody. */
const attempt = (part: () => void): void => {
  try {
    part();
  } catch (error) {
    process.stderr.write(`jackin: no trailers are added: ${(error as Error).message}\n`);
  }
};

const runHook = (): number => {
  if (name === 'commit-msg') {
    attempt(addTrailers);
    return runOwnHook();
  }
  if (source === 'template') attempt(noteTemplate);
  const code = runOwnHook();
  if (code === 0) attempt(addTrailers);
  return code;
};

process.exit(runHook());
