/** The connection to a container is lost: the engine is asked why, and the answer is told. */
import { stripVTControlCharacters } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeMessage } from '../../src/capsule/frames.ts';
import { PROTOCOL_VERSION, type SessionInfo } from '../../src/capsule/protocol.ts';
import { JackinError } from '../../src/shared/errors.ts';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine, type FakeOptions } from '../fakes/engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const SESSION: SessionInfo = { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 1, io: 'pty' };
const GREETING = encodeMessage('welcome', { protocol: PROTOCOL_VERSION, sessions: [SESSION] });

/** Frames that came before the connection was lost. */
const BEFORE = {
  nothing: [],
  'the greeting': [GREETING],
  'the start': [GREETING, encodeMessage('started', SESSION)],
};
type Before = keyof typeof BEFORE;

let sandbox: Sandbox;
let engine: FakeEngine;
let exec: NonNullable<FakeOptions['exec']>;
let engineIsGone: boolean;

/** An engine that from some moment on is not there any more. */
const mortal = (whole: FakeEngine): FakeEngine => {
  const wrap = (name: string, call: (...args: unknown[]) => unknown) => async (...args: unknown[]) => {
    if (engineIsGone && name !== 'exit') throw new JackinError('engine.unreachable', `${name}: connect ECONNREFUSED /run/fake.sock`);
    return await call(...args);
  };
  return Object.fromEntries(Object.entries(whole).map(([name, member]) => [name, typeof member === 'function' ? wrap(name, member as never) : member])) as never;
};

const run = (argv: string[], options: RunOptions = {}): Promise<Run> => {
  const { env, deps } = installation();
  return sandbox.run(argv, { engine: mortal(engine), ...(env && { env }), ...options, ...(deps && { deps }) });
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  engineIsGone = false;
  exec = fakeCapsule().exec;
  engine = fakeEngine({ images: ['debian:trixie'], exec: (request) => exec(request) });
});

/** From now on every connection is lost at this moment, because of that. */
const losing = (before: Before, cause: 'engine' | 'container' | 'connection'): void => {
  exec = ({ container, stdin, stdout }) => {
    stdin.resume();
    for (const frame of BEFORE[before]) stdout.write(frame);
    if (cause === 'engine') engineIsGone = true;
    if (cause === 'container') engine.exit(container.name, 137);
    return 0;
  };
};

const start = async (): Promise<string> => (await run(['load', 'agent-smith', '--agent', 'kimi', '--detach'])).stdout.trim();

const COMMANDS: [string, (id: string) => string[], Before[]][] = [
  ['--inspect', (id) => ['hardline', id, '--inspect'], ['nothing', 'the greeting']],
  ['--new --detach', (id) => ['hardline', id, '--new', '--agent', 'kimi', '--detach'], ['nothing', 'the greeting']],
  ['--shell', (id) => ['hardline', id, '--shell', '--', 'make'], ['nothing', 'the greeting', 'the start']],
  ['--end', (id) => ['hardline', id, '--end', 'kimi-1'], ['nothing', 'the greeting']],
  ['attach', (id) => ['hardline', id], ['nothing', 'the greeting', 'the start']],
  ['load --detach', () => ['load', 'agent-smith', '--agent', 'kimi', '--detach'], ['nothing', 'the greeting']],
  ['load --prompt', () => ['load', 'agent-smith', '--agent', 'kimi', '--prompt', 'hi'], ['nothing', 'the greeting', 'the start']],
];
const CASES = COMMANDS.flatMap(([name, argv, moments]) => moments.map((before) => ({ name, argv, before })));

const lose = async ({ name, argv, before }: (typeof CASES)[number], cause: 'engine' | 'container' | 'connection'): Promise<Run> => {
  const id = await start();
  losing(before, cause);
  const done = await run(argv(id), { tty: name === 'attach' });
  return { ...done, stderr: stripVTControlCharacters(done.stderr) };
};

describe('because the engine has died', () => {
  it.each(CASES)('$name after $before ends with exit code 5, and names the engine', async (one) => {
    const { code, stderr } = await lose(one, 'engine');
    expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringContaining('the engine does not answer: container: connect ECONNREFUSED /run/fake.sock') as string });
    // A session that runs already goes on without the engine.
    const mayRun = one.before === 'the start' || one.name === 'attach';
    expect(stderr).toContain(mayRun ? 'the session may still run: once the engine answers' : 'hint: check that the engine is running');
  });

  it('is told in JSON as jackin’s own failure', async () => {
    losing('the start', 'engine');
    const { stdout, code } = await run(['load', 'agent-smith', '--agent', 'kimi', '--prompt', 'hi', '--format', 'json']);
    expect(code).toBe(5);
    expect((JSON.parse(stdout) as { data: object }).data).toMatchObject({ exit_code: 5, origin: 'jackin', lost: expect.stringContaining('ECONNREFUSED') as string });
  });
});

describe('because the container has ended', () => {
  it.each(CASES.filter(({ name, before }) => name !== '--end' || before === 'nothing'))('$name after $before says how', async (one) => {
    const { code, stderr } = await lose(one, 'container');
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('the connection to the container ended: it has ended with code 137') as string });
  });

  it('--end after the greeting has done what it should: the session was the last one', async () => {
    const end = CASES.find(({ name, before }) => name === '--end' && before === 'the greeting')!;
    expect(await lose(end, 'container')).toMatchObject({ code: 0, stderr: expect.stringContaining('its container ends as well') as string });
  });
});

describe('and both are there', () => {
  it.each(CASES.filter(({ name }) => name !== '--end'))('$name after $before says that it was the connection', async (one) => {
    const { code, stderr } = await lose(one, 'connection');
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(/the connection to the container ended(\n|\); the session may still run)/) as string });
  });

  it('--end does not claim that the session has ended', async () => {
    const end = CASES.find(({ name, before }) => name === '--end' && before === 'the greeting')!;
    expect(await lose(end, 'connection')).toMatchObject({ code: 1, stderr: expect.stringContaining('it is not known whether session kimi-1 has ended') as string });
  });
});
