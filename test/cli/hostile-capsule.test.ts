/** A container whose capsule was taken over by the agent: whatever it says or does not say, commands of the host end. */
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { beforeEach, expect, it } from 'vitest';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine, type FakeEngine, type FakeOptions } from '../fakes/engine.ts';
import { HOSTILE, hostileCapsule, type HostileMode } from '../fakes/hostile-capsule.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type Run, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
const LIMITS = { greetingMs: 300, answerMs: 300, setupMs: 900, endMs: 500 };
/** Of one byte: a greeting in such pieces takes much longer than the limit. */
const DRIP_MS = 250;
/** Bytes of it that a log or a terminal may get. */
const MAX_PRINTED = 40_000;

let sandbox: Sandbox;
let engine: FakeEngine;
let exec: NonNullable<FakeOptions['exec']>;

const run = (argv: string[], options: RunOptions = {}): Promise<Run> => {
  const { env, deps } = installation();
  return sandbox.run(argv, { engine, ...(env && { env }), ...options, deps: { ...deps, capsuleLimits: LIMITS, ...options.deps } });
};

beforeEach(async () => {
  sandbox = await makeSandbox();
  exec = fakeCapsule().exec;
  engine = fakeEngine({ images: ['debian:trixie'], exec: (request) => exec(request) });
});

/** An instance whose capsule is honest until now. */
const takenOver = async (mode: HostileMode): Promise<string> => {
  const { stdout, stderr } = await run(['load', 'agent-smith', '--agent', 'kimi', '--detach']);
  const id = stdout.trim();
  expect({ id, stderr }).toMatchObject({ id: expect.stringMatching(/^\w+$/) as string });
  exec = hostileCapsule(mode, DRIP_MS);
  return id;
};

const NEW_LOAD = ['load', 'agent-smith', '--agent', 'kimi'];
const COMMANDS = {
  '--inspect': (id: string) => ['hardline', id, '--inspect'],
  '--new --detach': (id: string) => ['hardline', id, '--new', '--agent', 'kimi', '--detach'],
  '--shell': (id: string) => ['hardline', id, '--shell', '--', 'make'],
  '--shell --detach': (id: string) => ['hardline', id, '--shell', '--detach', '--', 'make'],
  '--end': (id: string) => ['hardline', id, '--end', 'kimi-1'],
  attach: (id: string) => ['hardline', id],
  'load --detach': () => [...NEW_LOAD, '--detach'],
  'load --prompt': () => [...NEW_LOAD, '--prompt', 'hi'],
};
type Name = keyof typeof COMMANDS;

/** Lies of such a program about its own sessions, which a command cannot tell from the truth. */
const BELIEVED: Partial<Record<HostileMode, Name[]>> = {
  'endless lists': ['--inspect'],
  'endless starts': ['--shell --detach', 'load --detach'],
  'endless lists after the start': ['--shell --detach', 'load --detach'],
};

it.each(Object.keys(HOSTILE) as HostileMode[])('no command waits for a capsule in the mode "%s", or prints without end', async (mode) => {
  const id = await takenOver(mode);
  const names = Object.keys(COMMANDS) as Name[];
  const runs = names.map(async (name) => {
    const { code, stdout, stderr } = await run(COMMANDS[name](id), { tty: name === 'attach' });
    return { name, code, printed: stdout.length + stderr.length, said: stripVTControlCharacters(stderr) };
  });
  const stands = BELIEVED[mode]?.includes('load --detach') ?? false;
  for (const { name, code, printed, said } of await Promise.all(runs)) {
    const isBelieved = BELIEVED[mode]?.includes(name) ?? false;
    expect({ name, code, said: said.slice(-2000) }).toMatchObject({ code: isBelieved ? 0 : 1 });
    expect(printed).toBeLessThan(MAX_PRINTED);
    if (isBelieved) continue;
    expect(said).toMatch(/error: the container does not (?:answer|speak as expected): /);
    // A launch is taken back, unless its session has started.
    const isTakenBack = name.startsWith('load') && !stands;
    expect(/hint: (try again|`jackin eject \w+` ends the container)/.exec(said)?.[1]).toMatch(isTakenBack ? 'try again' : 'eject');
    expect(said.includes(`\`jackin eject ${id}\``)).toBe(name !== 'load --detach' && name !== 'load --prompt');
  }
  const standing = stands ? 3 : 1;
  expect(engine.containers().filter(({ info }) => info.name.startsWith('jk-'))).toHaveLength(standing);
});

it('a set-up may take longer than an answer; the limit of a script is named', async () => {
  const honest = fakeCapsule().exec;
  let delayMs = LIMITS.answerMs + 200;
  exec = async (request) => {
    const stdin = new PassThrough();
    // The request comes late, and so does the answer to it.
    request.stdin.once('data', (chunk: Buffer) => setTimeout(() => stdin.write(chunk), delayMs));
    request.stdin.once('end', () => stdin.end());
    return await honest({ ...request, stdin });
  };
  expect((await run([...NEW_LOAD, '--detach'])).code).toBe(0);
  delayMs = LIMITS.setupMs + 500;
  const { code, stderr } = await run([...NEW_LOAD, '--detach']);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('it was not set up within 0.9 s') as string });
});

it('a person at a terminal may wait for a set-up as long as they like', async () => {
  exec = hostileCapsule('greets, then silent', DRIP_MS);
  const abort = new AbortController();
  setTimeout(() => abort.abort(), LIMITS.setupMs + 1500);
  const { code, stderr } = await run(NEW_LOAD, { tty: true, signal: abort.signal });
  expect(code).toBe(130);
  expect(stripVTControlCharacters(stderr)).toContain('error: interrupted; what this launch had made is undone');
});

it.each(['--inspect', '--end', 'attach', '--shell'] as const)('an interrupt of %s does not claim that anything is undone', async (name) => {
  const id = await takenOver('silent');
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  const { code, stderr } = await run(COMMANDS[name](id), { tty: name === 'attach', signal: abort.signal });
  expect(code).toBe(130);
  expect(stripVTControlCharacters(stderr)).toMatch(/error: interrupted while waiting for the container\n$/);
});
