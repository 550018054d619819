import { access, chmod, mkdir, mkdtemp, readFile, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { runHooks, type HookContext } from '../../../src/capsule/hooks.ts';
import type { HookName } from '../../../src/capsule/protocol.ts';

let root: string;
let notes: string[];
const places = () => ({ home: path.join(root, 'home'), state: path.join(root, 'state'), workdir: path.join(root, 'work'), hooksDir: path.join(root, 'hooks') });

beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(os.tmpdir(), 'jackin-hooks-')));
  const made = root;
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  for (const name of ['home', 'state', 'work', 'hooks']) await mkdir(path.join(root, name));
  notes = [];
});

const write = (name: HookName, text: string) => writeFile(path.join(root, 'hooks', name), text, { mode: 0o755 });

const run = (names: HookName[], context: Partial<HookContext> = {}) =>
  runHooks(names, places(), {
    env: { PATH: process.env['PATH'] },
    secrets: [],
    note: (text) => notes.push(text),
    signal: new AbortController().signal,
    ...context,
  });

/** What a hook that is sourced exports. */
const exportsOf = async (script: string, context: Partial<HookContext> = {}) => {
  await write('source', script);
  return run(['source'], context);
};

const failureOf = async (name: HookName, script: string, context: Partial<HookContext> = {}): Promise<string> => {
  await write(name, script);
  const error = await run([name], context).then(
    () => undefined,
    (caught: unknown) => caught as Error,
  );
  expect(error).toBeInstanceOf(Error);
  return error!.message;
};

const isThere = (file: string) => access(file).then(() => true, () => false);

/** A `PATH` that has a shell, but no bash. */
const withoutBash = async (): Promise<HookContext['env']> => {
  await mkdir(path.join(root, 'bin'));
  await symlink('/bin/sh', path.join(root, 'bin/sh'));
  return { PATH: path.join(root, 'bin') };
};

