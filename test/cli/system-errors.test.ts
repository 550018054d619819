/** Every command, with each error of the system at its first read and at its first write. */
import { EventEmitter } from 'node:events';
import { expect, it, vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import type { Deps } from '../../src/launch/deps.ts';
import { fakeEngine, type FakeEngine } from '../fakes/engine.ts';
import type { FaultyCall } from '../fixtures/faulty-calls.ts';
import { addInstance, HOME_ID } from './instances.ts';
import { makeSandbox, type Run, type Sandbox } from './run.ts';

const fault = vi.hoisted((): FaultyCall => ({ kind: undefined, code: '', root: '', failed: undefined }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const { faultyPromises } = await import('../fixtures/faulty-calls.ts');
  return faultyPromises(await importOriginal<typeof import('node:fs/promises')>(), fault);
});
vi.mock('node:fs', async (importOriginal) => {
  const { faultySync } = await import('../fixtures/faulty-calls.ts');
  return faultySync(await importOriginal<typeof import('node:fs')>(), fault);
});

const CODES = [
  'ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP',
  'ENAMETOOLONG', 'EBUSY', 'ETXTBSY', 'ENOMEM', 'EEXIST', 'ENOTEMPTY', 'EXDEV', 'EAGAIN', 'EPIPE',
]; // prettier-ignore

/** Answers that a command may take for "it is not there", or "it is there already", and then it has another result. */
const ANSWERS = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EEXIST']);

/** Arguments behind the name of a command. One that is not here gets `x` for each argument that it must have. */
const ARGUMENTS: Readonly<Record<string, string[]>> = {
  load: ['agent-smith', '--detach', '--no-input'],
  hardline: ['1aaaaaaa', '--detach', '--no-input'],
  cp: ['./file', '2aaaaaaa:/tmp'],
  eject: ['--all'],
  purge: ['1aaaaaaa'],
  'role update': ['a/b'],
  'role pin': ['agent-smith'],
  'role create': ['./new-role'],
  'role validate': ['./my-role'],
  'role migrate': ['./my-role'],
  login: ['kimi', '--no-input'],
  'logins show': ['work'],
  'logins remove': ['work', '--yes'],
  models: ['kimi'],
  usage: ['kimi'],
  'workspace create': ['new', '--workdir', '/usr', '--mount', '/usr'],
  'workspace show': ['app'],
  'workspace edit': ['app', '--default-agent', 'kimi'],
  'workspace remove': ['app', '--yes'],
  'workspace env set': ['app', 'NAME', 'value'],
  'workspace env unset': ['app', 'OLD'],
  'workspace env list': ['app'],
  'config auth set': ['ignore', '--agent', 'kimi'],
  'config env set': ['NAME', 'value'],
  'config env unset': ['OLD'],
  'config mount add': ['docs', '--src', '/usr', '--dst', '/docs'],
  'config mount remove': ['old'],
  'config git coauthor-trailer': ['enable'],
  'config git dco': ['enable'],
  'config trust grant': ['a/b'],
  'config trust revoke': ['a/b'],
};

/** They neither read nor write anything of the operator's, but for a socket. */
const WITHOUT_FILES = ['construct status', 'keeper status', 'keeper stop', 'config path', 'config schema'];

/** They fail in a world that has no network, no role's program and no terminal, after they have read and written. */
const CANNOT_SUCCEED = ['load', 'hardline', 'cp', 'prewarm', 'agents update', 'role update', 'role pin', 'login', 'models', 'usage', 'verify'];

interface Leaf {
  name: string;
  argv: string[];
}

type AnyCommand = ReturnType<typeof buildProgram>;

const leavesOf = (command: AnyCommand, above: string[]): Leaf[] =>
  command.commands.flatMap((child) => {
    const one = child as unknown as AnyCommand;
    const words = [...above, one.name()];
    if (one.commands.length > 0) return leavesOf(one, words);
    const name = words.join(' ');
    const needed = one.registeredArguments.filter(({ required }) => required).map(() => 'x');
    return [{ name, argv: [...words, ...(ARGUMENTS[name] ?? needed)] }];
  });

const LEAVES = leavesOf(buildProgram({ deps: { version: '' } as Deps, passedArguments: [], exit: () => undefined }), []);

const CONFIG = 'version = "v1alpha6"\n[env]\nOLD = "old"\n[docker.mounts]\nold = { src = "/usr", dst = "/old" }\n';
const WORKSPACE = 'version = "v1alpha6"\nworkdir = "/usr"\n[[mounts]]\nsrc = "/usr"\ndst = "/usr"\n[env]\nOLD = "old"\n';
const ROLE = 'version = "v1alpha6"\ndockerfile = "Dockerfile"\nagents = ["kimi"]\n[kimi]\n';

/** One of everything that a command may be about. */
const makeWorld = async (): Promise<{ sandbox: Sandbox; engine: FakeEngine }> => {
  const sandbox = await makeSandbox();
  const engine = fakeEngine({ images: ['image', 'debian:trixie'] });
  const files: Record<string, string> = {
    'jackin/home-id': `${HOME_ID}\n`,
    'config/config.toml': CONFIG,
    'config/workspaces/app.toml': WORKSPACE,
    'project/file': 'x',
    'project/my-role/jackin.role.toml': ROLE,
    'project/my-role/Dockerfile': 'FROM projectjackin/construct:trixie\n',
    'jackin/logins/kimi/work/config.toml': '',
    'jackin/trust.json': JSON.stringify({ version: 1, roles: { 'a/b': { url: 'https://example.com/a/b', commit: 'a'.repeat(40), at: '2026-11-21T00:00:00Z', by: 'granted' } } }),
  };
  for (const [file, text] of Object.entries(files)) await sandbox.write(file, text);
  await addInstance(engine, sandbox, { id: '1aaaaaaa', container: false });
  await addInstance(engine, sandbox, { id: '2aaaaaaa' });
  return { sandbox, engine };
};

interface Tried extends Run {
  root: string;
  failed: string | undefined;
}

/** Nothing outside of the sandbox answers. */
const NOWHERE = { KIMI_CODE_OAUTH_HOST: 'http://127.0.0.1:9', KIMI_CODE_BASE_URL: 'http://127.0.0.1:9/v1', npm_config_registry: 'http://127.0.0.1:9' };

const attempt = async (argv: string[], kind: FaultyCall['kind'], code: string): Promise<Tried> => {
  const { sandbox, engine } = await makeWorld();
  Object.assign(fault, { kind, code, root: sandbox.root, failed: undefined });
  try {
    const run = await sandbox.run(argv, { engine, env: NOWHERE, signal: AbortSignal.timeout(1000), deps: { signals: new EventEmitter() } });
    return { ...run, root: sandbox.root, failed: fault.failed };
  } finally {
    fault.kind = undefined;
  }
};

const withoutRoot = ({ stdout, root }: Tried): string => stdout.replaceAll(root, '');
const errorOf = ({ stderr, root }: Tried): string => stderr.replaceAll(root, '').replace(/^[^]*?(?=^error: )/m, '');

/** Returns the fault in how a command ended; undefined when nothing is. */
const complaintOf = (tried: Tried, sound: Tried, code: string): string | undefined => {
  const { code: exitCode, stderr, stdout, root } = tried;
  if (/this is a bug|unexpected:/.test(stderr + stdout)) return 'calls it a bug';
  if (exitCode === 0) return ANSWERS.has(code) || withoutRoot(tried) === withoutRoot(sound) ? undefined : 'says that it succeeded, with another result';
  // It went on, to where it fails anyway.
  if (exitCode === sound.code && withoutRoot(tried) === withoutRoot(sound) && errorOf(tried) === errorOf(sound)) return undefined;
  if (!stderr.includes(root)) return 'names no path';
  return /hint: /.test(stderr) || ANSWERS.has(code) ? undefined : 'says nothing of what to do';
};

it.each(LEAVES)('`jackin $name` takes no error of the system for a bug', { timeout: 120_000 }, async ({ name, argv }) => {
  const sound = await attempt(argv, undefined, '');
  expect(sound.code === 0).toBe(!CANNOT_SUCCEED.includes(name));
  const complaints: string[] = [];
  let met = 0;
  for (const kind of ['read', 'write', 'content'] as const) {
    for (const code of kind === 'content' ? ['ENOSPC', 'EDQUOT', 'EIO'] : CODES) {
      const tried = await attempt(argv, kind, code);
      // There is no such call, and so none with another error either.
      if (tried.failed === undefined) break;
      met += 1;
      const complaint = complaintOf(tried, sound, code);
      if (complaint !== undefined) complaints.push(`${code} at the first ${kind}, of ${tried.failed}: ${complaint}: ${tried.code} ${tried.stderr}`);
    }
  }
  expect(complaints).toEqual([]);
  expect(met > 0).toBe(!WITHOUT_FILES.includes(name));
});
