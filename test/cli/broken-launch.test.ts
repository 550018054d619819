/** Launches where something breaks beside the engine, or twice. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { beforeEach, expect, it } from 'vitest';
import { encodeJson } from '../../src/capsule/frames.ts';
import { FrameType, PROTOCOL_VERSION } from '../../src/capsule/protocol.ts';
import { fakeCapsule } from '../fakes/capsule.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { faultyEngine } from '../fakes/faulty-engine.ts';
import { useInstallation } from './installation.ts';
import { makeSandbox, type RunOptions, type Sandbox } from './run.ts';

const installation = useInstallation();
let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await makeSandbox();
});

const load = (engine: RunOptions['engine'], ...flags: string[]) =>
  sandbox.run(['load', 'agent-smith', '--prompt', 'hi', ...flags], { ...installation(), ...(engine && { engine }) });

it('tells what went wrong first, also when the engine is gone for good', async () => {
  const counted = faultyEngine(fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec }), 0, 'fails');
  await load(counted.engine);
  const at = counted.calls.indexOf('startContainer') + 1;
  expect(at).toBeGreaterThan(0);
  sandbox = await makeSandbox();
  const { engine } = faultyEngine(fakeEngine({ images: ['debian:trixie'], exec: fakeCapsule().exec }), at, 'gone');
  const { code, stderr } = await load(engine);
  expect(code).toBe(5);
  expect(stderr).toMatch(/error: startContainer: made to fail\nwhat this launch had made is still there \(.*made to fail\); the next `jackin status` takes it back/);
});

it('an agent that works is not stopped because its instance cannot be recorded', async () => {
  const capsule = fakeCapsule({ answer: 'the answer\n', code: 3 });
  const data = path.join(sandbox.jackinHome, 'data');
  const engine = fakeEngine({
    images: ['debian:trixie'],
    exec: async (request) => {
      // Where the record will be written, something stands that no file can replace.
      const [name] = await readdir(data);
      await mkdir(path.join(data, name!, '.jackin', 'instance.json', 'x'), { recursive: true });
      return capsule.exec(request);
    },
  });
  const { code, stdout, stderr } = await load(engine);
  expect(stdout).toBe('the answer\n');
  expect(stderr).toMatch(/note {7}\w+ runs, but cannot be recorded: /);
  expect(code).toBe(3);
  expect(await readdir(path.join(sandbox.jackinHome, 'journal'))).toEqual([]);
});

it('a connection that is lost is jackin’s failure, in JSON too', async () => {
  const engine = fakeEngine({
    images: ['debian:trixie'],
    exec: ({ stdin, stdout }) => {
      stdin.resume();
      stdout.write(encodeJson(FrameType.welcome, { protocol: PROTOCOL_VERSION, sessions: [] }));
      stdout.write(encodeJson(FrameType.started, { id: 'kimi-1', agent: 'kimi', state: 'running', clients: 1, io: 'pipe' }));
      return 1;
    },
  });
  const { code, stdout } = await load(engine, '--format', 'json');
  expect(code).toBe(1);
  expect((JSON.parse(stdout) as { data: object }).data).toMatchObject({ exit_code: 1, origin: 'jackin', lost: expect.stringContaining('connection') });
});

it('hardline needs a terminal on both sides', async () => {
  const stdout = new PassThrough();
  const { code, stderr } = await sandbox.run(['hardline'], { tty: true, engine: fakeEngine(), deps: { stdout } });
  expect(code).toBe(2);
  expect(stderr).toContain('no terminal to attach to');
});
