#!/jackin/runtime/bin/node
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isAgentSlug } from '../agents/agents.ts';
import { COMMIT_AUTHORS } from '../agents/commit-author.ts';
import { gatherTrailers, isEmptyMessage, missingTrailers, splitMessage } from './commit-message.ts';

/**
 * What git runs as `prepare-commit-msg` and `commit-msg` in the container: the
 * repository's own hook, and the trailers. It must never keep anybody from
 * committing: what it cannot do it says in one line.
 */
const [, self = '', file = '', source = ''] = process.argv;
const name = path.basename(self);
const passed = process.argv.slice(2);

/** Git without our own setting: as it would be in this repository without the container. */
const parameters = (process.env['GIT_CONFIG_PARAMETERS'] ?? '').replace(`'core.hooksPath=${path.dirname(self)}'`, '').trim();
const plainEnv: NodeJS.ProcessEnv = { ...process.env, GIT_CONFIG_PARAMETERS: parameters };
const git = (args: string[], input?: Buffer): Buffer | undefined => {
  const { status, stdout } = spawnSync('git', args, { env: plainEnv, stdio: ['pipe', 'pipe', 'ignore'], ...(input !== undefined && { input }), maxBuffer: 256 * 1024 * 1024 });
  return status === 0 ? stdout : undefined;
};
const setting = (key: string): string | undefined => git(['config', '--get', key])?.toString('latin1').trim() || undefined;

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
  const hooks = git(['rev-parse', '--git-path', 'hooks'])?.toString('utf8').replace(/\n$/, '');
  const hook = hooks === undefined ? undefined : path.join(path.resolve(hooks), name);
  if (hook === undefined || !isProgram(hook)) return 0;
  const { status, error } = spawnSync(hook, passed, { stdio: 'inherit' });
  if (error !== undefined) process.stderr.write(`jackin: cannot run ${hook}: ${error.message}\n`);
  return status ?? 1;
};

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

const signOff = (): string[] => {
  if (process.env['JACKIN_GIT_DCO'] !== '1') return [];
  const [person, address] = [setting('user.name'), setting('user.email')];
  if (person !== undefined && address !== undefined) return [`Signed-off-by: ${person} <${address}>`];
  process.stderr.write('jackin: no Signed-off-by is added: git knows no user.name or no user.email here; set them with git config\n');
  return [];
};

const coauthor = (): string[] => {
  const agent = process.env['JACKIN_AGENT'] ?? '';
  const on = process.env['JACKIN_GIT_COAUTHOR_TRAILER'] === '1';
  return on && isAgentSlug(agent) ? [latin1(`Co-authored-by: ${COMMIT_AUTHORS[agent]}`)] : [];
};

const isTemplate = (bytes: Buffer, comment: string): boolean => {
  const template = git(['config', '--type=path', '--get', 'commit.template'])?.toString('utf8').trim();
  const kept = (text: string): string => splitMessage(text, comment).lines.filter((line) => !line.startsWith(comment)).join('\n').trim();
  try {
    return template !== undefined && kept(readFileSync(template, 'latin1')) === kept(bytes.toString('latin1'));
  } catch {
    return false;
  }
};

/** The message is worked on as bytes: it may be in any encoding. */
const addTrailers = (): void => {
  const comment = latin1(setting('core.commentString') ?? setting('core.commentChar')?.replace(/^auto$/, '#') ?? '#');
  const bytes = readFileSync(file);
  const parts = splitMessage(bytes.toString('latin1'), comment);
  // Something that is still empty, or a template that nobody has filled in, must be able to abort the commit.
  if (isEmptyMessage(parts, comment) || isTemplate(bytes, comment)) return;
  const wanted = [...coauthor(), ...signOff()];
  const known = [...Object.values(COMMIT_AUTHORS).map((author) => latin1(`Co-authored-by: ${author}`)), ...wanted];
  const parse = (message: string): string[] =>
    (git(['interpret-trailers', '--no-divider', '--parse'], Buffer.from(message, 'latin1'))?.toString('latin1') ?? '').split('\n').filter(Boolean);
  const { message, moved } = gatherTrailers(parts, known, parse(bytes.toString('latin1')));
  const added = [...moved, ...missingTrailers(wanted, [...moved, ...parse(message)])];
  if (added.length === 0 && message === bytes.toString('latin1')) return;
  const args = added.flatMap((line) => ['--trailer', Buffer.from(line, 'latin1').toString('utf8')]);
  const done = git(['interpret-trailers', '--no-divider', '--where', 'end', '--if-exists', 'addIfDifferent', ...args], Buffer.from(message, 'latin1'));
  if (done === undefined) process.stderr.write('jackin: no trailers are added: git interpret-trailers failed\n');
  else writeFileSync(file, done);
};

const tryTrailers = (): void => {
  try {
    addTrailers();
  } catch (error) {
    process.stderr.write(`jackin: no trailers are added: ${(error as Error).message}\n`);
  }
};

const runHook = (): number => {
  if (name === 'commit-msg') {
    tryTrailers();
    return runOwnHook();
  }
  const code = runOwnHook();
  // A template is added to when it has been filled in, by the hook after the editor.
  if (code === 0 && source !== 'template') tryTrailers();
  return code;
};

process.exit(runHook());
