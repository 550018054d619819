import { decodeJson, type Frame } from './frames.ts';
import { SHELL, type AttachRequest, type LaunchRequest, type SessionRequest, type SetupRequest, type SignalRequest, type SpawnRequest, type TerminalSize } from './protocol.ts';

/**
 * The JSON of control frames, checked by hand: the capsule carries no schema
 * library. What is wrong is named by its place and never quoted, since these
 * frames carry keys.
 */
const fail = (what: string): never => {
  throw new TypeError(what);
};

type Json = Record<string, unknown>;

const object = (value: unknown, name: string): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : fail(`${name} is not an object`);

/** Without NUL: the system's interfaces would cut the text there. */
const text = (value: unknown, name: string): string =>
  typeof value === 'string' && !value.includes('\0') ? value : fail(`${name} is not a string without NUL`);

const path = (value: unknown, name: string): string => {
  const found = text(value, name);
  return found.startsWith('/') ? found : fail(`${name} is not an absolute path`);
};

const oneOf = <T extends string>(value: unknown, allowed: readonly T[], name: string): T =>
  allowed.find((entry) => entry === value) ?? fail(`${name} is none of ${allowed.join(', ')}`);

const environment = (value: unknown, name: string): Record<string, string> => {
  for (const [key, entry] of Object.entries(object(value, name))) {
    if (key === '' || /[=\0]/.test(key)) fail(`${name} has a name that no environment can hold`);
    text(entry, `a value of ${name}`);
  }
  return value as Record<string, string>;
};

const MAX_CELLS = 2000;

/** Within what a terminal can be: a screen model of a billion cells would end the capsule. */
const size = (value: unknown, name: string): TerminalSize => {
  const { cols, rows } = object(value, name);
  const fits = (cells: unknown) => Number.isInteger(cells) && Number(cells) >= 1 && Number(cells) <= MAX_CELLS;
  if (!fits(cols) || !fits(rows)) fail(`${name} is not a terminal's size`);
  // The screen model has no narrower one.
  return { cols: Math.max(2, Number(cols)), rows: Number(rows) };
};

const session = (value: unknown): SpawnRequest['session'] => {
  const found = object(value, 'session');
  const agent = text(found['agent'], 'session.agent');
  if (!/^[a-z][a-z0-9-]*$/.test(agent)) fail('session.agent is not a slug');
  const argv = found['argv'];
  if (!Array.isArray(argv) || (argv.length === 0 && agent !== SHELL)) return fail('session.argv is not a list of words');
  return {
    agent,
    argv: argv.map((word) => text(word, 'a word of session.argv')),
    cwd: path(found['cwd'], 'session.cwd'),
    io: oneOf(found['io'], ['pty', 'pipe'], 'session.io'),
    ...(found['size'] === undefined ? {} : { size: size(found['size'], 'session.size') }),
  };
};

/** Environment for all sessions, and keys for those of one agent. */
const variables = (found: Json, name: string): Pick<SessionRequest, 'env' | 'keys'> => {
  const keys = object(found['keys'], `${name}.keys`);
  for (const entry of Object.values(keys)) environment(entry, `an entry of ${name}.keys`);
  return { env: environment(found['env'], `${name}.env`), keys: keys as SessionRequest['keys'] };
};

const HOOKS = ['setup_once', 'source', 'preflight'] as const;

const setup = (value: unknown): SetupRequest => {
  const found = object(value, 'setup');
  path(found['workdir'], 'setup.workdir');
  const { agents, hooks } = found;
  if (!Array.isArray(agents)) return fail('setup.agents is not a list');
  if (!Array.isArray(hooks)) return fail('setup.hooks is not a list');
  oneOf(object(object(found['git'], 'setup.git')['github'], 'setup.git.github')['mode'], ['sync', 'token', 'ignore'], 'setup.git.github.mode');
  for (const agent of agents) text(object(agent, 'an entry of setup.agents')['slug'], 'a slug of setup.agents');
  for (const hook of hooks) oneOf(hook, HOOKS, 'an entry of setup.hooks');
  return found as unknown as SetupRequest;
};

/** Throws a TypeError or SyntaxError that says what is wrong, as all functions here do. */
export const readLaunch = (frame: Frame): LaunchRequest => {
  const found = object(decodeJson(frame), 'the launch request');
  const wanted = setup(found['setup']);
  const own = session(found['session']);
  return { setup: wanted, session: { ...own, ...variables(object(found['session'], 'session'), 'session') }, detached: found['detached'] === true };
};

export const readSpawn = (frame: Frame): SpawnRequest => {
  const found = object(decodeJson(frame), 'the spawn request');
  const own = session(found['session']);
  const detached = found['detached'] === true;
  if (found['fresh'] === undefined) return { session: own, detached };
  const fresh = object(found['fresh'], 'fresh');
  return { session: own, detached, fresh: { setup: setup(fresh['setup']), ...variables(fresh, 'fresh') } };
};

export const readKill = (frame: Frame): string => text(object(decodeJson(frame), 'the kill request')['session'], 'session');

export const readAttach = (frame: Frame): AttachRequest => {
  const found = object(decodeJson(frame), 'the attach request');
  return {
    ...(found['session'] === undefined ? {} : { session: text(found['session'], 'session') }),
    size: size(found['size'], 'size'),
  };
};

export const readSize = (frame: Frame): TerminalSize => size(decodeJson(frame), 'the size');

export const readSignal = (frame: Frame): SignalRequest['signal'] =>
  oneOf(object(decodeJson(frame), 'the signal request')['signal'], ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'], 'signal');