describe('hooks', () => {
  test('run in their order, each told before it runs, and only those that the role has', async () => {
    for (const name of ['preflight', 'source', 'setup_once'] as const) await write(name, `echo ${name} >> "$HOME/order"`);
    await run(['preflight', 'source', 'setup_once']);
    expect(await readFile(path.join(root, 'home/order'), 'utf8')).toBe('setup_once\nsource\npreflight\n');
    expect(notes).toEqual(['running setup_once', 'running source', 'running preflight']);
    notes = [];
    await run(['source']);
    expect(notes).toEqual(['running source']);
  });

  test('setup_once succeeds once in an instance, the others every time', async () => {
    for (const name of ['setup_once', 'source', 'preflight'] as const) await write(name, `echo ${name} >> "$HOME/runs"`);
    await run(['setup_once', 'source', 'preflight']);
    await run(['setup_once', 'source', 'preflight']);
    const runs = (await readFile(path.join(root, 'home/runs'), 'utf8')).trim().split('\n');
    expect(runs).toEqual(['setup_once', 'source', 'preflight', 'source', 'preflight']);
  });

  test('setup_once that failed or was cut off runs again, and what follows does not run until then', async () => {
    await write('preflight', 'touch "$HOME/preflight"');
    await write('setup_once', 'echo run >> "$HOME/runs"; [ -e "$HOME/good" ]');
    await expect(run(['setup_once', 'preflight'])).rejects.toThrow('setup_once ended with exit code 1');
    await write('setup_once', 'echo run >> "$HOME/runs"; [ -e "$HOME/good" ] || kill -KILL $$');
    await expect(run(['setup_once', 'preflight'])).rejects.toThrow('setup_once was ended by SIGKILL');
    expect(await isThere(path.join(root, 'home/preflight'))).toBe(false);
    await writeFile(path.join(root, 'home/good'), '');
    await run(['setup_once', 'preflight']);
    await run(['setup_once', 'preflight']);
    expect(await readFile(path.join(root, 'home/runs'), 'utf8')).toBe('run\nrun\nrun\n');
    expect(await isThere(path.join(root, 'home/preflight'))).toBe(true);
  });

  test('get what sessions get: no terminal, no input, an ordinary umask, and a group of their own', async () => {
    const script = 'pwd; echo "$HOME $TERM $SHARED ${JACKIN_SESSION_ID-none} ${LD_PRELOAD-none}"; umask; wc -c; ps -o pgid= -p $$ | tr -d " "; echo $$; test -t 1 || echo no terminal';
    for (const name of ['preflight', 'source'] as const) {
      await write(name, `exec > "$HOME/${name}" 2>&1\n${script}`);
      await run([name], { env: { PATH: process.env['PATH'], SHARED: 'for all', LD_PRELOAD: '/nowhere.so', TERM: 'xterm' } });
      const [cwd, words, umask, input, group, pid, terminal] = (await readFile(path.join(root, 'home', name), 'utf8')).trim().split('\n');
      expect(cwd).toBe(name === 'source' ? places().workdir : places().home);
      expect([words, umask, input, terminal]).toEqual([`${places().home} dumb for all none none`, '0022', '0', 'no terminal']);
      expect(group).toBe(pid);
    }
  });

  test('are what their first line says, and shell scripts without one', async () => {
    await write('preflight', `#!${process.execPath}\nrequire('node:fs').writeFileSync(process.env.HOME + '/node', '');`);
    await run(['preflight']);
    expect(await isThere(path.join(root, 'home/node'))).toBe(true);
    await write('preflight', 'words=(a b); echo "${words[1]}" > "$HOME/bash"');
    await run(['preflight']);
    expect(await readFile(path.join(root, 'home/bash'), 'utf8')).toBe('b\n');
    await rm(path.join(root, 'hooks/preflight'));
    await writeFile(path.join(root, 'hooks/preflight'), await readFile('/bin/true'));
    await chmod(path.join(root, 'hooks/preflight'), 0o755);
    await run(['preflight']);
    expect(await failureOf('preflight', '#!/no/such/program\n')).toMatch(/^the role's hook preflight ended with exit code 12[67]\n.*preflight/);
  });

  test('that are not in the container say so', async () => {
    await expect(run(['preflight'])).rejects.toThrow(/preflight is not in the container/);
  });

  test('may open their output anew, and leave a service behind that goes on printing', async () => {
    const started = Date.now();
    await write('preflight', 'set -e; echo said > /dev/stderr; echo said > /dev/stdout; (sleep 0.6; echo late; touch "$HOME/served") &');
    await run(['preflight']);
    expect(Date.now() - started).toBeLessThan(500);
    await expect.poll(() => isThere(path.join(root, 'home/served')), { timeout: 3000 }).toBe(true);
  });

  test('that take long are told once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    await write('preflight', 'touch "$HOME/ready"; until [ -e "$HOME/go" ]; do sleep 0.01; done');
    const running = run(['preflight']);
    await expect.poll(() => isThere(path.join(root, 'home/ready'))).toBe(true);
    expect(notes).toEqual(['running preflight']);
    await vi.advanceTimersByTimeAsync(60_000);
    await writeFile(path.join(root, 'home/go'), '');
    await running;
    expect(notes).toEqual(['running preflight', 'preflight is still running']);
  });

  test('given up end with all that they have started, also what will not hear', async () => {
    const abort = new AbortController();
    await write('setup_once', 'trap "" TERM; sleep 60 & echo $! > "$HOME/pid"; touch "$HOME/ready"; wait; sleep 60');
    const running = run(['setup_once'], { signal: abort.signal });
    await expect.poll(() => isThere(path.join(root, 'home/ready'))).toBe(true);
    abort.abort();
    await expect(running).rejects.toThrow('the launch was given up while the role\'s hook setup_once ran');
    const pid = Number(await readFile(path.join(root, 'home/pid'), 'utf8'));
    await expect.poll(async () => (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')).split(') ')[1]?.[0], { timeout: 3000 }).toBe('Z');
    expect(await readdir(path.join(root, 'state'))).toEqual([]);
    await expect(run(['setup_once'], { signal: abort.signal })).rejects.toThrow(/given up before/);
  });
});

describe('source', () => {
  test('exports reach the agent, other settings do not', async () => {
    const script = 'export A=1 PATH="$PATH:/extra"; B=2; f() { :; }; export -f f; cd /; alias x=y';
    expect(await exportsOf(script)).toEqual({ A: '1', PATH: `${process.env['PATH']}:/extra` });
  });

  test('preflight finds what source has exported', async () => {
    await write('preflight', 'echo "$A" > "$HOME/seen"');
    await write('source', 'export A=exported');
    await run(['source', 'preflight']);
    expect(await readFile(path.join(root, 'home/seen'), 'utf8')).toBe('exported\n');
  });

  test.each([
    ['a line break and =', "export A=$'one\\ntwo=three\\n'", 'one\ntwo=three\n'],
    ['a value without anything', 'export A=', ''],
    ['an end by exit', 'export A=1; exit 0; export A=2', '1'],
    ['an end by exit after a good command', 'export A=1; true; exit', '1'],
    ['an end by return', 'export A=1; return 0; export A=2', '1'],
    ['an exit of a subshell', 'x=$(exit 0; echo no); (exit 3); export A=1; true', '1'],
    ['strict settings', 'set -euo pipefail; export A=1', '1'],
    ['strict settings and exit', 'set -euo pipefail; export A=1; exit', '1'],
    ['xtrace', 'set -xv; export A=1', '1'],
    ['everything exported', 'set -a; A=1', '1'],
    ['no output any more', 'exec >/dev/null 2>&1; export A=1', '1'],
    ['closed outputs', 'exec >&- 2>&-; export A=1', '1'],
    ['a descriptor of its own', 'exec 3>/dev/null; export A=1', '1'],
    ['a trap on its end', 'trap "echo bye; true" EXIT; export A=1', '1'],
    ['a trap on its end, and exit', 'trap "echo bye" EXIT; export A=1; exit 0', '1'],
    ['a trap that ends by itself', 'trap \'code=$?; exit $code\' EXIT; export A=1; exit 0', '1'],
    ['POSIX settings', 'set -o posix; export A=1', '1'],
    ['an unusual separator', 'IFS=1; export A=1', '1'],
    ['functions in the way', 'env() { :; }; printf() { :; }; export A=1', '1'],
    ['what bash is to read first', 'export A=1', '1', { BASH_ENV: '/no/such', SHELLOPTS: 'xtrace:noexec', ENV: '/no/such' }],
    ['much output', 'head -c 50000000 /dev/zero; export A=1', '1'],
    ['a background process', 'sleep 5 & export A=1', '1'],
    ['waiting for all background processes', 'sleep 0.1 & wait; export A=1', '1'],
    ['a large environment', 'export A=1; for n in $(seq 1 20); do export "BIG$n=$(head -c 90000 /dev/zero | tr "\\0" x)"; done', '1'],
  ])('may have %s', async (_what, script, value, env: NodeJS.ProcessEnv = {}) => {
    const started = Date.now();
    expect(await exportsOf(script, { env: { PATH: process.env['PATH'], ...env } })).toMatchObject({ A: value });
    expect(Date.now() - started).toBeLessThan(3000);
  });

  test.each([
    ['exit', 'echo why; exit 7', 'ended with exit code 7\n  | why'],
    ['exit after a bad command', '(exit 6); exit', 'ended with exit code 6'],
    ['return', 'echo why; return 3', 'ended with exit code 3\n  | why'],
    ['a failing command under set -e', 'set -e; echo why; false; true', 'ended with exit code 1\n  | why'],
    ['a variable that is not there under set -u', 'set -u; echo "$nothing"', 'nothing: unbound variable'],
    ['a fault of syntax', 'export A=1\nif [ x\n', 'syntax error'],
    ['a signal', 'kill -TERM $$', 'was ended by SIGTERM'],
    ['another program', 'exec true', 'ended the shell before its exports could be read, and printed nothing'],
    ['an environment that no program can have', 'export A="$(head -c 3000000 /dev/zero | tr "\\0" x)"; exit 0', 'before its exports could be read'],
  ])('stops the launch by %s', async (_what, script, message) => {
    expect(await failureOf('source', script)).toContain(message);
  });

  test('a program in the background cannot hold a failure back', async () => {
    const started = Date.now();
    expect(await failureOf('source', '(while :; do echo tick; sleep 0.05; done) & echo why; exit 4')).toContain('ended with exit code 4');
    expect(Date.now() - started).toBeLessThan(3000);
  });

  test('cannot set what is not its to set, and that is said', async () => {
    const names = ['JACKIN_ROLE', 'HOME', 'NODE_OPTIONS', 'LD_LIBRARY_PATH', 'BASH_ENV', 'KIMI_API_KEY', 'ANTHROPIC_API_KEY', 'GH_TOKEN', 'IS_SANDBOX'];
    expect(await exportsOf(`export A=1 ${names.map((name) => `${name}=x`).join(' ')}`)).toEqual({ A: '1' });
    const [, said = ''] = notes;
    for (const name of names) expect(said).toContain(name);
  });

  test('what was there and stays as it was is not repeated', async () => {
    expect(await exportsOf('export SAME OTHER=b', { env: { PATH: process.env['PATH'], SAME: 'x', OTHER: 'a' } })).toEqual({ OTHER: 'b' });
  });

  test.each([
    ['exports', 'export A=1', '1'],
    ['an end by exit', 'export A=1; exit 0', '1'],
    ['strict settings', 'set -eux; export A=1', '1'],
    ['a trap on its end', 'trap "echo bye" EXIT; export A=1', '1'],
    ['a subshell', '(exit 0); export A=1', '1'],
  ])('runs in sh where there is no bash: %s', async (_what, script, value) => {
    const env = await withoutBash();
    expect(await exportsOf(script, { env })).toEqual({ A: value });
    expect(await failureOf('source', 'echo why; exit 7', { env })).toBe("the role's hook source ended with exit code 7\n  | why");
    expect(await failureOf('source', 'return 3', { env })).toContain('exit code 3');
  });

  test('needs some shell', async () => {
    await write('source', 'true');
    await expect(run(['source'], { env: { PATH: '/nowhere' } })).rejects.toThrow(/neither bash nor sh/);
  });
});

describe('the output of a hook that fails', () => {
  test('is its last twenty lines in their order, and how many there were before', async () => {
    const message = await failureOf('setup_once', 'seq 1 110 >&2; seq 111 220; echo last >&2; exit 9');
    const lines = message.split('\n');
    expect(lines.slice(0, 2)).toEqual(["the role's hook setup_once ended with exit code 9", '  | … 201 lines before']);
    expect(lines.slice(2)).toEqual([...Array.from({ length: 19 }, (_each, index) => `  | ${202 + index}`), '  | last']);
  });

  test('is at most 4 KiB, also of one line that never ends', async () => {
    const message = await failureOf('preflight', 'head -c 20000000 /dev/zero | tr "\\0" x; echo the end; exit 1');
    expect(message.length).toBeLessThan(4300);
    expect(message).toMatch(/\n {2}\| …x+the end$/);
  });

  test('has no control characters', async () => {
    const message = await failureOf('preflight', String.raw`printf '\033[31mred\033[0m \033]0;title\007 50%%\r100%%\r\n\a\tend\302\233x\n'; exit 1`);
    expect(message).toBe("the role's hook preflight ended with exit code 1\n  | 100%\n  |  endx");
  });

  test('has no secret, however it is cut', async () => {
    const secrets = ['sk-canary-0123456789', 'multi-line-canary\nsecond-canary-line\n', 'short'];
    const env = { PATH: process.env['PATH'], KEY: secrets[0], PEM: secrets[1], SHORT: secrets[2] };
    const said = await failureOf('preflight', 'set -x; : "$KEY"; echo "$PEM"; echo "a${KEY}b $SHORT"; set +x; printf "%s\\033[1m%s\\n" "${KEY%5*}" "56789"; exit 1', { env, secrets });
    expect(said).not.toMatch(/canary/);
    expect(said).toContain('a[secret]b short');
    for (const filler of [4080, 4090, 40_950]) {
      const cut = await failureOf('preflight', `printf %s "$KEY"; head -c ${filler} /dev/zero | tr '\\0' x; exit 1`, { env, secrets });
      expect(cut).not.toMatch(/canary|0123|6789/);
    }
    // Just as much as is kept: a secret lies across its beginning.
    for (let filler = 16_380; filler < 16_450; filler += 3) {
      const cut = await failureOf('preflight', `head -c 99999 /dev/zero; printf '\\n%s' "$KEY"; head -c ${filler} /dev/zero; exit 1`, { env, secrets });
      expect(cut).not.toMatch(/canary|0123|6789/);
    }
  }, 30_000);

  test('the marker of setup_once is private', async () => {
    await write('setup_once', 'true');
    await run(['setup_once']);
    expect((await stat(path.join(root, 'state/hooks'))).mode & 0o777).toBe(0o700);
    expect(await readdir(path.join(root, 'state/hooks'))).toEqual(['setup_once.done']);
  });
});
